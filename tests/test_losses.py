"""Softmax and the loss functions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare import Arg, caught, check, scenario, warned
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


ELEMENTWISE = {
    "l1_loss": [{}],
    "smooth_l1_loss": [{}, {"beta": 0.5}, {"beta": 0}],
    "huber_loss": [{}, {"delta": 0.5}],
    "soft_margin_loss": [{}],
    "binary_cross_entropy": [{}],
    "binary_cross_entropy_with_logits": [{}],
    "kl_div": [{}, {"log_target": True}, {"reduction": "batchmean"}],
    "poisson_nll_loss": [{}, {"full": True}, {"log_input": False}],
    "hinge_embedding_loss": [{}, {"margin": 0.5}],
    "multilabel_soft_margin_loss": [{}],
}


@pytest.mark.parametrize("name", ELEMENTWISE)
@given(data=st.data())
def test_elementwise(name, data):
    shape = data.draw(shapes(1, 3))
    dtype = data.draw(floats)
    x, y = (data.draw(args(shape, dtype=dtype, domain=(0.01, 0.99))) for _ in range(2))
    if name == "soft_margin_loss":
        y.grad = False
    options = {"reduction": data.draw(reductions), **data.draw(st.sampled_from(ELEMENTWISE[name]))}
    check(lambda t, x, y: getattr(t.nn.functional, name)(x, y, **options), x, y, names=False)


@given(data=st.data())
def test_weights(data):
    shape = data.draw(shapes(1, 3))
    x, y, w, p = (data.draw(args(shape, dtype="float64", domain=(0.01, 0.99))) for _ in range(4))
    w.grad = p.grad = False
    how = data.draw(reductions)

    def losses(t, x, y, w, p):
        f = t.nn.functional
        yield f.binary_cross_entropy(x, y, w, reduction=how)
        yield f.binary_cross_entropy_with_logits(x, y, w, reduction=how, pos_weight=p)
        yield f.binary_cross_entropy_with_logits(x, y, reduction=how, pos_weight=p)
        yield f.mse_loss(x, y, reduction=how, weight=w)
        yield f.l1_loss(x, y, reduction=how, weight=w)
        yield f.huber_loss(x, y, reduction=how, weight=w)
        yield f.gaussian_nll_loss(x, y, w, reduction=how, full=True)

    check(lambda t, *given: tuple(losses(t, *given)), x, y, w, p, names=False)


@given(data=st.data())
def test_vectors(data):
    n, k = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5))
    # Apart, so that no two distances are equal but for rounding.
    domains = [(-1, 1), (2, 3), (-9, -6)]
    x, y, z = (data.draw(args((n, k), dtype="float64", domain=domain)) for domain in domains)
    sign = Arg(np.random.default_rng(data.draw(seeds)).choice([-1.0, 1.0], n), grad=False)
    how = data.draw(reductions)
    p, swap = data.draw(st.sampled_from([1.0, 2.0, 3.0])), data.draw(st.booleans())

    def losses(t, x, y, z, sign):
        f = t.nn.functional
        yield f.cosine_similarity(x, y, dim=-1)
        yield f.pairwise_distance(x, y, p=p)
        yield f.cosine_embedding_loss(x, y, sign, margin=0.1, reduction=how)
        yield f.margin_ranking_loss(x[:, 0], y[:, 0], sign, margin=0.5, reduction=how)
        yield f.triplet_margin_loss(x, y, z, p=p, swap=swap, reduction=how)

    check(lambda t, *given: tuple(losses(t, *given)), x, y, z, sign, names=False, orders=1)


@scenario
def test_older_arguments(t):
    f, x, y = t.nn.functional, t.arange(3.0), t.ones(3)
    for average in (None, True, False):
        for reduce in (None, True, False):
            yield warned(lambda: f.mse_loss(x, y, average, reduce))
            yield warned(lambda: f.smooth_l1_loss(x, y, size_average=average, reduce=reduce))
    yield warned(lambda: f.mse_loss(x, t.ones(2, 3))), warned(lambda: f.kl_div(x, y))
    yield warned(lambda: f.l1_loss(x, y, reduction="elementwise_mean"))


@scenario
def test_one_hot(t):
    f = t.nn.functional.one_hot
    yield f(t.tensor([0, 2])), f(t.tensor([[1], [0]]), 3), f(t.zeros(0, dtype=t.int64), 2)
    for wrong in (t.tensor([0, -1]), t.tensor([1.0]), t.zeros(0, dtype=t.int64)):
        yield caught(f, wrong)
    yield caught(f, t.tensor([3]), 3)


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
