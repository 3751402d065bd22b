"""Custom functions: what `forward` may say and return, and what `backward` may return."""

import pytest

from compare import caught, scenario, warned


def function(t, forward, backward=None, **more):
    """A Function of these two functions."""
    space = {"forward": staticmethod(forward)}
    if backward is not None:
        space["backward"] = staticmethod(backward)
    space.update({name: staticmethod(f) for name, f in more.items()})
    return type("MyFunction", (t.autograd.Function,), space)


def cube(t):
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 3 * x**2

    return function(t, forward, backward)


def leaf(t, *values):
    return t.tensor(values or (1.0, 2.0), requires_grad=True)


@scenario
def test_forward_and_backward(t):
    x = leaf(t)
    y = cube(t).apply(x)
    yield y, y.grad_fn.name(), type(y.grad_fn).__name__, repr(y.grad_fn).split(" at ")[0]
    yield len(y.grad_fn.next_functions), y.grad_fn.next_functions[0][0].variable is x
    y.sum().backward()
    yield x.grad


@scenario
def test_second_derivative(t):
    x = leaf(t)
    for _ in range(3):
        (g,) = t.autograd.grad(cube(t).apply(x).sum(), x, create_graph=True)
        (h,) = t.autograd.grad(g.sum(), x, create_graph=True)
        (i,) = t.autograd.grad(h.sum(), x)
        yield g, h, i


@scenario
def test_setup_context(t):
    seen = []

    def setup(ctx, inputs, output):
        seen.append((len(inputs), inputs[1], output.requires_grad, t.is_grad_enabled()))
        ctx.k = inputs[1]

    scale = function(t, lambda x, k=5: x * k, lambda ctx, g: (g * ctx.k, None), setup_context=setup)
    x = leaf(t)
    for y in (scale.apply(x), scale.apply(x, 2), scale.apply(x, k=3)):
        x.grad = None
        y.sum().backward()
        yield y, x.grad, seen


@scenario
def test_vjp_is_another_name(t):
    x = leaf(t)
    function(t, lambda ctx, x: x * 2, vjp=lambda ctx, g: g * 7).apply(x).sum().backward()
    yield x.grad
    both = function(t, lambda ctx, x: x * 2, lambda ctx, g: g, vjp=lambda ctx, g: g)
    yield caught(both.apply(x).sum().backward)


@scenario
def test_missing_methods(t):
    x = leaf(t)
    yield caught(t.autograd.Function.apply, x)
    yield caught(function(t, lambda ctx, x: x * 2).apply(x).sum().backward)


@scenario
def test_legacy_use(t):
    made, warnings = warned(cube(t))
    yield [w.split("(")[0].split("'")[0] for w in warnings]
    yield caught(made, leaf(t))


@scenario
def test_modes_inside(t):
    seen = []

    def forward(ctx, x):
        seen.append(("forward", t.is_grad_enabled(), (x * 2).requires_grad))
        return x * 2

    def backward(ctx, g):
        seen.append(("backward", t.is_grad_enabled()))
        return g * 2

    x = leaf(t)
    double = function(t, forward, backward)
    double.apply(x).sum().backward()
    t.autograd.grad(double.apply(x).sum(), x, create_graph=True)
    yield seen, t.is_grad_enabled()


@scenario
def test_no_node_without_need(t):
    x = leaf(t)
    needs = []

    def forward(ctx, x, k):
        needs.append(ctx.needs_input_grad)
        return x * k

    scale = function(t, forward, lambda ctx, g: (g, None))
    yield scale.apply(x, 3), scale.apply(x.detach(), 3)
    with t.no_grad():
        yield scale.apply(x, 3)
    yield needs


@scenario
def test_needs_input_grad(t):
    seen = []

    def backward(ctx, g):
        seen.append(ctx.needs_input_grad)
        return g, g, None

    times = function(t, lambda ctx, a, b, k: a * b * k, backward)
    x, y = leaf(t), leaf(t)
    times.apply(x, y.detach(), 2).sum().backward()
    times.apply(x.detach(), y, 2).sum().backward()
    yield seen, x.grad, y.grad, times.apply(x, y.detach(), 2).grad_fn.next_functions[1]


@scenario
def test_only_top_level_tensors_are_tracked(t):
    x, y = leaf(t), leaf(t)
    total = function(t, lambda ctx, x, rest: x + rest[0], lambda ctx, g: (g, None))
    out = total.apply(x, [y])
    out.sum().backward()
    yield out, x.grad, y.grad, len(out.grad_fn.next_functions)


@scenario
def test_outputs_of_all_kinds(t):
    x = leaf(t)
    seen = []

    def backward(ctx, *grads):
        seen.append([g if g is None else g.tolist() for g in grads])
        return grads[2]

    mixed = function(t, lambda ctx, x: (x * 2, "text", x * 3, None), backward)
    a, text, b, none = mixed.apply(x)
    yield a, text, b, none, a.output_nr, b.output_nr
    b.sum().backward()
    yield seen, x.grad
    yield function(t, lambda ctx, x: None).apply(x)
    yield function(t, lambda ctx, x: (x * 2,)).apply(x)
    listed = function(t, lambda ctx, x: [x, x]).apply(x)
    yield type(listed).__name__, listed[0] is x
    yield function(t, lambda ctx, x: (x * 2).long()).apply(x)


@scenario
def test_undefined_gradients(t):
    x = leaf(t)
    seen = []

    def backward(ctx, a, b):
        seen.append([g if g is None else g.tolist() for g in (a, b)])
        return a

    for materialize in (True, False):

        def forward(ctx, x, materialize=materialize):
            ctx.set_materialize_grads(materialize)
            return x * 2, x * 3

        function(t, forward, backward).apply(x)[0].sum().backward()
        yield seen, x.grad


@scenario
def test_mark_non_differentiable(t):
    x = leaf(t)
    seen = []

    def forward(ctx, x):
        a, b = x * 2, x * 3
        ctx.mark_non_differentiable(b)
        return a, b

    def backward(ctx, a, b):
        seen.append([g if g is None else g.tolist() for g in (a, b)])
        return a

    a, b = function(t, forward, backward).apply(x)
    yield a, b
    a.sum().backward()
    yield seen, x.grad

    def wrong(ctx, x):
        ctx.mark_non_differentiable(3)
        return x * 2

    yield "mark_non_differentiable only accepts" in caught(function(t, wrong).apply, x)


@scenario
def test_same_output_twice(t):
    x = leaf(t)
    seen = []

    def forward(ctx, x):
        y = x * 2
        return y, y

    def backward(ctx, *grads):
        seen.append([g.tolist() for g in grads])
        return grads[0] + grads[1]

    a, b = function(t, forward, backward).apply(x)
    yield a is b, a.output_nr
    (a * 2 + b * 3).sum().backward()
    yield seen, x.grad


@scenario
def test_input_returned_as_is(t):
    x = leaf(t)
    y = function(t, lambda ctx, x: x, lambda ctx, g: g * 3).apply(x)
    yield y, y is x, y._is_view(), y._base is x
    seen = []
    x.register_hook(lambda g: seen.append(g.tolist()))
    y.sum().backward()
    yield x.grad, seen, caught(y.add_, 1)
    z = function(t, lambda ctx, x: x, lambda ctx, g: g).apply(x.detach())
    yield z, z._is_view()


@scenario
def test_view_of_an_input(t):
    x = leaf(t)
    y = function(t, lambda ctx, x: x.view(2, 1), lambda ctx, g: g.view(2) * 5).apply(x)
    yield y, y._is_view(), caught(y.add_, 1)
    y.sum().backward()
    yield x.grad
    a, b = function(t, lambda ctx, x: (x[:1], x[1:]), lambda ctx, a, b: t.cat([a, b]) * 3).apply(x)
    yield a, b, caught(a.add_, 1)
    (a * 2 + b).sum().backward()
    yield x.grad


@scenario
def test_tensors_that_require_grad_themselves(t):
    """What `forward` recorded by itself is cut off."""

    def forward(ctx, x):
        with t.enable_grad():
            return x * 2

    def fresh(ctx, x):
        return t.ones(2, requires_grad=True)

    x = leaf(t)
    y = function(t, forward, lambda ctx, g: g * 7).apply(x)
    y.sum().backward()
    yield y, x.grad, function(t, forward).apply(x.detach())
    for arg in (x, x.detach()):
        yield function(t, fresh, lambda ctx, g: g).apply(arg)


@scenario
def test_wrong_arguments(t):
    same = function(t, lambda ctx, x, k=1: x)
    x = leaf(t)
    yield caught(same.apply), caught(same.apply, x, 2, 3)
    yield function(t, lambda ctx: t.ones(2)).apply()


def adding(t):
    def forward(ctx, x, more):
        ctx.mark_dirty(x)
        return x.add_(more)

    return function(t, forward, lambda ctx, g: (g * 10, g * 100))


@scenario
def test_mark_dirty(t):
    x, more = leaf(t), leaf(t)
    y = x * 2
    z = adding(t).apply(y, more)
    yield z is y, y, y._version
    y.sum().backward()
    yield x.grad, more.grad
    yield caught(adding(t).apply, x, more)


@scenario
def test_mark_dirty_of_a_view(t):
    x, more = leaf(t, 1.0, 2.0, 3.0), t.ones(2, requires_grad=True)
    base = x * 2
    view = base[1:]
    out = adding(t).apply(view, more)
    yield out is view, base, base.grad_fn.name()
    base.sum().backward()
    yield x.grad, more.grad
    y = t.zeros(3)
    adding(t).apply(y[1:], more)
    yield y.requires_grad, y


@scenario
def test_mark_dirty_mistakes(t):
    x = leaf(t)

    def lost(ctx, x):
        ctx.mark_dirty(x)
        x.add_(1)
        return x * 2

    yield caught(function(t, lost).apply, x * 1)

    def two(ctx, x):
        ctx.mark_dirty(x)
        return x.add_(1), x * 2

    yield caught(function(t, two).apply, (x * 1)[:1])


@scenario
def test_wrong_gradients(t):
    x = leaf(t)

    def returning(value):
        return function(t, lambda ctx, x: x * 2, lambda ctx, g: value(g)).apply(x).sum().backward

    yield caught(returning(lambda g: (g, g))), caught(returning(lambda g: ()))
    yield caught(returning(lambda g: 3)), caught(returning(lambda g: [g]))
    yield caught(returning(lambda g: t.ones(3))), caught(returning(lambda g: g.sum()))
    returning(lambda g: (g, None, None))()
    yield x.grad
    number = function(t, lambda ctx, x, k: x * 2, lambda ctx, g: (g, g))
    yield caught(number.apply(x, 3).sum().backward)


@scenario
def test_gradients_are_fitted(t):
    for change in (
        lambda g: g.expand(3, 2),
        lambda g: g.double(),
        lambda g: g.long(),
        lambda g: None,
    ):
        x = leaf(t)
        function(t, lambda ctx, x: x * 2, lambda ctx, g, f=change: f(g)).apply(x).sum().backward()
        yield x.grad


@scenario
def test_saved_tensors_are_checked(t):
    x = leaf(t)
    y = x * 1
    z = cube(t).apply(y)
    y.add_(1)
    yield caught(z.sum().backward)
    z = cube(t).apply(x)
    yield z.grad_fn.saved_tensors[0] is x
    z.sum().backward()
    yield caught(lambda: z.grad_fn.saved_tensors), caught(z.sum().backward)


@scenario
def test_a_saved_output_is_checked(t):
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y, None)
        return y

    def backward(ctx, g):
        y, none = ctx.saved_tensors
        assert none is None
        return g * y

    exp = function(t, forward, backward)
    x = leaf(t)
    y = exp.apply(x)
    yield y.grad_fn.saved_tensors[0]
    (g,) = t.autograd.grad(y.sum(), x, create_graph=True)
    yield g, t.autograd.grad(g.sum(), x)
    y = exp.apply(x)
    y.mul_(2)
    yield caught(y.sum().backward)


@scenario
def test_save_for_backward_takes_tensors_only(t):
    def saving(value):
        def forward(ctx, x):
            ctx.save_for_backward(value)
            return x * 2

        return function(t, forward).apply

    x = leaf(t)
    yield caught(saving(3), x), caught(saving([x]), x)


@scenario
def test_context(t):
    seen = []

    def forward(ctx, x):
        ctx.note, ctx.list = "kept", [1]
        seen.append((ctx.saved_tensors, ctx.needs_input_grad, ctx.name(), ctx.to_save))
        seen.append(caught(lambda: ctx.other))
        return x * 2

    def backward(ctx, g):
        seen.append((ctx.note, ctx.list, ctx.name()))
        ctx.list.append(2)
        return g

    y = function(t, forward, backward).apply(leaf(t))
    yield seen, y.grad_fn.note
    y.sum().backward(retain_graph=True)
    y.sum().backward(retain_graph=True)
    yield seen, y.grad_fn.list, isinstance(y.grad_fn, t.autograd.graph.Node)
    y.grad_fn.metadata["free"] = 1
    yield y.grad_fn.metadata, y.grad_fn is y.grad_fn, hash(y.grad_fn) == hash(y.grad_fn)


@scenario
def test_hooks_of_the_node(t):
    x = leaf(t)
    y = cube(t).apply(x)
    seen = []
    y.grad_fn.register_prehook(lambda g: (g[0] * 2,))
    y.grad_fn.register_hook(lambda i, o: seen.append((i[0].tolist(), o[0].tolist())))
    y.sum().backward()
    yield seen, x.grad


@scenario
def test_once_differentiable(t):
    once = t.autograd.function.once_differentiable

    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * x * 2

    square = function(t, forward, once(backward))
    x, v = leaf(t), leaf(t)
    (g,) = t.autograd.grad(square.apply(x).sum(), x, create_graph=True)
    yield g.requires_grad, t.autograd.grad(square.apply(x), x, v)
    (g,) = t.autograd.grad(square.apply(x), x, v, create_graph=True)
    yield g.requires_grad, caught(g.sum().backward)


@scenario
def test_errors_come_through(t):
    class Mine(Exception):
        pass

    def fails(*args):
        raise Mine("with this text")

    x = leaf(t)
    yield caught(function(t, fails).apply, x), t.is_grad_enabled()
    y = function(t, lambda ctx, x: x * 2, fails).apply(x)
    yield caught(y.sum().backward), t.is_grad_enabled()


def test_the_traceback_shows_the_user_s_lines(wt):
    def inner(ctx, g):
        raise ValueError("here")

    y = function(wt, lambda ctx, x: x * 2, inner).apply(leaf(wt))
    with pytest.raises(ValueError) as raised:
        y.sum().backward()
    assert raised.traceback[-1].name == "inner"


@pytest.mark.parametrize("place", ["forward", "backward", "hook"])
def test_keyboard_interrupts_come_through(wt, place):
    def interrupt(*args):
        raise KeyboardInterrupt

    double = function(
        wt,
        interrupt if place == "forward" else lambda ctx, x: x * 2,
        interrupt if place == "backward" else lambda ctx, g: g * 2,
    )
    x = leaf(wt)
    with pytest.raises(KeyboardInterrupt):
        y = double.apply(x)
        if place == "hook":
            y.register_hook(interrupt)
        y.sum().backward()
    assert wt.is_grad_enabled()


@scenario
def test_inheritance(t):
    class Base(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    class Derived(Base):
        generate_vmap_rule = True

        @staticmethod
        def backward(ctx, g):
            return g * 5

        @classmethod
        def call(cls, x):
            return cls.apply(x)

    x = leaf(t)
    y = Derived.call(x)
    y.sum().backward()
    yield y.grad_fn.name(), x.grad
