"""Custom functions in forward mode: `jvp`, what it is given, what it may return."""

import importlib

from compare import caught, scenario
from test_function import function


def dual(t):
    return importlib.import_module(t.__name__ + ".autograd.forward_ad")


def pushed(t, f, *more, x=None):
    """The results of a function of a dual tensor, each with its tangent."""
    fw = dual(t)
    x = t.tensor([1.0, 2.0]) if x is None else x
    with fw.dual_level():
        result = f.apply(fw.make_dual(x, t.tensor([3.0, 4.0])), *more)
        several = result if isinstance(result, tuple) else (result,)
        return [tuple(fw.unpack_dual(r)) if hasattr(r, "grad_fn") else r for r in several]


@scenario
def test_tangents(t):
    yield pushed(t, function(t, lambda ctx, x: x * 2, jvp=lambda ctx, g: g * 2))
    yield pushed(t, function(t, lambda ctx, x: (x * 2, x), jvp=lambda c, g: (g * 2, g.view_as(g))))
    yield caught(pushed, t, function(t, lambda ctx, x: x * 2))
    setup = {"setup_context": lambda ctx, inputs, output: setattr(ctx, "k", 7)}
    yield pushed(t, function(t, lambda x: x * 2, jvp=lambda ctx, g: g * ctx.k, **setup))


@scenario
def test_arguments_without_tangents(t):
    seen = []

    def jvp(ctx, *given):
        seen.extend(g if g is None else g.tolist() for g in given)
        return given[0]

    def without_zeros(ctx, x, k):
        ctx.set_materialize_grads(False)
        return x * k

    for more in (3, t.tensor([5.0, 6.0]), t.tensor([1, 2])):
        yield pushed(t, function(t, lambda ctx, x, k: x * k, jvp=jvp), more), seen
        yield pushed(t, function(t, without_zeros, jvp=jvp), more), seen


@scenario
def test_save_for_forward(t):
    seen = []

    def forward(ctx, x):
        ctx.save_for_forward(x, None)
        ctx.save_for_backward(x)
        ctx.k = 3
        return x**2

    def jvp(ctx, g):
        x, none = ctx.saved_tensors
        seen.append((ctx.k, none, len(ctx.saved_for_forward)))
        return 2 * x * g

    square = function(t, forward, jvp=jvp)
    yield pushed(t, square), seen
    fw = dual(t)
    with fw.dual_level():
        x = t.tensor([1.0, 2.0], requires_grad=True)
        y = square.apply(fw.make_dual(x, t.ones(2)))
        yield y.grad_fn.saved_for_forward, len(y.grad_fn.saved_tensors)

    def wrong(ctx, x):
        ctx.save_for_forward(3)
        return x * 2

    yield caught(pushed, t, function(t, wrong, jvp=jvp))


@scenario
def test_wrong_tangents(t):
    for value in (
        lambda g: 3,
        lambda g: [g],
        lambda g: (g, g),
        lambda g: (),
        lambda g: t.ones(3),
        lambda g: t.ones(()),
    ):
        double = function(t, lambda ctx, x: x * 2, jvp=lambda ctx, g, v=value: v(g))
        yield caught(pushed, t, double)

    def fails(ctx, g):
        raise ValueError("mine")

    yield caught(pushed, t, function(t, lambda ctx, x: x * 2, jvp=fails))


@scenario
def test_outputs_without_derivative(t):
    def marked(ctx, x):
        y = x * 3
        ctx.mark_non_differentiable(y)
        return x * 2, y, "text"

    yield pushed(t, function(t, marked, jvp=lambda ctx, g: (g * 2, None, None)))
    yield caught(pushed, t, function(t, marked, jvp=lambda ctx, g: (g * 2, g, None)))
    yield pushed(t, function(t, lambda ctx, x: x.long(), jvp=lambda ctx, g: None))
    yield caught(pushed, t, function(t, lambda ctx, x: x.long(), jvp=lambda ctx, g: g))


@scenario
def test_writes(t):
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(2)

    x = t.tensor([1.0, 2.0])
    yield pushed(t, function(t, forward, jvp=lambda ctx, g: g.mul_(2)), x=x.clone())
    for jvp in (lambda ctx, g: g * 2, lambda ctx, g: g.mul_(2).clone()):
        yield caught(pushed, t, function(t, forward, jvp=jvp), x=x.clone())

    def into(ctx, x, y):
        ctx.mark_dirty(y)
        return y.mul_(x)

    scale = function(t, into, jvp=lambda ctx, g, h: g * 2)
    yield pushed(t, scale, x.clone())
    fw = dual(t)
    with fw.dual_level():
        base = t.ones(2, 2)
        part = base[0]
        scale.apply(fw.make_dual(x, x), part)
        yield tuple(fw.unpack_dual(base)), tuple(fw.unpack_dual(part))


@scenario
def test_views_of_arguments(t):
    def column(ctx, x):
        return x.view(2, 1)

    yield pushed(t, function(t, column, jvp=lambda ctx, g: g.view(2, 1)))
    yield caught(pushed, t, function(t, column, jvp=lambda ctx, g: g.view(2, 1).clone()))
    yield caught(pushed, t, function(t, column, jvp=lambda ctx, g: t.ones(2, 2)[:, :1]))
    yield pushed(t, function(t, lambda ctx, x: x, jvp=lambda ctx, g: g.view_as(g)))
    yield caught(pushed, t, function(t, lambda ctx, x: x, jvp=lambda ctx, g: g))
    other = function(t, lambda ctx, x, y: y.view(2, 1), jvp=lambda ctx, g, h: g.view(2, 1))
    yield pushed(t, other, t.ones(2))


@scenario
def test_modes_inside(t):
    seen = []
    fw = dual(t)

    def forward(ctx, x):
        seen.append((fw.unpack_dual(x * 2).tangent, t.is_grad_enabled()))
        return x * 2

    def jvp(ctx, g):
        seen.append((fw.unpack_dual(g).tangent, t.is_grad_enabled(), g.requires_grad))
        return g * 2

    yield pushed(t, function(t, forward, jvp=jvp)), seen


@scenario
def test_both_modes(t):
    def forward(ctx, x):
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)
        return x**3

    def slope(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * g

    cube = function(t, forward, slope, jvp=slope)
    fw = dual(t)
    x = t.tensor([1.0, 2.0], requires_grad=True)
    v = t.tensor([3.0, 4.0], requires_grad=True)
    with fw.dual_level():
        y = cube.apply(fw.make_dual(x, v))
        value, tangent = fw.unpack_dual(y)
        yield t.autograd.grad(tangent.sum(), (x, v), retain_graph=True)
        (g,) = t.autograd.grad(value.sum(), x)
        yield fw.unpack_dual(g).tangent
