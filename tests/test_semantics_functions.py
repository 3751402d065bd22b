"""Rules of custom functions, checkpoints, the engine and anomaly mode beyond the tests of each."""

import pytest

from compare import caught, scenario, warned
from test_function import function, leaf


def tools(t):
    from importlib import import_module

    return import_module(t.__name__ + ".utils.checkpoint")


# --- Custom functions ----------------------------------------------------------------------------


@scenario
def test_older_names(t):
    for name in ("Function", "FunctionCtx", "InplaceFunction", "NestedIOFunction", "FunctionMeta"):
        yield hasattr(t.autograd.function, name)
    nested = t.autograd.function.NestedIOFunction
    yield issubclass(nested, t.autograd.Function)
    yield issubclass(t.autograd.function.InplaceFunction, t.autograd.Function)

    class Old(t.autograd.Function):
        def forward(self, x):
            return x

    made, given = warned(Old)
    yield caught(made, leaf(t)), len(given), caught(Old.apply, leaf(t)) is not None
    made, _ = warned(nested)
    yield caught(made.forward_extended, leaf(t)), caught(made.backward_extended)


@scenario
def test_what_forward_gets(t):
    x, w = leaf(t), leaf(t)
    seen = []

    def forward(ctx, a, b, c=3):
        seen.append((a is x, a.requires_grad, b, c, ctx.needs_input_grad, t.is_grad_enabled()))
        return a * 2

    f = function(t, forward, lambda ctx, g: (g, None, None))
    f.apply(x, [w], 4)
    f.apply(x, None)
    f.apply(x, {"k": w}, w)
    yield [s[:2] + s[4:] for s in seen]


@scenario
def test_a_node_only_if_something_requires_grad(t):
    x = leaf(t)
    f = function(t, lambda ctx, a: a * 2, lambda ctx, g: g)
    yield f.apply(x).grad_fn is None, f.apply(x.detach()).grad_fn is None
    with t.no_grad():
        yield f.apply(x).grad_fn is None
    i = function(t, lambda ctx, a: a.long(), lambda ctx, g: g)
    yield i.apply(x).grad_fn is None, i.apply(x).requires_grad


@scenario
def test_saving_is_checked(t):
    x = leaf(t)

    def forward(ctx, a):
        middle = a * 2
        ctx.save_for_backward(a, middle, None)
        return middle * 2

    def backward(ctx, g):
        a, middle, none = ctx.saved_tensors
        assert none is None
        return g * a * middle

    f = function(t, forward, backward)
    y = f.apply(x)
    yield y.grad_fn.saved_tensors[1], y.grad_fn.needs_input_grad
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    yield x.grad, caught(lambda: y.grad_fn.saved_tensors)
    z = x * 1
    y = f.apply(z)
    with t.no_grad():
        z.add_(1)
    yield caught(y.sum().backward)


@scenario
def test_gradients_of_gradients_through_functions(t):
    def forward(ctx, a):
        ctx.save_for_backward(a)
        return a**3

    def backward(ctx, g):
        (a,) = ctx.saved_tensors
        return g * a * a * 3

    f = function(t, forward, backward)
    x = leaf(t)
    for _ in range(3):
        (g,) = t.autograd.grad(f.apply(x).sum(), x, create_graph=True)
        (h,) = t.autograd.grad(g.sum(), x, create_graph=True)
        yield g, h, t.autograd.grad(h.sum(), x)


@scenario
def test_exceptions_keep_their_type(t):
    class Mine(Exception):
        pass

    def fails(ctx, *args):
        raise Mine("mine")

    x = leaf(t)
    yield caught(function(t, fails, fails).apply, x), t.is_grad_enabled()
    y = function(t, lambda ctx, a: a * 2, fails).apply(x)
    yield caught(y.sum().backward), t.is_grad_enabled(), x.grad
    yield caught(t.autograd.grad, y.sum(), x, create_graph=True)


# --- Checkpoints ---------------------------------------------------------------------------------


@scenario
def test_checkpoints_of_several_results(t):
    x = leaf(t)
    a, b, c = tools(t).checkpoint(lambda v: (v.exp(), 3, v.sin()), x, use_reentrant=False)
    (a.sum() + c.sum()).backward()
    yield b, x.grad
    y = tools(t).checkpoint(lambda v: v.exp(), x.detach(), use_reentrant=False)
    yield y.requires_grad
    with t.no_grad():
        yield tools(t).checkpoint(lambda v: v.exp(), x, use_reentrant=False).requires_grad


@scenario
def test_checkpoints_inside_functions_and_hooks(t):
    x = leaf(t)
    seen = []
    y = tools(t).checkpoint(lambda v: v.exp().sin(), x, use_reentrant=False)
    y.register_hook(lambda g: seen.append(g.tolist()))
    x.register_hook(lambda g: seen.append(len(g)))
    (y * y).sum().backward()
    yield seen[1:], x.grad


@scenario
def test_segments(t):
    steps = [t.exp, t.sin, t.cos, t.tanh]
    for segments in (1, 2, 4):
        x = leaf(t)
        y = tools(t).checkpoint_sequential(steps, segments, x, use_reentrant=False)
        y.sum().backward()
        yield y, x.grad


# --- The engine ----------------------------------------------------------------------------------


@scenario
def test_order_of_nodes(t):
    """A node runs after all that use it; of two that are ready, the newer one first."""
    x = leaf(t)
    seen = []

    def watched(y, name):
        y.register_hook(lambda g: seen.append(name))
        return y

    a = watched(x * 2, "a")
    b = watched(x * 3, "b")
    c = watched(a + b, "c")
    d = watched(a * c, "d")
    e = watched(b * 5, "e")
    (d + e).sum().backward()
    yield seen, x.grad


@scenario
def test_accumulation_comes_as_early_as_it_can(t):
    x, w = leaf(t), leaf(t)
    seen = []
    x.register_post_accumulate_grad_hook(lambda p: seen.append("x"))
    y = w * 2
    y.register_hook(lambda g: seen.append("y"))
    (y * x).sum().backward()
    yield seen


@scenario
def test_only_what_is_needed_runs(t):
    x, w = leaf(t), leaf(t)
    seen = []
    y, z = x * 2, w * 3
    y.grad_fn.register_hook(lambda i, o: seen.append("y"))
    z.grad_fn.register_hook(lambda i, o: seen.append("z"))
    t.autograd.grad((y + z).sum(), x)
    yield seen


@scenario
def test_callbacks(t):
    queue = t.autograd.Variable._execution_engine.queue_callback
    x = leaf(t)
    seen = []

    def inner(g):
        seen.append("hook")
        queue(lambda: (seen.append("one"), queue(lambda: seen.append("two"))) and None)
        with t.enable_grad():
            (leaf(t) * 2).sum().backward()
        seen.append("after")

    y = x * 2
    y.register_hook(inner)
    y.sum().backward()
    yield seen, caught(queue, lambda: None)


@scenario
def test_the_mode_inside(t):
    x = leaf(t)
    seen = []
    y = x * 2
    y.register_hook(lambda g: seen.append(t.is_grad_enabled()))
    y.sum().backward(retain_graph=True)
    t.autograd.grad(y.sum(), x, create_graph=True)
    with t.no_grad():
        t.autograd.grad(y, x, t.ones(2), retain_graph=True)
        t.autograd.grad(y, x, t.ones(2), create_graph=True)
        seen.append(t.is_grad_enabled())
    yield seen


# --- Anomaly mode --------------------------------------------------------------------------------


@pytest.mark.parametrize("check", [True, False])
@scenario
def test_nan_of_a_function(t, check):
    f = function(t, lambda ctx, a: a * 2, lambda ctx, g: g * float("nan"))
    x = leaf(t)
    with t.autograd.set_detect_anomaly(True, check):
        y = f.apply(x)
        yield sorted(y.grad_fn.metadata), caught(y.sum().backward), x.grad
    yield t.is_anomaly_enabled(), t.is_anomaly_check_nan_enabled()


@scenario
def test_anomaly_mode_of_graphs_from_outside(t):
    x = t.tensor([0.0], requires_grad=True)
    y = x.sqrt() * 0
    with t.autograd.detect_anomaly():
        yield caught(y.sum().backward)
    yield caught(y.sum().backward), x.grad
