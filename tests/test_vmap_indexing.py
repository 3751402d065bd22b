"""Indices that differ from example to example, and scores of classes."""

import importlib

import pytest

from compare import caught, scenario


def func(t):
    return importlib.import_module(t.__name__ + ".func")


def data(t):
    x = t.arange(24.0).view(2, 3, 4)
    rows = t.tensor([[2, 0], [1, 1]])
    return x, rows, t.tensor([[3, 0], [0, 2]])


READS = [
    lambda x, i, j: x[i],
    lambda x, i, j: x[:, i],
    lambda x, i, j: x[i, j],
    lambda x, i, j: x[i, 1:],
    lambda x, i, j: x[i[:, None], j],
    lambda x, i, j: x[None, :, i],
    lambda x, i, j: x[i, None, j],
    lambda x, i, j: x[..., j],
    lambda x, i, j: x.index_select(0, i),
    lambda x, i, j: x.index_select(1, j),
    lambda x, i, j: x.take(i),
    lambda x, i, j: x.gather(1, j[None]),
]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("dims", [(0, 0, 0), (None, 0, 0), (0, None, None), (0, 0, None)])
@scenario
def test_reads(t, read, dims):
    f = func(t)
    given = [a if d is not None else a[0] for a, d in zip(data(t), dims)]
    yield f.vmap(read, in_dims=dims)(*given)

    def loss(x, i, j):
        return (read(x, i, j) ** 2).sum()

    yield f.vmap(f.grad(loss), in_dims=dims)(*given)
    total = lambda x: f.vmap(loss, in_dims=dims)(x, *given[1:]).sum()  # noqa: E731
    yield f.grad(total)(given[0])


WRITES = [
    lambda x, i, j: x.index_put((i,), x[0] * 2),
    lambda x, i, j: x.index_put((i, j), x[0, :2], accumulate=True),
    lambda x, i, j: x.index_add(0, i, x[:2], alpha=2),
    lambda x, i, j: x.index_copy(1, j, x[:, :2] * 5),
    lambda x, i, j: x.index_fill(0, i, 0.5),
    lambda x, i, j: x.index_fill(0, i, x[0, 0]),
    lambda x, i, j: x.index_reduce(0, i, x[:2], "amax"),
    lambda x, i, j: x.put(i, x[0, :2] * 3, accumulate=True),
    lambda x, i, j: x.scatter(1, j[None], x[:1, 2:]),
    lambda x, i, j: x.masked_scatter(x > 5, x * 10),
    lambda x, i, j: x.clone().index_fill_(1, j, 7.0),
]


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("dims", [(0, 0, 0), (None, 0, 0), (0, None, None)])
@scenario
def test_writes(t, write, dims):
    given = [a if d is not None else a[0] for a, d in zip(data(t), dims)]
    batched = func(t).vmap(write, in_dims=dims)
    error = caught(batched, *given)
    yield error
    if error is None:
        yield batched(*given)


def written(x, key, value):
    y = x.clone()
    y[key] = value
    return y


@scenario
def test_assignment(t):
    vmap = func(t).vmap
    x, i, j = data(t)
    yield vmap(lambda x, i: written(x, i, 5.0))(x, i)
    yield vmap(lambda x, i: written(x, i, x[:2] * 10))(x, i)
    yield vmap(lambda x, i, j: written(x, (i, j), x[0, :2] * 10))(x, i, j)
    yield vmap(lambda x: written(x, t.tensor([True, False, True]), 0.0))(x)
    yield vmap(lambda x, i: written(x, i[0], 5.0))(x, i)


@pytest.mark.wengert_only
def test_assignment_behind_a_dimension(wt):
    """Where PyTorch finds a shape mismatch that the examples do not have."""
    x, i, _ = data(wt)
    step = lambda x, i: written(x, (slice(None), i), x[:, :2] * 10)  # noqa: E731
    rows = wt.stack([step(x[k], i[k]) for k in range(2)])
    assert wt.equal(func(wt).vmap(step)(x, i), rows)
    pick = lambda x, i: x[i[0]]  # noqa: E731
    assert wt.equal(func(wt).vmap(pick)(x, i), wt.stack([pick(x[k], i[k]) for k in range(2)]))


@scenario
def test_masks(t):
    vmap = func(t).vmap
    x, _, _ = data(t)
    mask = t.tensor([True, False, True])
    yield vmap(lambda x: x[mask])(x), vmap(lambda x: x[:, t.tensor([True, False, True, True])])(x)
    yield vmap(lambda x: x.masked_select(mask[:, None]))(x)
    yield caught(vmap(lambda x: x[x > 2]), x)
    yield caught(vmap(lambda x: x.masked_select(x > 2)), x)
    yield caught(vmap(lambda x: x.nonzero()), x)
    yield caught(vmap(lambda x: x.unique()), x)
    yield caught(vmap(lambda x: t.where(x > 2)), x)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@scenario
def test_scores_of_classes(t, reduction):
    f, nn = func(t), importlib.import_module(t.__name__ + ".nn.functional")
    x = t.linspace(-1, 2, 24).view(2, 4, 3)
    names = t.tensor([[2, 0, 1, 1], [0, -100, 2, 0]])
    weight = t.tensor([0.5, 2.0, 1.5])
    for more in ({}, {"weight": weight}):

        def loss(x, y, more=more):
            return nn.cross_entropy(x, y, reduction=reduction, **more)

        yield f.vmap(loss)(x, names), f.vmap(loss, in_dims=(0, None))(x, names[0])
        yield f.vmap(f.grad(lambda x, y, g=loss: (g(x, y) ** 2).sum()))(x, names)
        one = lambda x, y, g=loss: g(x[0], y[0]).sum()  # noqa: E731
        yield f.vmap(one)(x, names), f.vmap(f.grad(one))(x, names)
    image = t.linspace(-1, 2, 48).view(2, 2, 3, 4)
    places = t.tensor([[[2, 0, 1, 1], [0, 1, 2, 0]], [[2, 2, 1, 1], [0, 1, 0, 0]]])
    scores = image.log_softmax(2)
    yield f.vmap(lambda x, y: nn.nll_loss(x, y, reduction=reduction))(scores, places)


@scenario
def test_equal_elements_share(t):
    f = func(t)
    x = t.tensor([[1.0, 1.0, 2.0], [3.0, 3.0, 3.0], [5.0, float("nan"), 5.0]])
    for g in (t.median, t.nanmedian, t.max, t.min):
        yield f.vmap(g)(x), f.vmap(f.grad(g))(x)


@scenario
def test_sorted_rows(t):
    vmap = func(t).vmap
    rows, values = t.tensor([[1.0, 3.0, 5.0], [0.0, 1.0, 2.0]]), t.tensor([[0.5, 4.0], [1.0, 9.0]])
    for dims in ((0, 0), (0, None), (None, 0)):
        r, v = (a if d is not None else a[0] for a, d in zip((rows, values), dims))
        yield vmap(t.searchsorted, in_dims=dims)(r, v)
        yield vmap(lambda r, v: t.bucketize(v, r, right=True), in_dims=dims)(r, v)
        yield vmap(lambda r, v: t.searchsorted(r, v[0]), in_dims=dims)(r, v)
