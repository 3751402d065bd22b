"""The graph as an object: nodes, edges, hooks of several tensors, hooks of saved tensors."""

import gc
import threading
import weakref

import pytest

from compare import caught, scenario


def leaf(t, *values):
    return t.tensor(values or (1.0, 2.0), requires_grad=True)


# --- Nodes and edges -----------------------------------------------------------------------------


@scenario
def test_nodes(t):
    x = leaf(t)
    y = (x * x).sum()
    node = y.grad_fn
    yield node.name(), type(node).__name__, isinstance(node, t.autograd.graph.Node)
    ((product, k),) = node.next_functions
    yield product.name(), k, [f[0].name() for f in product.next_functions]
    yield product.next_functions[0][0] is product.next_functions[1][0]
    yield product.next_functions[0][0].variable is x
    yield node._sequence_nr() > product._sequence_nr()
    yield (x * 2).grad_fn.next_functions[1]
    product.metadata["a"] = 1
    yield node.next_functions[0][0].metadata
    yield tuple(product._input_metadata[0].shape), product._input_metadata[0].dtype
    yield {node: 1}[y.grad_fn], node == y.grad_fn, node != product


@scenario
def test_gradient_edges(t):
    get = t.autograd.graph.get_gradient_edge
    x = leaf(t)
    y = x * 3
    yield get(y).output_nr, get(y).node is y.grad_fn, get(x).node.name(), len(get(y))
    yield caught(get, t.ones(1))
    yield t.autograd.grad(y.sum(), get(y), retain_graph=True)
    yield t.autograd.grad(y.sum(), get(x), retain_graph=True)
    b = y.unbind()[1]
    yield get(b).output_nr
    t.autograd.backward(b, inputs=[get(x)])
    yield x.grad
    edge = get(leaf(t) * 2)
    yield type(edge).__name__, isinstance(edge, tuple)


@scenario
def test_increment_version(t):
    x = leaf(t)
    y = x * x
    t.autograd.graph.increment_version(x)
    yield x._version, caught(y.sum().backward)
    t.autograd.graph.increment_version([x, x])
    yield x._version


@scenario
def test_queue_callback(t):
    queue = t.autograd.Variable._execution_engine.queue_callback
    yield caught(queue, lambda: None)
    x = leaf(t)
    seen = []

    def last():
        seen.append(("second", x.grad.tolist()))

    def first():
        seen.append(("first", x.grad.tolist()))
        queue(last)

    y = x * 2
    y.register_hook(lambda g: (queue(first), seen.append("hook"))[2:] or None)
    y.sum().backward()
    yield seen

    def fails():
        raise ZeroDivisionError("at the end")

    y = x * 2
    y.register_hook(lambda g: queue(fails))
    yield caught(y.sum().backward), caught(queue, lambda: None)


@scenario
def test_set_multithreading_enabled(t):
    x = leaf(t)
    with t.autograd.set_multithreading_enabled(False):
        (x * 2).sum().backward()
    t.autograd.set_multithreading_enabled(True)
    yield x.grad


@scenario
def test_threads(t):
    """Separate graphs, one leaf: nothing is lost; an error reaches its own caller only."""
    x = leaf(t)
    errors = []

    class Fails(t.autograd.Function):
        @staticmethod
        def forward(ctx, x, fail):
            ctx.fail = fail
            return x * 2

        @staticmethod
        def backward(ctx, g):
            if ctx.fail:
                raise ZeroDivisionError("in one thread")
            return g * 2, None

    def work(k):
        for _ in range(20):
            try:
                Fails.apply(x, k == 3).sum().backward()
            except ZeroDivisionError:
                errors.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    yield x.grad, errors


def test_wrong_calls_of_a_node(wt):
    """An error, not a crash."""
    for y in (leaf(wt) * leaf(wt), leaf(wt).exp(), leaf(wt).sum(), leaf(wt).view(2, 1)):
        for args in ((), (1,), (wt.ones(7), wt.ones(7)), (wt.ones(3, 5),), ("a",), (None, None)):
            try:
                y.grad_fn(*args)
            except (RuntimeError, TypeError):
                pass


# --- Hooks of several tensors --------------------------------------------------------------------


@scenario
def test_all_gradients_at_once(t):
    a, b = leaf(t), leaf(t)
    c, d = a * 2, b * 3
    seen = []
    handle = t.autograd.graph.register_multi_grad_hook(
        [a, b, c, d], lambda grads: seen.append([g if g is None else g.tolist() for g in grads])
    )
    (c.sum() + d.sum()).backward(retain_graph=True)
    yield seen
    c.sum().backward(retain_graph=True)
    yield seen
    (a * 5).sum().backward()
    yield seen
    handle.remove()
    c.sum().backward(retain_graph=True)
    yield len(seen)
    with t.autograd.graph.register_multi_grad_hook([c, d], lambda grads: seen.append(len(grads))):
        t.autograd.grad(c.sum() + d.sum() + a.sum(), [a], retain_graph=True)
        yield seen
        t.autograd.grad(c.sum() + d.sum(), [c, d], retain_graph=True)
    yield seen


@scenario
def test_any_gradient(t):
    a, b = leaf(t), leaf(t)
    seen = []
    register = t.autograd.graph.register_multi_grad_hook
    with register([a, b], lambda g: seen.append(g.tolist()), mode="any"):
        (a * 2).sum().backward()
        (b * 3).sum().backward()
    (b * 3).sum().backward()
    yield seen
    yield caught(register, [a], lambda g: None, mode="some")


@scenario
def test_undefined_gradients_meet_hooks(t):
    class Stop(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return None

    a = leaf(t)
    b = a * 3
    c = Stop.apply(b)
    seen = []

    def note(name):
        return lambda *args: seen.append((name, str(args)))

    a.register_hook(note("a"))
    b.register_hook(note("b"))
    b.retain_grad()
    b.grad_fn.register_prehook(note("before"))
    b.grad_fn.register_hook(note("after"))
    a.register_post_accumulate_grad_hook(lambda p: seen.append("accumulated"))
    t.autograd.graph.register_multi_grad_hook([b, c], note("both"))
    c.sum().backward(retain_graph=True)
    yield seen, a.grad, b.grad
    seen.clear()
    (c.sum() + b.sum()).backward()
    yield seen, a.grad
    seen.clear()
    x, y = leaf(t).unbind()
    x.register_hook(note("x"))
    y.register_hook(note("y"))
    x.backward()
    yield seen
    b = leaf(t) * 3
    b.register_hook(lambda g: t.ones(2))
    yield caught(Stop.apply(b).sum().backward)


@scenario
def test_handles(t):
    from importlib import import_module

    handles = import_module(t.__name__ + ".utils.hooks")
    handle = leaf(t).register_hook(lambda g: g)
    yield isinstance(handle, handles.RemovableHandle)


# --- Saved tensors -------------------------------------------------------------------------------


@scenario
def test_pack_and_unpack(t):
    x = leaf(t)
    seen = []

    def pack(value):
        seen.append(("pack", value.tolist(), t.is_grad_enabled()))
        return value.tolist()

    def unpack(packed):
        seen.append(("unpack", packed, t.is_grad_enabled()))
        return t.tensor(packed)

    with t.autograd.graph.saved_tensors_hooks(pack, unpack):
        y = (x * 2) ** 2
        z = y * y + x
    yield seen, z
    z.sum().backward(retain_graph=True)
    z.sum().backward()
    yield sorted(map(str, seen)), x.grad, caught(z.sum().backward)


@scenario
def test_second_derivative_through_hooks(t):
    for unpack in (lambda v: v, lambda v: v.clone()):
        x = leaf(t)
        with t.autograd.graph.saved_tensors_hooks(lambda v: v, unpack):
            y = (x * x * 3).exp() + x.sin()
            (g,) = t.autograd.grad(y.sum(), x, create_graph=True)
            (h,) = t.autograd.grad(g.sum(), x)
        yield g, h


@scenario
def test_the_innermost_pair_wins(t):
    x = leaf(t)
    seen = []

    def pair(name):
        return t.autograd.graph.saved_tensors_hooks(lambda v: seen.append(name) or v, lambda v: v)

    with pair("outer"):
        x.exp()
        with pair("inner"):
            x.exp()
        x.exp()
    x.exp()
    yield seen


@scenario
def test_hooks_of_custom_functions(t):
    class Double(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x, None, x * 2)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            x, _, y = ctx.saved_tensors
            return g * x * y

    x = leaf(t)
    with t.autograd.graph.saved_tensors_hooks(lambda v: v + 1, lambda v: v * 10):
        y = Double.apply(x)
    y.sum().backward()
    yield x.grad


@scenario
def test_mistakes_in_hooks(t):
    hooks = t.autograd.graph.saved_tensors_hooks
    x = leaf(t)
    with hooks(lambda v: v.add_(1), lambda v: v):
        yield caught(lambda: t.ones(2) * x)
    with hooks(lambda v: v, lambda v: 3):
        y = x * x
    yield caught(y.sum().backward)

    def fails(v):
        raise ZeroDivisionError("in the hook")

    with hooks(fails, lambda v: v):
        yield caught(lambda: x * x), caught(lambda: x @ x)
    with hooks(lambda v: v, fails):
        y = x * x
    yield caught(y.sum().backward), t.is_grad_enabled()


@scenario
def test_disabled_hooks(t):
    graph = t.autograd.graph

    def enter():
        with graph.saved_tensors_hooks(lambda v: v, lambda v: v):
            pass

    with graph.disable_saved_tensors_hooks("not here"):
        yield caught(enter)
        with graph.disable_saved_tensors_hooks("nor here"):
            yield caught(enter)
        yield caught(enter)
    yield caught(enter)


@scenario
def test_save_on_cpu(t):
    x = leaf(t)
    with t.autograd.graph.save_on_cpu():
        y = (x * x).exp()
    y.sum().backward()
    yield x.grad


@scenario
def test_raw_saved_tensors(t):
    x = leaf(t)
    y = x * x
    raw = y.grad_fn._raw_saved_self
    yield type(raw).__name__, caught(type(raw))
    raw.register_hooks(lambda v: v, lambda v: v * 10)
    y.grad_fn._raw_saved_other.register_hooks(lambda v: 2, lambda v: t.full((2,), float(v)))
    yield caught(raw.register_hooks, lambda v: v, lambda v: v)
    y.sum().backward()
    yield x.grad, caught(raw.register_hooks, lambda v: v, lambda v: v)
    z = x.exp()
    z.grad_fn._raw_saved_result.register_hooks(lambda v: v, lambda v: v + 1)
    (g,) = t.autograd.grad(z.sum(), x)
    yield g


@scenario
def test_allow_mutation(t):
    graph = t.autograd.graph
    x = leaf(t)
    with graph.allow_mutation_on_saved_tensors():
        y = x.clone()
        z = y * y
        y.add_(1)
        z.sum().backward()
        yield x.grad
        y = x.clone()
        z = y.exp()
        z.mul_(2)
        y.zero_()
        z.sum().backward()
        yield x.grad
        y = x.clone()
        view = y[:1]
        z = (y * y).sum()
        view.mul_(3)
        z.backward()
        yield x.grad
        y = x.clone()
        z = y * y
        y.add_(1)
    yield caught(z.sum().backward)


@scenario
def test_allow_mutation_is_not_nested(t):
    graph = t.autograd.graph

    def enter():
        with graph.allow_mutation_on_saved_tensors():
            pass

    with graph.allow_mutation_on_saved_tensors():
        yield caught(enter)
    yield caught(enter)


def test_hooks_are_let_go_with_the_graph(wt):
    class Hook:
        def __call__(self, value):
            return value

    hook = Hook()
    seen = weakref.ref(hook)
    x = leaf(wt)
    with wt.autograd.graph.saved_tensors_hooks(hook, hook):
        y = x.exp() * x
    del hook
    assert seen() is not None
    y.sum().backward()
    del y
    gc.collect()
    assert seen() is None


def test_nodes_cannot_be_made(wt):
    with pytest.raises(TypeError):
        wt.autograd.graph.Node()
    with pytest.raises(TypeError):
        type((leaf(wt) * 2).grad_fn)()
