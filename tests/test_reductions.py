"""Reductions over any dims, with keepdim, on every dtype and layout."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare import check, scenario
from strategies import args, dims_of, dtypes, floats, shapes

# name: does it take several dims
REDUCTIONS = {
    "sum": True,
    "mean": True,
    "prod": False,
    "var": True,
    "std": True,
    "amax": True,
    "amin": True,
    "max": False,
    "min": False,
    "argmax": False,
    "argmin": False,
    "any": True,
    "all": True,
    "logsumexp": True,
}


def unequal(name, **kinds):
    """An argument, for `std` not of equal elements: whether their variance is zero or a rounding
    error, by which gradients are divided, is up to the order of the sum."""
    given = args(**kinds)
    return given.filter(lambda x: x.layout != "expanded") if name == "std" else given


@pytest.mark.parametrize("name", REDUCTIONS)
@given(data=st.data())
def test_over_everything(name, data):
    x = data.draw(unequal(name))
    # It has no form without dims, and PyTorch's fails for an empty tuple of them.
    dim = [tuple(range(len(x.shape)))] if name == "logsumexp" else []
    check(lambda t, x: getattr(t, name)(x, *dim), x)
    check(lambda t, x: getattr(x, name)(*dim), x)


@pytest.mark.parametrize("name", REDUCTIONS)
@given(data=st.data())
def test_over_dims(name, data):
    x = data.draw(unequal(name))
    dim = dims_of(data.draw, len(x.shape), one=not REDUCTIONS[name])
    keep = data.draw(st.booleans())
    check(lambda t, x: getattr(t, name)(x, dim, keepdim=keep), x)
    check(lambda t, x: getattr(x, name)(dim=dim, keepdim=keep), x, orders=0)


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "amax", "amin", "any", "all"])
@given(data=st.data())
def test_special_values(name, data):
    x = data.draw(args(dtype=data.draw(floats), specials=True))
    check(lambda t, x: getattr(x, name)(), x, orders=0)
    check(lambda t, x: getattr(x, name)(dim=-1), x, orders=0)


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "cumsum"])
@given(data=st.data())
def test_dtype_argument(name, data):
    x = data.draw(args(data.draw(shapes(1))))
    wanted = data.draw(dtypes)
    dim = [0] if name == "cumsum" else []
    # Computed in float32, float64 gradients differ by more than float64 results may.
    narrowed = wanted == "float32" and x.base.dtype == "float64"
    orders = 0 if narrowed else 2
    check(lambda t, x: getattr(x, name)(*dim, dtype=getattr(t, wanted)), x, orders=orders)


@pytest.mark.parametrize("name", ["var", "std"])
@given(data=st.data())
def test_correction(name, data):
    x = data.draw(unequal(name, shape=data.draw(shapes(1, 3)), dtype=data.draw(floats)))
    correction = data.draw(st.integers(0, 3))
    keep = data.draw(st.booleans())
    check(lambda t, x: getattr(x, name)(dim=0, correction=correction, keepdim=keep), x, orders=1)
    check(lambda t, x: getattr(x, name)(0, False), x)
    check(lambda t, x: getattr(x, name)(unbiased=False), x)


@given(data=st.data())
def test_cumsum(data):
    x = data.draw(args())
    dim = dims_of(data.draw, len(x.shape), one=True)
    check(lambda t, x: (t.cumsum(x, dim), x.cumsum(dim=dim)), x)


@pytest.mark.parametrize("p", [2, 1, 0, 3, 0.5, float("inf"), -float("inf"), "fro"])
@given(data=st.data())
def test_norm(p, data):
    x = data.draw(args(data.draw(shapes(1, 3)), dtype=data.draw(floats), domain=(0.2, 4)))
    keep = data.draw(st.booleans())
    check(lambda t, x: t.norm(x, p), x)
    check(lambda t, x: x.norm(p, dim=0, keepdim=keep), x)
    check(lambda t, x: x.norm(), x)


@scenario
def test_aliases_and_forms(t):
    x = t.arange(6.0).reshape(2, 3)
    yield x.sum(axis=0), x.mean(axis=1), x.sum(axis=0, keepdims=True), t.sum(x, axis=(0, 1))
    yield x.sum(0), x.sum((0, 1)), x.sum([0]), x.sum(0, True), t.sum(input=x, dim=-1)
    best = x.max(dim=1)
    yield best.values, best.indices, type(best).__name__, best[0], len(best), best
    values, indices = t.min(x, 0)
    yield values, indices, t.max(x, 4 - x), t.min(x, 4 - x)
    yield x.argmax(), x.argmax(0), x.argmax(dim=1, keepdim=True), x.argmin(-1)
    yield t.tensor([[True, False]]).any(), t.tensor([[True, False]]).all(1)


@scenario
def test_gradients_of_ties(t):
    x = t.tensor([[3.0, 1.0, 3.0], [2.0, 2.0, 2.0]], requires_grad=True)
    for reduce in (
        lambda: x.max(), lambda: x.min(), lambda: x.amax(), lambda: x.amax(1).sum(),
        lambda: x.amin(0).sum(), lambda: x.max(1).values.sum(), lambda: x.min(0)[0].sum(),
    ):  # fmt: skip
        # Numbers only: how often a gradient was written to is torch's own affair.
        yield t.autograd.grad(reduce(), x)[0].tolist()


@scenario
def test_gradients_at_zero(t):
    x = t.tensor([2.0, 0.0, 3.0], requires_grad=True)
    yield t.autograd.grad(x.prod(), x)
    y = t.tensor([0.0, 0.0, 3.0], requires_grad=True)
    yield t.autograd.grad(y.prod(), y), t.autograd.grad(y.norm(), y)
    zero = t.zeros(3, requires_grad=True)
    for p in (1, 2, 3, float("inf")):
        yield t.autograd.grad(zero.norm(p), zero)
    yield t.autograd.grad(zero.std(), zero), t.autograd.grad(zero.logsumexp(0), zero)


@scenario
def test_empty(t):
    x = t.zeros(0, 3)
    yield x.sum(), x.mean(), x.prod(), x.sum(0), x.mean(0), x.any(), x.all(), x.sum(1)
    yield x.var(), x.std(0), x.logsumexp(0), x.cumsum(0), x.norm(), x.amax(1)


@pytest.mark.parametrize("size", [1000, 100_003, 1 << 20])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large(size, dtype):
    """Long sums: as accurate as torch's, whatever the order of summation."""
    x = np.random.default_rng(size).standard_normal(size).astype(dtype)
    for name in ("sum", "mean", "var", "norm", "amax", "argmin", "logsumexp"):
        dim = [0] if name == "logsumexp" else []
        check(lambda t, x: getattr(x, name)(*dim), x, orders=1)
    check(lambda t, x: x.reshape(-1, 1).expand(-1, 3).sum(0), x, orders=1)
