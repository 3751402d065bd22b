"""Anomaly mode: where the operation was called whose derivative failed."""

import gc
import warnings

import pytest

from compare import caught, scenario, warned


def leaf(t, *values):
    return t.tensor(values or (0.0, 1.0), requires_grad=True)


def texts(given):
    return ["".join(str(w.message).split("\n")[:3])[:60] for w in given]


@scenario
def test_switches(t):
    auto = t.autograd

    def state():
        return t.is_anomaly_enabled(), t.is_anomaly_check_nan_enabled()

    yield state()
    with auto.detect_anomaly():
        yield state()
        with auto.set_detect_anomaly(False):
            yield state()
        yield state()
    with auto.detect_anomaly(check_nan=False):
        yield state()
    auto.set_detect_anomaly(True, check_nan=False)
    yield state()
    auto.set_detect_anomaly(False)
    yield state()
    yield warned(auto.detect_anomaly)[1]


@scenario
def test_nan_is_found(t):
    with t.autograd.detect_anomaly():
        x = leaf(t)
        yield caught((x / x).sum().backward)
        yield caught((x.sqrt() * 0).sum().backward)
        (x * 2).sum().backward()
        yield x.grad
    yield caught((x / x).sum().backward)
    with t.autograd.detect_anomaly(check_nan=False):
        yield caught((x / x).sum().backward)


@scenario
def test_custom_functions_are_named(t):
    class Bad(t.autograd.Function):
        @staticmethod
        def forward(ctx, x, fail):
            ctx.fail = fail
            return x * 2

        @staticmethod
        def backward(ctx, g):
            if ctx.fail:
                raise ZeroDivisionError("in backward")
            return g * float("nan"), None

    for fail in (False, True):
        with warnings.catch_warnings(record=True) as given:
            warnings.simplefilter("always")
            with t.autograd.set_detect_anomaly(True):
                y = Bad.apply(leaf(t), fail)
                yield caught(y.sum().backward)
        yield texts(given)
        # The traceback is that of the call.
        yield "y = Bad.apply(leaf(t), fail)" in str(given[-1].message)


@scenario
def test_without_a_traceback(t):
    y = leaf(t) / leaf(t)
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        with t.autograd.set_detect_anomaly(True):
            yield caught(y.sum().backward)
    yield texts(given)


@scenario
def test_metadata(t):
    with t.autograd.set_detect_anomaly(True):
        x = leaf(t)
        y = x**3
        (g,) = t.autograd.grad(y.sum(), x, create_graph=True)
        yield sorted(y.grad_fn.metadata), sorted(g.grad_fn.metadata)
        yield g.grad_fn.metadata["parent_"] is y.grad_fn
    yield (x * 2).grad_fn.metadata


@scenario
def test_parents_are_told(t):
    class Inner(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            return g * float("nan")

    class Outer(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            return Inner.apply(g)

    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        with t.autograd.set_detect_anomaly(True):
            x, v = leaf(t), leaf(t)
            (g,) = t.autograd.grad(Outer.apply(x), x, v, create_graph=True)
            yield caught(g.sum().backward)
    yield texts(given)


@pytest.mark.wengert_only
def test_all_is_released_with_the_graph(wt):
    gc.collect()
    before = wt._wengert._live()
    with wt.autograd.set_detect_anomaly(True):
        x = leaf(wt)
        (g,) = wt.autograd.grad((x**3).sum(), x, create_graph=True)
        (h,) = wt.autograd.grad(g.sum(), x, create_graph=True)
    del x, g, h
    gc.collect()
    assert wt._wengert._live() == before
