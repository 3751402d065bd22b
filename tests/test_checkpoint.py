"""Checkpoints: values that backward needs are computed again."""

import gc
import weakref
from importlib import import_module

import pytest

from compare import caught, scenario, warned

BOTH = pytest.mark.parametrize("reentrant", [True, False])


def leaf(t, *values):
    return t.tensor(values or (1.0, 2.0), requires_grad=True)


def tools(t):
    return import_module(t.__name__ + ".utils.checkpoint")


def body(x, *more):
    y = (x * 2).sin().exp()
    return y * more[0] if more else y


@BOTH
@scenario
def test_gradients(t, reentrant):
    calls = []

    def function(x, scale):
        calls.append(t.is_grad_enabled())
        return body(x, scale)

    x = leaf(t)
    y = tools(t).checkpoint(function, x, 3.0, use_reentrant=reentrant)
    yield y.requires_grad, calls, y.detach()
    (y * 2).sum().backward()
    yield x.grad, calls


@BOTH
@scenario
def test_once_per_backward(t, reentrant):
    calls = []

    def function(x):
        calls.append(1)
        return body(x), x.cos()

    x = leaf(t)
    a, b = tools(t).checkpoint(function, x, use_reentrant=reentrant)
    total = a.sum() + b.sum()
    total.backward(retain_graph=True)
    yield len(calls), x.grad
    total.backward()
    yield len(calls), x.grad
    yield caught(total.backward) is not None


@BOTH
@scenario
def test_random_numbers_are_replayed(t, reentrant):
    for preserve in (True, False):
        t.manual_seed(3)
        x = leaf(t)
        drawn = []

        def function(x, drawn=drawn):
            noise = t.rand(2)
            drawn.append(noise.tolist())
            return x * noise * x

        y = tools(t).checkpoint(function, x, use_reentrant=reentrant, preserve_rng_state=preserve)
        between = t.rand(1)
        y.sum().backward()
        yield drawn[0] == drawn[1], between, t.rand(1), x.grad


@scenario
def test_use_reentrant_should_be_given(t):
    _, warnings = warned(tools(t).checkpoint, body, leaf(t))
    yield warnings[:1]


@scenario
def test_reentrant_refusals(t):
    checkpoint = tools(t).checkpoint
    x = leaf(t)
    y = checkpoint(body, x, use_reentrant=True)
    yield caught(t.autograd.grad, y.sum(), x)
    yield caught(checkpoint(body, x, use_reentrant=True).sum().backward, inputs=[x])
    y = checkpoint(lambda x: x.detach(), x, use_reentrant=True)
    yield caught(y.sum().backward)
    out, warnings = warned(checkpoint, body, x.detach(), use_reentrant=True)
    yield out.requires_grad, warnings
    yield caught(checkpoint, body, x, use_reentrant=True, other=1)
    yield caught(checkpoint, body, x, use_reentrant=True, debug=True)


@scenario
def test_keywords_and_other_values(t):
    def function(x, *, scale, name, more):
        assert name == "n"
        return x * x * scale + more[0] * x

    x, m = leaf(t), leaf(t)
    y = tools(t).checkpoint(function, x, use_reentrant=False, scale=3, name="n", more=[m])
    (g, h) = t.autograd.grad(y.sum(), [x, m])
    yield g, h
    yield caught(tools(t).checkpoint, body, x, use_reentrant=False, determinism_check="none!")


@scenario
def test_inputs_and_second_derivatives(t):
    x, w = leaf(t), leaf(t)
    y = tools(t).checkpoint(lambda x: (x * w).exp(), x, use_reentrant=False)
    (g,) = t.autograd.grad(y.sum(), x, create_graph=True)
    yield g, t.autograd.grad(g.sum(), [x, w])


@scenario
def test_stops_early(t):
    reached = []

    def function(x):
        y = x.exp()
        z = y.sin()
        reached.append("between")
        z = z * z
        reached.append("end")
        return z + 1

    for early in (True, False):
        x = leaf(t)
        y = tools(t).checkpoint(function, x, use_reentrant=False, early_stop=early)
        reached.clear()
        y.sum().backward()
        yield reached, x.grad
    with tools(t).set_checkpoint_early_stop(False):
        y = tools(t).checkpoint(function, x, use_reentrant=False)
    reached.clear()
    y.sum().backward()
    yield reached


@BOTH
@scenario
def test_nested(t, reentrant):
    checkpoint = tools(t).checkpoint
    calls = []

    def inner(x):
        calls.append("inner")
        return x.sin().exp()

    def middle(x):
        calls.append("middle")
        return checkpoint(inner, x.cos(), use_reentrant=reentrant).sin()

    def outer(x):
        calls.append("outer")
        return checkpoint(middle, x * 2, use_reentrant=reentrant) * x

    x = leaf(t)
    y = checkpoint(outer, x, use_reentrant=reentrant)
    y.sum().backward()
    yield x.grad
    a = leaf(t)
    outer(a).sum().backward()
    yield a.grad


@scenario
def test_differences_are_found(t):
    def changing(first, second):
        calls = []

        def function(x):
            calls.append(1)
            return first(x) if len(calls) == 1 else second(x)

        return function

    def one(x):
        return (x * x).sin()

    def other(x):
        return (x * x * x * 2).sin().exp()

    def small(x):
        return (x * x).sum().sin()

    def run(first, second, **more):
        x = leaf(t)
        y = tools(t).checkpoint(changing(first, second), x, use_reentrant=False, **more)
        return caught(y.sum().backward)

    yield run(one, other, early_stop=False).split("\n")[0]
    yield run(other, one).split("\n")[0]
    yield run(one, small).split("\n")[0]
    yield run(one, small, determinism_check="none") is None
    yield run(one, one)


@scenario
def test_contexts(t):
    seen = []

    class Note:
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            seen.append(("in", self.name))

        def __exit__(self, *exc):
            seen.append(("out", self.name))

    x = leaf(t)
    y = tools(t).checkpoint(
        body, x, use_reentrant=False, context_fn=lambda: (Note("first"), Note("again"))
    )
    yield seen
    y.sum().backward()
    yield seen


@BOTH
@scenario
def test_sequential(t, reentrant):
    steps = [t.sin, t.exp, t.cos, t.tanh, t.sqrt]
    for segments in (1, 2, 3, 5):
        x = leaf(t, 0.1, 0.2)
        y = tools(t).checkpoint_sequential(steps, segments, x, use_reentrant=reentrant)
        y.sum().backward()
        yield y.detach(), x.grad
    yield caught(tools(t).checkpoint_sequential, steps, 2, x, use_reentrant=True, other=1)


@BOTH
@scenario
def test_errors_come_through(t, reentrant):
    calls = []

    def function(x):
        calls.append(1)
        if len(calls) == 2:
            raise ZeroDivisionError("the second time")
        return body(x)

    y = tools(t).checkpoint(function, leaf(t), use_reentrant=reentrant)
    yield caught(y.sum().backward), t.is_grad_enabled()


@pytest.mark.wengert_only
def test_values_are_not_kept(wt):
    """Between forward and backward only the arguments live; afterwards nothing does."""
    x = wt.ones(1000, requires_grad=True)
    gc.collect()
    before = wt._wengert._live()
    seen = []

    def function(x):
        y = x.exp()
        seen.append(weakref.ref(y))
        return y.sin().exp().sum()

    y = tools(wt).checkpoint(function, x, use_reentrant=False)
    assert seen[0]() is None
    y.backward()
    x.grad = None
    del y
    gc.collect()
    assert wt._wengert._live() == before


def test_chains_of_checkpoints(wt):
    x = leaf(wt)
    y = x
    for _ in range(500):
        y = tools(wt).checkpoint(lambda v: v.sin() * 2, y, use_reentrant=False)
    y.sum().backward()
    z = leaf(wt)
    y = z
    for _ in range(500):
        y = y.sin() * 2
    y.sum().backward()
    assert x.grad.tolist() == z.grad.tolist()
