"""The life of custom functions: backward inside backward, cycles, long chains."""

import gc
import weakref

import pytest

from compare import caught, scenario
from test_function import function, leaf


@scenario
def test_backward_inside_backward(t):
    """To a depth that no single stack could hold."""

    def forward(ctx, x, depth):
        ctx.depth = depth
        ctx.save_for_backward(x)
        return x.clone()

    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        if ctx.depth > 0:
            with t.enable_grad():
                x = x.detach().requires_grad_()
                nested.apply(x, ctx.depth - 1).sum().backward()
            g = x.grad
        return g + 1, None

    nested = function(t, forward, backward)
    x = leaf(t)
    nested.apply(x, 2000).sum().backward()
    yield x.grad, t.is_grad_enabled()


@scenario
def test_an_error_far_inside(t):
    def backward(ctx, g):
        if ctx.depth == 0:
            raise ZeroDivisionError("at the bottom")
        with t.enable_grad():
            nested.apply(leaf(t), ctx.depth - 1).sum().backward()
        return g, None

    def forward(ctx, x, depth):
        ctx.depth = depth
        return x.clone()

    nested = function(t, forward, backward)
    yield caught(nested.apply(leaf(t), 150).sum().backward), t.is_grad_enabled()


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.wengert_only
def test_a_cycle_through_the_context_is_collected(wt, backward):
    def forward(ctx, x, kept):
        ctx.kept = kept
        y = x.clone()
        ctx.save_for_backward(y)
        return y

    keeping = function(wt, forward, lambda ctx, g: (g * ctx.saved_tensors[0], None))
    gc.collect()
    nodes, _ = wt._wengert._live()
    kept = {}
    out = keeping.apply(leaf(wt), kept)
    kept["out"] = out
    if backward:
        out.sum().backward()
    seen = weakref.ref(out)
    del kept, out
    gc.collect()
    assert seen() is None
    assert wt._wengert._live()[0] == nodes


@pytest.mark.wengert_only
def test_a_context_that_holds_itself_is_collected(wt):
    def forward(ctx, x):
        ctx.me = ctx
        return x * 2

    gc.collect()
    before = wt._wengert._live()[0]
    function(wt, forward).apply(leaf(wt))
    gc.collect()
    assert wt._wengert._live()[0] == before


@pytest.mark.parametrize("saved", ["input", "output"])
@pytest.mark.wengert_only
def test_saving_makes_no_cycle(wt, saved):
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(x if saved == "input" else y)
        return y

    gc.collect()
    gc.disable()
    try:
        before = wt._wengert._live()
        y = function(wt, forward, lambda ctx, g: g).apply(leaf(wt))
        for _ in range(3):
            y.sum().backward(retain_graph=True)
        del y
        assert wt._wengert._live() == before
    finally:
        gc.enable()


def test_long_chains(wt):
    double = function(wt, lambda ctx, x: x.clone(), lambda ctx, g: g)
    x = leaf(wt)
    y = x
    for _ in range(50_000):
        y = double.apply(y)
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]
    del y
