"""Indexing with tensors, lists and masks, and the operations that pick or write by index."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare import Arg, caught, check, scenario, torch, warned
from strategies import args, dtypes, layouts, numbers, seeds, shapes

# --- Any index -----------------------------------------------------------------------------------


class Numbers:
    """Index numbers that each library makes into a tensor of its own."""

    def __init__(self, array, as_list=False):
        self.array, self.as_list = array, as_list

    def __repr__(self):
        return f"Numbers({self.array.tolist()}, {self.array.dtype})"

    def of(self, module):
        return self.array.tolist() if self.as_list else module.tensor(self.array)


def of(module, index):
    """The index with its numbers as the module's tensors."""
    return tuple(part.of(module) if isinstance(part, Numbers) else part for part in index)


@st.composite
def index_numbers(draw, n, shape):
    """Indices of a dimension of size n; now and then one that is out of range."""
    rng = np.random.default_rng(draw(seeds))
    low, high = (-n, n) if n else (0, 1)
    if draw(st.integers(0, 30)) == 0:
        low, high = -n - 1, n + 2
    dtype = draw(st.sampled_from(["int64", "int64", "int32"]))
    array = rng.integers(low, high, shape).astype(dtype)
    return Numbers(array, as_list=dtype == "int64" and bool(shape) and draw(st.booleans()))


def basic(draw, n):
    if n and draw(st.booleans()):
        return draw(st.integers(-n, n - 1))
    start, stop = sorted(draw(st.tuples(st.integers(0, n), st.integers(0, n))))
    return slice(start, stop, draw(st.integers(1, 3)))


@st.composite
def indices(draw, shape):
    """A tuple that indexes a tensor of this shape, with at least one tensor most of the time."""
    common = draw(st.lists(st.integers(0, 3), max_size=3).map(tuple))
    index, d = [], 0
    while d < len(shape):
        kind = draw(st.sampled_from("nnnmbbts.e"))
        if kind == "n":
            dims = common[draw(st.integers(0, len(common))) :]
            dims = tuple(1 if draw(st.integers(0, 4)) == 0 else n for n in dims)
            index.append(draw(index_numbers(shape[d], dims)))
            d += 1
        elif kind == "m":
            k = draw(st.integers(1, len(shape) - d))
            mask = np.random.default_rng(draw(seeds)).integers(0, 2, shape[d : d + k])
            index.append(Numbers(mask.astype(bool)))
            d += k
        elif kind == "b":
            index.append(basic(draw, shape[d]))
            d += 1
        elif kind == "t":
            index.append(draw(st.sampled_from([None, True, False])))
        elif kind == "." and ... not in index:
            index.append(...)
            d += draw(st.integers(0, len(shape) - d))
        elif kind == "e":
            break
    # Two dimensions that `...` skips must be those that are left.
    return tuple(index) if covers(index, shape) else tuple(i for i in index if i is not ...)


def covers(index, shape):
    used = sum(
        part.array.ndim if isinstance(part, Numbers) and part.array.dtype == bool
        else part is not None and part is not ... and not isinstance(part, bool)
        for part in index
    )  # fmt: skip
    return used <= len(shape)


@given(data=st.data())
def test_reading(data):
    x = data.draw(args(data.draw(shapes(0, 4, limit=200))))
    index = data.draw(indices(x.shape))
    check(lambda t, x: x[of(t, index)], x, exact=True)


@given(data=st.data(), dtype=dtypes)
def test_writing(data, dtype):
    x = data.draw(args(data.draw(shapes(0, 3, limit=200)), dtype))
    index = data.draw(indices(x.shape))
    value = data.draw(st.sampled_from([0, 2, True, "same", "row", "wrong"]))

    def fn(t, x):
        y = x.clone() * 1
        if isinstance(value, str):
            part = x[of(t, index)]
            part = part[:1] if value == "row" and part.ndim else part * 2
            y[of(t, index)] = t.cat([part.reshape(-1)] * 2) if value == "wrong" else part
        else:
            y[of(t, index)] = value
        return y, y._version

    # Views are another test's; and which of several writes to one place stays is not promised.
    repeats = any_numbers(index, "i") and isinstance(value, str)
    if repeats or not any_numbers(index, "ib"):
        return
    check(fn, x, names=False)


def any_numbers(index, kinds):
    return any(isinstance(part, Numbers) and part.array.dtype.kind in kinds for part in index)


@given(seeds, layouts, st.booleans())
def test_put_and_accumulate(seed, layout, accumulate):
    rng = np.random.default_rng(seed)
    x = Arg(numbers(seed, (4, 5, 3), "float64"), layout)
    i, j = rng.permutation(4)[:3], rng.permutation(5)[:3]
    if accumulate:
        i, j = rng.integers(-4, 4, 3), rng.integers(-5, 5, 3)
    v = Arg(numbers(seed + 1, (3, 3), "float64"))

    def fn(t, x, v):
        at = (t.tensor(i), t.tensor(j))
        y = x.clone()
        y.index_put_(at, v, accumulate)
        return x.index_put(at, v, accumulate), y, x.index_put(at, v[0, 0], accumulate)

    check(fn, x, v)


@scenario
def test_kinds_of_index(t):
    x = t.arange(12.0).reshape(3, 4)
    for index in (
        [0, 2], [[0, 2]], [True, False, True], [], np.array([2, 0]), np.array([[0], [1]]),
        np.array([True, False, True]), range(2), ([0, 1], [1, 2]), (0, [1, 2]),
        ([0, 2], slice(1, 3)),
        np.int64(1), np.array(1), t.tensor(1), t.tensor(True), t.tensor(False), True, False,
        (True, 0), (None, [0, 1]), (..., [0, 1]), ([0, 1], ...), t.tensor([1], dtype=t.int32),
        (t.tensor([[0], [1]]), t.tensor([0, 1, 2])), (slice(None), t.tensor([[0, 1], [2, 3]])),
        x > 5, (x > 5).nonzero(as_tuple=True), t.tensor(1, dtype=t.int8),
    ):  # fmt: skip
        yield x[index], x[index].stride()


@scenario
def test_position_of_separated_indices(t):
    x = t.arange(120.0).reshape(2, 3, 4, 5)
    i, j = t.tensor([0, 1]), t.tensor([1, 2])
    for index in (
        (i, slice(None), j), (slice(None), i, j), (slice(None), i, slice(None), j),
        (0, slice(None), j),
        (0, slice(None), slice(None), j), (slice(None), 0, j), (i, None, j),
        (slice(None), i, None, j),
        (x[:, :, 0, 0] > 30, slice(None), j[:1]), (..., i, j), (i, ..., j), (True, i, j),
        (i, True, j),
    ):  # fmt: skip
        y = x[index]
        yield y, y.stride()
    for y in (x.permute(3, 2, 1, 0), x.transpose(1, 3), x[:, ::2]):
        yield y[i].stride(), y[:, i].stride(), y[:, i, j].stride(), y[..., i].stride()
        yield y[i.reshape(2, 1), i].stride(), y[:, t.tensor([[0, 1], [1, 0]]).t()].stride()


@scenario
def test_duplicates_accumulate(t):
    x = t.arange(6.0).reshape(3, 2).requires_grad_()
    x[[0, 0, 2, 0]].square().sum().backward()
    yield x.grad + 0
    for pick in (
        lambda: x.take(t.tensor([1, 1, -1])), lambda: x.index_select(0, t.tensor([2, 2])),
        lambda: x.gather(0, t.tensor([[1, 1], [1, 0]])),
        lambda: x[t.tensor([0, 0]), t.tensor([1, 1])],
    ):  # fmt: skip
        yield t.autograd.grad(pick().exp().sum(), x)[0] + 0


# --- Errors and warnings -------------------------------------------------------------------------

WRONG = {
    "reading": lambda t, x, i: [
        lambda: x[[0, 7]], lambda: x[[0, -4]], lambda: x[i([0, 1]), i([0, 9])],
        lambda: x[:, i([0, 9])],
        lambda: x[i([True, False])], lambda: x[:, i([True, False])], lambda: x[t.ones(3, 5).bool()],
        lambda: x[t.ones(3, 4, 1).bool()], lambda: x[[0], [0], [0]], lambda: x[0, 0, [0]],
        lambda: x[i([0.5])], lambda: x[i(0.5)], lambda: x[i([0]).short()], lambda: x[i([0]).char()],
        lambda: x[i([0, 1]), i([0, 1, 2])], lambda: x["a"], lambda: x[["a"]], lambda: x[0, "a"],
        lambda: x[1.5], lambda: x[0, 1.5], lambda: x[{}], lambda: x[np.bool_(True)],
        lambda: t.tensor(1.0)[[0]], lambda: t.zeros(0, 3)[i([0])], lambda: t.zeros(3, 0)[:, i([5])],
    ],
    "writing": lambda t, x, i: [
        lambda: x.__setitem__([0, 1], i([1, 2, 3, 4])), lambda: x.__setitem__([0, 1], t.ones(3)),
        lambda: x.__setitem__([0, 1], t.ones(3, 4)), lambda: x.__setitem__([0, 7], 1),
        lambda: x.__setitem__([0, 1], [1, 2]), lambda: x.__setitem__([0, 1], "a"),
        lambda: x.__setitem__([0, 1], t.ones(1, 3, 2, 4)), lambda: x.__setitem__([0, 1], x),
        lambda: x.__setitem__(x > 5, t.ones(5)), lambda: x.__setitem__(t.ones(2).bool(), 1),
        lambda: x.index_put_((i([0]),), t.ones(4).double()),
        lambda: x.index_put_(i([0]), t.ones(4)),
        lambda: x.index_put_((i([0.0]),), t.ones(4)),
        lambda: x.index_put_((i([0]),) * 3, t.ones(4)),
        lambda: x.index_put((None, i([0])), t.ones(1)), lambda: x.index_put((i([9]),), t.ones(1)),
    ],
    "slices": lambda t, x, i: [
        lambda: x.index_add(0, i([0, 5]), t.ones(2, 4)),
        lambda: x.index_add(0, i([0]), t.ones(2, 4)),
        lambda: x.index_add(0, i([0, 1]), t.ones(2, 5)),
        lambda: x.index_add(5, i([0]), t.ones(1, 4)),
        lambda: x.index_add(0, i([0.0]), t.ones(1, 4)), lambda: x.index_add_(0, i([0, 1]), x[1:]),
        lambda: x.index_copy(0, i([0, 5]), t.ones(2, 4)),
        lambda: x.index_copy(0, i([0]), t.ones(4)),
        lambda: x.index_copy(0, i([0, 1]), t.ones(2, 5)), lambda: x.index_copy(0, i([[0]]), x[:1]),
        lambda: x.index_copy(0, i([0]).int(), x[:1]), lambda: x.index_fill(0, i([5]), 1),
        lambda: x.index_fill(0, i([0]), t.ones(2)), lambda: x.index_fill(0, i([0]).int(), 1),
        lambda: x.index_select(0, i([5])), lambda: x.index_select(0, i([-1])),
        lambda: x.index_select(0, i([[0]])), lambda: x.index_select(0, i([0.0])),
    ],
    "elements": lambda t, x, i: [
        lambda: x.gather(0, i([[5]])), lambda: x.gather(0, i([[-1]])), lambda: x.gather(0, i([0])),
        lambda: x.gather(1, i([[0]] * 4)), lambda: x.scatter(0, i([[5]]), 2.0),
        lambda: x.scatter(0, i([[0, 0]]), t.ones(1, 1)), lambda: x.scatter(0, i([[0] * 5]), 2.0),
        lambda: x.scatter(0, i([[0]]), t.ones(1, 1).long()), lambda: x.scatter(0, i([0]), 1.0),
        lambda: x.scatter(0, i([[0]]), t.ones(1, 1), reduce="sum"), lambda: x.take(i([12])),
        lambda: x.scatter_add(0, i([[7]]), t.ones(1, 1)), lambda: x.take(i([0.0])),
        lambda: x.put(i([12]), t.ones(1)), lambda: x.put(i([0]), t.ones(2)),
        lambda: x.take(i([-13])),
        lambda: x.masked_scatter(x > 3, t.ones(2)), lambda: x.masked_select(x),
        lambda: x.masked_scatter(x > 3, t.ones(12).long()), lambda: t.zeros(0).take(i([0])),
    ],
    "order": lambda t, x, i: [
        lambda: x.topk(9), lambda: x.topk(-1), lambda: x.sort(5), lambda: x.kthvalue(9),
        lambda: x.kthvalue(0), lambda: t.bincount(i([0, -1])), lambda: t.bincount(x),
        lambda: t.searchsorted(t.ones(2, 3), t.ones(3, 3)),
        lambda: t.searchsorted(t.ones(2, 3), 1.0),
        lambda: t.bucketize(t.ones(2), t.ones(2, 2)), lambda: t.zeros(0, 3).median(0),
        lambda: t.searchsorted(t.ones(3), t.ones(2), right=True, side="left"),
        lambda: t.histc(x, bins=0), lambda: t.histc(x, min=3, max=2), lambda: t.zeros(0, 3).mode(0),
    ],
}  # fmt: skip


@pytest.mark.parametrize("group", WRONG)
@scenario
def test_refused(t, group):
    x = t.arange(12.0).view(3, 4)
    for n, call in enumerate(WRONG[group](t, x, t.tensor)):
        yield n, caught(call)


@pytest.mark.wengert_only
def test_nothing_written_by_a_refused_write(wt):
    x = wt.arange(12.0).view(3, 4)
    for call in WRONG["writing"](wt, x, wt.tensor):
        assert caught(call) and x._version == 0
    assert x.flatten().tolist() == list(range(12))


@scenario
def test_warnings(t):
    x = t.arange(6.0).reshape(3, 2)
    for call in (lambda: x[[[0, 1], [1, 0]]], lambda: x[[0, slice(1)]]):
        yield warned(call)


# --- Writes and history --------------------------------------------------------------------------


@scenario
def test_history_of_writes(t):
    x = t.arange(12.0).reshape(3, 4).clone().requires_grad_()
    v = t.arange(4.0).requires_grad_()
    y = x * 1
    y[[0, 2]] = v
    yield y, y.grad_fn.name()
    y[y > 6] = v[0] * 3
    y[0][[0, 1]] = 7.0
    y.index_add_(1, t.tensor([0, 0]), t.ones(3, 2) * v[1])
    y.scatter_(0, t.tensor([[0, 1, 2, 0]]), v.unsqueeze(0))
    (y * y).sum().backward()
    yield y, x.grad, v.grad, y._version
    yield caught(lambda: x.__setitem__([0], 1)), caught(lambda: x[1:].__setitem__([0], 1))
    i = t.tensor([0, 1])
    z = x[i]
    i.add_(1)
    yield caught(lambda: z.sum().backward())
    z = x[[0]].sum()
    z.backward()
    yield caught(z.backward)


# --- Operations ----------------------------------------------------------------------------------

FORMS = {
    "index_add": lambda t, x, v, i: (x.index_add(1, i, v), x.index_add(-2, i, v, alpha=-2)),
    "index_copy": lambda t, x, v, i: x.index_copy(1, i, v),
    "index_fill": lambda t, x, v, i: (x.index_fill(1, i, 3), x.index_fill(1, i, v[0, 0, 0])),
    "index_select": lambda t, x, v, i: (x.index_select(1, i), t.index_select(x, 0, i[:0])),
    "gather": lambda t, x, v, i: (x.gather(1, spread(i, v)), v.gather(1, spread(i, v[:1]) // 3)),
    "take": lambda t, x, v, i: (x.take(i * 7 - 3), x.take(i[0]), t.take(x, i.reshape(-1, 1))),
    "put": lambda t, x, v, i: (x.put(i * 7, v[0, :, 0]), x.put(i - 3, v[1, :, 0], accumulate=True)),
    "scatter": lambda t, x, v, i: (x.scatter(1, spread(i, v), v), x.scatter(1, spread(i, v), 2)),
    "scatter_part": lambda t, x, v, i: x.scatter(0, spread(i, v[:1, :, :2]) % 2, v.detach()),
    "scatter_add": lambda t, x, v, i: (
        x.scatter_add(1, spread(i, v), v), x.scatter_add(1, spread(i, v[:1]) // 2, v.detach()),
    ),
    "scatter_reduce": lambda t, x, v, i: [
        x.scatter_reduce(1, spread(i // 2, v), v, how, include_self=whole)
        for how in ("sum", "prod", "mean", "amax", "amin") for whole in (True, False)
    ],
    "index_reduce": lambda t, x, v, i: [
        x.index_reduce(1, i // 2, v, how, include_self=whole)
        for how in ("prod", "mean", "amax", "amin") for whole in (True, False)
    ],
    "masked_select": lambda t, x, v, i: (x.masked_select(x > 0), x[:, :1].masked_select(x > 1)),
    "masked_scatter": lambda t, x, v, i: (x.masked_scatter(x > 0, x * 2),
    x.masked_scatter(x > 3, v)),
    "take_along_dim": lambda t, x, v, i: (
        t.take_along_dim(x, i.reshape(1, -1, 1) - 2, 1), x[0].contiguous().take_along_dim(i),
    ),
    "sort": lambda t, x, v, i: (x.sort(), x.sort(0, descending=True), t.msort(x),
    x.sort(stable=True)),
    "argsort": lambda t, x, v, i: (x.argsort(stable=True), t.argsort(x, 1, True)),
    "topk": lambda t, x, v, i: (x.topk(2), x.topk(1, 0, largest=False), x.topk(0)),
    "kthvalue": lambda t, x, v, i: (x.kthvalue(2), x.kthvalue(1, 0, True)),
    "median": lambda t, x, v, i: (x.median(), x.median(1), x.median(0, True), x.nanmedian(2)),
    "mode": lambda t, x, v, i: (x.mode(), x.mode(0, True)),
}  # fmt: skip


def spread(index, like):
    return index.reshape(1, -1, 1).expand(like.shape)


@pytest.mark.parametrize("name", FORMS)
@given(seed=seeds, layout=layouts)
def test_forms(name, seed, layout):
    """Values, gradients and second gradients, of distinct numbers in any layout."""
    rng = np.random.default_rng(seed)
    x = Arg(
        rng.permutation(60).reshape(3, 5, 4) / 8 - 3, layout if layout != "expanded" else "sliced"
    )
    v = Arg(rng.uniform(-2, 2, (3, 3, 4)))
    i = rng.permutation(5)[:3]
    check(lambda t, x, v: FORMS[name](t, x, v, t.tensor(i)), x, v, names=False)


@given(x=args(dtype="float32", specials=True))
def test_sorting_special_numbers(x):
    check(lambda t, x: (x.sort(stable=True), x.sort(descending=True, stable=True)), x, names=False)


@given(x=args())
def test_places(x):
    def fn(t, x):
        y = x > 0
        found = t.nonzero(y)
        return found, found.stride(), y.nonzero(as_tuple=True), t.where(y), t.argwhere(x)

    check(fn, x)


@given(data=st.data())
def test_unique(data):
    x = data.draw(args(data.draw(shapes(1, 3, limit=200)), domain=(-2, 2), layout="contiguous"))

    def fn(t, x):
        x = (x * 2).long()
        flags = dict(return_inverse=True, return_counts=True)
        found = [t.unique(x, **flags), x.unique(), t.unique_consecutive(x, **flags)]
        if 0 not in x.shape:
            found += [t.unique(x, dim=0, **flags), t.unique_consecutive(x, dim=-1, **flags)]
        return found

    check(fn, x, orders=0)


@given(seeds, dtypes, st.booleans())
def test_searching(seed, dtype, right):
    x, v = numbers(seed, (2, 7), dtype), numbers(seed + 1, (2, 5), dtype)

    def fn(t, x, v):
        rows, by = x.sort(stable=True)
        return (
            t.searchsorted(rows, v, right=right), t.searchsorted(x, v, sorter=by, out_int32=True),
            t.searchsorted(rows[0], v, side="right" if right else "left"), t.bucketize(v, rows[0]),
            t.bucketize(2, rows[0], right=right), t.searchsorted(rows[1], 0.5),
        )  # fmt: skip

    check(fn, Arg(x, grad=False), Arg(v, grad=False), orders=0)


@given(seeds, st.integers(0, 20))
def test_counting(seed, n):
    rng = np.random.default_rng(seed)
    k, w = rng.integers(0, 9, n), rng.uniform(-1, 1, n)

    def fn(t, k, w):
        return (
            t.bincount(k), t.bincount(k, minlength=12), k.int().bincount(w),
            t.bincount(k, w.float()),
            t.histc(w, 5), t.histc(w.float(), bins=4, min=-0.5, max=0.5),
        )  # fmt: skip

    check(fn, Arg(k), Arg(w, grad=False), orders=0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "uint8", "int16", "bool"])
def test_other_dtypes(wt, dtype):
    def story(t):
        x = (t.arange(12) % 5).to(getattr(t, dtype)).reshape(3, 4)
        i = t.tensor([[0, 2, 1, 0], [1, 1, 0, 2]])
        out = [
            x[[0, 2]],
            x[x > 1],
            x.gather(0, i),
            x.scatter_add(0, i, x),
            x.sort(stable=True).values,
        ]
        out += [
            x.index_add(0, t.tensor([1, 1]), x[:2]),
            x.index_put((i[0],), x[:1], True),
            x.mode(0).values,
        ]
        return [value.float().numpy() for value in out]

    for ours, theirs in zip(story(wt), story(torch)):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.wengert_only
def test_large_writes_do_not_depend_on_threads(wt):
    rng = np.random.default_rng(0)
    index, values = rng.integers(0, 1000, 200_000), rng.uniform(0, 1, 200_000).astype("float32")
    x = wt.zeros(1000).index_add_(0, wt.tensor(index), wt.tensor(values))
    expected = np.zeros(1000, "float32")
    np.add.at(expected, index, values)
    np.testing.assert_array_equal(x.numpy(), expected)
    x[wt.tensor(index)] = wt.tensor(values)
    expected[index] = values
    np.testing.assert_array_equal(x.numpy(), expected)


@pytest.mark.wengert_only
def test_uint8_masks_warn(wt):
    with pytest.warns(UserWarning, match="uint8 is now deprecated"):
        assert wt.arange(3)[wt.tensor([1, 0, 1], dtype=wt.uint8)].tolist() == [0, 2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert wt.arange(3)[wt.tensor([True, False, True])].tolist() == [0, 2]
