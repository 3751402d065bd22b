"""`backward` and `grad`: roots, inputs, given gradients, what is freed, edges; and grad modes.

What else these rules say is tested in test_autograd.py and test_graph_api.py.
"""

import asyncio
import inspect
import threading

import pytest

from compare import caught, scenario, warned


def leaf(t, *shape):
    return t.ones(*shape, requires_grad=True)


# --- Roots and their gradients --------------------------------------------------------------------


@scenario
def test_implicit_gradients(t):
    for shape in ((2,), (0,), (1, 1), (1,), ()):
        x = t.ones(shape).requires_grad_()
        yield caught((x * 2).backward), caught(x.backward)
    x = leaf(t, 2)
    yield caught(t.autograd.backward, [x * 2], [None]), caught(t.autograd.grad, x * 2, x)
    yield caught(t.autograd.grad, [(x * 2).sum(), x * 2], x), caught(leaf(t, 2).argmax().backward)


@scenario
def test_roots_without_history(t):
    x = leaf(t, 1)
    yield caught(t.ones(1).backward), caught(t.autograd.grad, t.ones(1), x)
    yield caught(t.autograd.backward, [x * 1, t.ones(1)]), caught(t.autograd.backward, [])
    yield caught(t.autograd.grad, [], x), caught(t.autograd.backward, 3)
    with t.no_grad():
        y = x * 2
    yield caught(y.backward)


@scenario
def test_repeated_roots(t):
    x = leaf(t, 2)
    y = (x * x).sum()
    t.autograd.backward([y, y])
    yield x.grad
    z = x * 3
    yield t.autograd.grad([x, x, z, z], x, [t.ones(2), t.ones(2) * 2, t.ones(2), t.ones(2)])
    g = t.ones(2)
    t.autograd.backward([x, x], [g, g])
    yield x.grad, g


@scenario
def test_a_leaf_is_its_own_root(t):
    x, y = leaf(t, 2), leaf(t, 1)
    x.backward(t.ones(2))
    x.backward(t.ones(2))
    y.backward()
    yield x.grad, y.grad, t.autograd.grad(y, y), t.autograd.grad(x, x, t.ones(2) * 5)


@scenario
def test_backward_while_grad_mode_is_off(t):
    x = leaf(t, 2)
    y = (x * x).sum()
    with t.no_grad():
        (g,) = t.autograd.grad(y, x, create_graph=True)
        yield g, t.is_grad_enabled()
        y.backward()
    yield x.grad, t.is_grad_enabled()


@scenario
def test_shapes_of_given_gradients(t):
    y = leaf(t, 2) * 2
    for g in (t.ones(3), t.ones(1), t.tensor(1.0), t.ones(1, 2), t.ones(2, 1)):
        yield caught(y.backward, g)
    yield caught(leaf(t, 3).backward, t.ones(2)), caught(leaf(t, 2).sum().backward, t.ones(1))
    yield caught(t.autograd.grad, y, leaf(t, 2), t.ones(3))


@scenario
def test_dtypes_of_given_gradients(t):
    x, seen = leaf(t, 2), []
    y = x * 2
    y.register_hook(lambda g: seen.append(g.dtype))
    for dtype in (t.float64, t.float16, t.bfloat16):
        y.backward(t.ones(2, dtype=dtype), retain_graph=True)
    yield seen, x.grad, t.autograd.grad(x * 2, x, t.ones(2, dtype=t.float64))
    yield caught(y.backward, t.ones(2, dtype=t.int64)), caught(y.backward, t.ones(2, dtype=t.bool))


@scenario
def test_wrong_arguments(t):
    x = leaf(t, 1)
    y = x * 2
    yield caught(t.autograd.grad, [y, x], x, [t.ones(1)]), caught(y.backward, 3)
    yield caught(y.backward, "x"), caught(y.backward, [t.ones(1)]) is not None
    yield caught(t.autograd.grad, y, 3) is not None, caught(t.autograd.grad, y, [3]) is not None
    yield caught(y.backward, inputs=3) is not None, caught(t.autograd.grad, y, {})
    yield (
        caught(y.backward, inputs=[]),
        caught(y.backward, inputs=()),
        caught(t.autograd.grad, y, []),
    )


@scenario
def test_old_arguments(t):
    x = leaf(t, 1)
    yield warned(t.autograd.grad, x * 2, x, only_inputs=False)
    yield warned(t.autograd.backward, x * 2, grad_variables=t.ones(1) * 3), x.grad
    yield caught(t.autograd.backward, x * 2, t.ones(1), grad_variables=t.ones(1))


@scenario
def test_gradients_that_require_gradients(t):
    x, g = leaf(t, 2), leaf(t, 2)
    y = x * x
    y.backward(g, create_graph=True)
    yield x.grad, t.autograd.grad(x.grad.sum(), [x, g])


# --- Inputs ---------------------------------------------------------------------------------------


@scenario
def test_inputs_that_are_not_reached(t):
    x, other = leaf(t, 1), leaf(t, 2)
    y = x + 2
    grad = t.autograd.grad
    yield caught(grad, y, t.ones(1)), caught(grad, y, [x, t.ones(1)]), caught(grad, y, [x, other])
    yield grad(y, [x, other], allow_unused=True), grad(y, [x, other], materialize_grads=True)
    yield caught(grad, y, [t.ones(1)], allow_unused=True)
    yield grad(y, other, materialize_grads=True, allow_unused=True)
    yield caught(grad, y, other, materialize_grads=True, allow_unused=False)
    y.backward(inputs=[other])
    yield other.grad, x.grad, caught((x + 2).backward, inputs=[t.ones(1)])


@scenario
def test_repeated_inputs(t):
    x = leaf(t, 2)
    a, b = t.autograd.grad((x * x).sum(), [x, x])
    yield a, b, a is b
    (x * x).sum().backward(inputs=[x, x])
    yield x.grad


@scenario
def test_grad_leaves_grad_alone(t):
    x, y = leaf(t, 2), leaf(t, 2)
    x.grad = t.zeros(2)
    yield t.autograd.grad((x * y).sum(), [x]), x.grad, y.grad


@scenario
def test_inputs_that_are_no_leaves(t):
    x = leaf(t, 2)
    y = x * 2
    old = (y + 1).sum()
    yield t.autograd.grad((y * y).sum(), y, retain_graph=True)
    y.mul_(3)
    yield t.autograd.grad((y * 2).sum(), [y, x], retain_graph=True)
    yield caught(t.autograd.grad, old, y), t.autograd.grad(old, y, allow_unused=True)


@scenario
def test_only_nodes_on_the_way_run(t):
    ran = []

    class Seen(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            ran.append(len(ran))
            return g

    x, y = leaf(t, 1), leaf(t, 1)
    z = Seen.apply(x) + y
    t.autograd.grad(z, y, retain_graph=True)
    z.backward(inputs=[y], retain_graph=True)
    yield list(ran), x.grad, y.grad
    z.backward(inputs=x)
    yield ran, x.grad, y.grad


@scenario
def test_inputs_of_backward(t):
    x, y = leaf(t, 2), leaf(t, 2)
    middle = x * 2
    z = (middle * y).sum()
    for inputs in (middle, [x], (middle, y), [x, x, y]):
        z.backward(inputs=inputs, retain_graph=True)
        yield middle.grad, x.grad, y.grad, middle.retains_grad


@scenario
def test_batched_gradients(t):
    x, other = leaf(t, 3), leaf(t, 1)
    y = x * x
    grad = t.autograd.grad
    yield grad(y, x, t.eye(3), is_grads_batched=True, retain_graph=True)
    yield grad([y.sum(), x * 3], [x], [t.ones(2), t.ones(2, 3)], is_grads_batched=True)
    args = ((x + 2).sum(), [x, other], t.ones(2))
    yield grad(*args, is_grads_batched=True, allow_unused=True)
    yield grad(*args, is_grads_batched=True, materialize_grads=True)
    yield caught(grad, *args, is_grads_batched=True)
    for g in (t.ones(2, 2), t.ones(3), t.tensor(1.0)):
        yield caught(grad, x * 2, x, g, is_grads_batched=True)
    yield caught(grad, (x * 2).sum(), x, None, is_grads_batched=True)


# --- What is freed --------------------------------------------------------------------------------


@scenario
def test_a_second_run(t):
    x = leaf(t, 2)
    for make in (
        lambda: x + 1,
        lambda: x * 2,
        lambda: x * x,
        lambda: x.exp(),
        lambda: x.view(2, 1),
    ):
        y = make().sum()
        y.backward()
        yield caught(y.backward)
    y = x * x
    z = (y * y).sum()
    yield t.autograd.grad(z, y), caught(t.autograd.grad, z, y), t.autograd.grad(y.sum(), x)
    yield caught(lambda: y.grad_fn._saved_self), caught(lambda: z.grad_fn.next_functions)


@scenario
def test_retain_graph_is_create_graph_if_left_out(t):
    x = leaf(t, 2)
    y = (x * x * x).sum()
    (g,) = t.autograd.grad(y, x, create_graph=True)
    yield g, t.autograd.grad(g.sum(), x), caught(y.backward)
    y = (x * x).sum()
    y.backward(create_graph=True, retain_graph=False)
    yield caught(y.backward), caught((x * 2).sum().backward, retain_graph=None)


# --- Edges ----------------------------------------------------------------------------------------


@scenario
def test_edges_as_roots_and_inputs(t):
    edge_of, x = t.autograd.graph.get_gradient_edge, leaf(t, 2)
    y = x * 2
    edge, grad = edge_of(y), t.autograd.grad
    z = (y * 3).sum()
    yield edge.output_nr, edge.node is y.grad_fn, edge_of(x).node.name(), type(edge).__name__
    yield grad(z, edge, retain_graph=True), grad(z, [edge_of(x), x, y], retain_graph=True)
    yield grad(edge, x, t.ones(2), retain_graph=True), grad(edge, edge, t.ones(2))
    t.autograd.backward([edge, y], [t.ones(2), t.ones(2)], retain_graph=True)
    yield x.grad
    z.backward(inputs=[edge_of(x)])
    made = t.autograd.graph.GradientEdge(y.grad_fn, 0)
    yield x.grad, grad((y * 2).sum(), made)
    a, b = leaf(t, 2, 2).unbind()
    yield edge_of(a).output_nr, edge_of(b).output_nr, grad((a * b).sum(), [edge_of(b), edge_of(a)])


@scenario
def test_edges_that_are_refused(t):
    edge_of, x = t.autograd.graph.get_gradient_edge, leaf(t, 1)
    y, grad = (x * 2).sum(), t.autograd.grad
    yield caught(edge_of, t.ones(1)), caught(edge_of, x.detach())
    unused = edge_of(leaf(t, 1) * 1)
    yield caught(grad, y, unused), grad(y, unused, allow_unused=True, retain_graph=True)
    yield (
        caught(grad, y, unused, materialize_grads=True),
        caught(y.backward, inputs=[edge_of(y * 1)]),
    )
    yield (
        caught(grad, edge_of(leaf(t, 2) * 2), x),
        caught(grad, edge_of(leaf(t, 2) * 2), x, t.ones(3)),
    )


@scenario
def test_the_edge_of_a_leaf_stays(t):
    x = leaf(t, 2)
    edge = t.autograd.graph.get_gradient_edge(x)
    y = (x * 2).sum()
    with t.no_grad():
        x.set_(t.ones(3))
    yield t.autograd.grad(y, edge)


@scenario
def test_the_edge_of_a_view_is_renewed(t):
    base = leaf(t, 4).clone()
    view = base[1:]
    first = t.autograd.graph.get_gradient_edge(view)
    base.mul_(2)
    yield first.node.name(), t.autograd.graph.get_gradient_edge(view).node.name()


# --- Grad modes -----------------------------------------------------------------------------------


@scenario
def test_modes_as_functions(t):
    now, seen = t.is_grad_enabled, []
    mode = t.set_grad_enabled(False)
    seen.append(now())
    t.set_grad_enabled(True)
    with t.set_grad_enabled(False):
        seen.append(now())
    seen.append(now())
    t.set_grad_enabled(mode=False)
    with t.enable_grad():
        seen.append(now())
    seen.append(now())
    t.set_grad_enabled(True)
    yield seen, repr(mode).split(".")[-1], [caught(t.set_grad_enabled, v) for v in (1, None, "x")]


@scenario
def test_modes_are_restored(t):
    now = t.is_grad_enabled

    @t.no_grad()
    def fails(depth):
        return fails(depth - 1) if depth else 1 / 0

    yield caught(fails, 3), now()
    with pytest.raises(KeyError), t.no_grad(), t.enable_grad():
        raise KeyError
    yield now()
    seen = []
    with t.no_grad():
        other = threading.Thread(target=lambda: seen.append(now()))
        other.start()
        other.join()
        with t.set_grad_enabled(True):
            seen.append(now())
        seen.append(now())
    yield seen, now()


@scenario
def test_decorated_methods(t):
    now = t.is_grad_enabled

    class Thing:
        @t.no_grad()
        def method(self, a, *rest, b=2, **more):
            """Documented."""
            return now(), a, rest, b, more

        @staticmethod
        @t.no_grad()
        def static():
            return now()

        @classmethod
        @t.no_grad
        def of_class(cls):
            return now(), cls.__name__

        @property
        @t.no_grad()
        def value(self):
            return now()

    thing = Thing()
    yield thing.method(1, 2, b=3, c=4), thing.static(), thing.of_class(), thing.value, now()
    yield Thing.method.__doc__, Thing.method.__name__, str(inspect.signature(Thing.method))


@scenario
def test_decorated_classes(t):
    def decorated():
        @t.no_grad()
        class Thing:
            def __init__(self):
                self.mode = t.is_grad_enabled()

            def method(self):
                return t.is_grad_enabled()

        thing = Thing()
        return thing.mode, thing.method(), type(thing).__name__, t.is_grad_enabled()

    yield warned(decorated)


MODES = {
    "no_grad": lambda t: t.no_grad(),
    "enable_grad": lambda t: t.enable_grad(),
    "set_grad_enabled": lambda t: t.set_grad_enabled(False),
    "inference_mode": lambda t: t.inference_mode(),
}


def steps(t, log):
    """A generator that notes the mode wherever it runs."""
    now = t.is_grad_enabled
    try:
        log.append(("start", now()))
        got = yield now()
        log.append(("sent", got, now()))
        try:
            got = yield now()
        except ValueError:
            log.append(("caught", now()))
            got = yield "again"
        log.append(("after", got, now()))
        with t.set_grad_enabled(not now()):
            yield now()
        log.append(("end", now()))
        return 7
    finally:
        log.append(("finally", now()))


@pytest.mark.parametrize("name", MODES)
@scenario
def test_decorated_generators(t, name):
    now, log = t.is_grad_enabled, []
    make = MODES[name](t)(lambda: (yield from steps(t, log)))
    yield now(), inspect.isgeneratorfunction(make)
    running = make()
    yield next(running), now(), running.send(5), now(), running.throw(ValueError()), now()
    yield running.send(6), now()
    with pytest.raises(StopIteration) as stop:
        next(running)
    yield stop.value.value, log, now()
    log.clear()
    running = make()
    next(running)
    running.close()
    yield log, now()
    running = make()
    next(running)
    yield caught(running.throw, KeyError("x")), log, now()
    with t.no_grad():
        running = make()
        yield next(running), now(), running.send(1), now()
        running.close()
    log.clear()
    running = make()
    next(running)
    del running
    yield log, now(), list(make())


@scenario
def test_decorated_coroutines(t):
    now, log = t.is_grad_enabled, []

    @t.no_grad()
    async def waits():
        log.append(now())
        await asyncio.sleep(0)
        log.append(now())
        return 3

    yield asyncio.run(waits()), log, now()


@scenario
def test_mode_inside_backward(t):
    now, log = t.is_grad_enabled, []

    class Seen(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            log.append(now())
            return x * 2

        @staticmethod
        def backward(ctx, g):
            log.append(now())
            return g * 2

    x = leaf(t, 2)
    x.register_hook(lambda g: log.append(now()))
    Seen.apply(x).sum().backward()
    t.autograd.grad(Seen.apply(x).sum(), x, create_graph=True)
    y = Seen.apply(x).sum()
    with t.no_grad():
        y.backward()
    yield log, now()


@scenario
def test_writes_without_grad_mode(t):
    x = leaf(t, 2)
    y = x * 2
    with t.no_grad():
        x.add_(1)
        y.mul_(3)
        y[0] = 7
    yield x, x._version, y, y._version, t.autograd.grad(y.sum(), x)
