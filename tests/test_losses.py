"""Softmax and the loss functions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare import Arg, check, scenario
from strategies import args, dims_of, floats, seeds, shapes


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@given(data=st.data())
def test_softmax(name, data):
    plain = data.draw(st.booleans())
    x = data.draw(args(data.draw(shapes(1, 3)), domain=(-20, 20), specials=not plain))
    dim = dims_of(data.draw, len(x.shape), one=True)
    orders = 2 if plain else 0
    check(lambda t, x: getattr(t, name)(x, dim), x, orders=orders)
    check(lambda t, x: getattr(x, name)(dim=dim), x, orders=0)
    check(lambda t, x: getattr(t.nn.functional, name)(x, dim=dim), x, orders=0)
    check(lambda t, x: getattr(x, name)(dim, dtype=t.float64), x, orders=orders)


def classes(data, spatial=True):
    """Scores `[N, C, ...]`, targets with some ignored, weights of the classes."""
    shape = data.draw(st.sampled_from([(3,), (4, 3), (1, 5), (2, 3, 4)][: None if spatial else 3]))
    count = shape[0] if len(shape) == 1 else shape[1]
    kept = shape[:0] if len(shape) == 1 else (shape[0], *shape[2:])
    rng = np.random.default_rng(data.draw(seeds))
    scores = data.draw(args(shape, dtype=data.draw(floats), domain=(-5, 5)))
    target = np.asarray(rng.integers(0, count, kept), dtype=np.int64)
    weight = rng.uniform(0.2, 2, count).astype(scores.base.dtype)
    return scores, target, Arg(weight, grad=False)


reductions = st.sampled_from(["mean", "sum", "none"])


@given(data=st.data())
def test_nll_loss(data):
    scores, target, weight = classes(data)
    how = data.draw(reductions)
    ignored = data.draw(st.sampled_from([-100, 0, 1]))

    def plain(t, x, y):
        return t.nn.functional.nll_loss(x, y, reduction=how, ignore_index=ignored)

    def weighted(t, x, y, w):
        return t.nn.functional.nll_loss(x, y, w, reduction=how, ignore_index=ignored)

    check(plain, scores, target, names=False)
    check(weighted, scores, target, weight, names=False)


@given(data=st.data())
def test_cross_entropy(data):
    scores, target, weight = classes(data)
    how = data.draw(reductions)
    smooth = data.draw(st.sampled_from([0.0, 0.1]))

    def plain(t, x, y):
        return t.nn.functional.cross_entropy(x, y, reduction=how, label_smoothing=smooth)

    def weighted(t, x, y, w):
        return t.nn.functional.cross_entropy(x, y, weight=w, reduction=how)

    check(plain, scores, target, names=False)
    check(weighted, scores, target, weight, names=False)


@given(data=st.data())
def test_cross_entropy_with_probabilities(data):
    shape = data.draw(st.sampled_from([(4,), (3, 4), (2, 4, 3)]))
    scores, target = (data.draw(args(shape, dtype="float64", domain=(0, 1))) for _ in range(2))
    how = data.draw(reductions)
    check(
        lambda t, x, y: t.nn.functional.cross_entropy(x, y, reduction=how),
        scores, target, names=False,
    )  # fmt: skip


@given(data=st.data())
def test_mse_loss(data):
    shape = data.draw(shapes())
    dtype = data.draw(floats)
    x, y = (data.draw(args(shape, dtype=dtype)) for _ in range(2))
    how = data.draw(reductions)
    check(lambda t, x, y: t.nn.functional.mse_loss(x, y, reduction=how), x, y)


@scenario
def test_printed_names(t):
    f = t.nn.functional
    x = t.arange(6.0).reshape(2, 3).requires_grad_()
    y = t.tensor([0, 2])
    yield f.cross_entropy(x, y), f.nll_loss(x, y), f.mse_loss(x, x * 2), x.softmax(0)
    yield x.log_softmax(1), f.linear(x, t.ones(4, 3)), f.linear(x, t.ones(4, 3), t.ones(4))


@scenario
def test_all_ignored(t):
    x = t.zeros(2, 3, requires_grad=True)
    loss = t.nn.functional.cross_entropy(x, t.tensor([-100, -100]))
    yield loss
    loss.backward()
    yield x.grad
