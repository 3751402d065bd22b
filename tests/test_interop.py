"""NumPy, the buffer protocol, DLPack, pickle, copy."""

import copy
import gc
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare import LAYOUTS, candidate, caught, count, scenario, torch
from strategies import DTYPES, dtypes, numbers, seeds, shapes


@scenario
def test_numpy_shares_memory(t):
    x = t.arange(6.0).reshape(2, 3)
    a = x.numpy()
    yield a, a.dtype.name, a.strides, x.t().numpy().strides, x[:, 1:].numpy(), x[0, 0].numpy()
    a[0, 0] = 10
    x[1] = -1
    yield x, a
    b = np.arange(4, dtype=np.float64)
    y = t.from_numpy(b)
    y.mul_(2)
    b[0] = 7
    yield y, b, y.dtype, t.from_numpy(b[::2]), t.from_numpy(b[1:]).storage_offset()
    del a, x
    gc.collect()
    yield y.numpy(), np.asarray(y), np.array(y, dtype=np.int32), np.asarray(y).sum()


@scenario
def test_numpy_of_what_requires_grad(t):
    x = t.ones(2, requires_grad=True)
    yield caught(x.numpy), caught((x * 2).numpy), caught(np.asarray, x)
    yield x.detach().numpy(), x.numpy(force=True), t.ones(2).numpy(force=True)


@given(shapes(), dtypes, seeds, st.sampled_from(sorted(LAYOUTS)))
def test_numpy_round_trip(shape, dtype, seed, layout):
    a = numbers(seed, shape, dtype)
    base, view = LAYOUTS[layout](a)
    count()
    found = view(candidate.from_numpy(base)).numpy()
    expected = view(torch.from_numpy(base)).numpy()
    assert found.dtype == expected.dtype and found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


@scenario
def test_numpy_arrays_as_arguments(t):
    a = np.arange(6.0).reshape(2, 3)
    yield t.tensor(a), t.tensor(a.T), t.tensor(a[:, ::-1].copy()), t.as_tensor(a[::2])
    yield t.tensor(a, dtype=t.float32), t.tensor(np.float32(2)), t.tensor(np.array(3))
    x = t.ones(3)
    yield x + np.float64(1.5), np.float64(1.5) * x, x * np.int64(2), x[np.int64(1)]
    yield np.sin(x), np.exp(x).dtype if isinstance(np.exp(x), np.ndarray) else np.exp(x)
    for wrong in (np.array([1j]), np.array([object()]), np.array(["a"])):
        result = caught(t.from_numpy, wrong)
        yield result if wrong.dtype != complex else None
    frozen = np.arange(3.0)
    frozen.flags.writeable = False
    yield t.tensor(frozen)


@pytest.mark.wengert_only
def test_negative_strides_are_shared(wt):
    a = np.arange(6.0)
    x = wt.from_numpy(a[::-1])
    x[0] = 50
    assert a[5] == 50 and x.stride() == (-1,)
    back = x.numpy()
    assert back.strides == (-8,) and np.shares_memory(back, a)


@pytest.mark.wengert_only
def test_buffer_protocol(wt):
    for dtype in DTYPES:
        x = wt.tensor(numbers(0, (2, 3), dtype))
        view = memoryview(x)
        assert view.shape == (2, 3) and view.ndim == 2
        assert view.tolist() == x.tolist()
        assert np.shares_memory(np.asarray(view), x.numpy())
    x = wt.arange(4.0)
    memoryview(x[1:])[0] = 9.0
    assert x.tolist() == [0, 9, 2, 3]
    assert memoryview(x[::2]).strides == (8,)
    assert caught(memoryview, wt.ones(2, requires_grad=True)) is not None
    view = memoryview(x)
    del x
    gc.collect()
    assert view.tolist() == [0, 9, 2, 3]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["contiguous", "sliced", "permuted", "expanded"])
def test_dlpack_both_ways(dtype, layout):
    """torch to the candidate and back, NumPy to the candidate and back: one memory."""
    count()
    base, view = LAYOUTS[layout](numbers(0, (3, 4), dtype))
    theirs = view(torch.from_numpy(base.copy()))
    ours = candidate.from_dlpack(theirs)
    assert tuple(ours.shape) == tuple(theirs.shape) and ours.tolist() == theirs.tolist()
    assert ours.stride() == theirs.stride()
    back = torch.from_dlpack(ours)
    assert back.data_ptr() == theirs.data_ptr() == ours.data_ptr()
    shared = np.from_dlpack(ours)
    assert shared.tolist() == theirs.tolist()
    theirs[0, 0] = 1
    assert ours[0, 0].item() == back[0, 0].item() == shared[0, 0] == 1
    array = np.arange(5, dtype=np.int64)
    assert candidate.from_dlpack(array).data_ptr() == array.ctypes.data
    del theirs, back
    gc.collect()
    assert ours.tolist() == shared.tolist()


@scenario
def test_dlpack_details(t):
    x = t.arange(3.0)
    yield x.__dlpack_device__()[1], type(x.__dlpack__()).__name__
    capsule = x.__dlpack__()
    first = t.from_dlpack(capsule)
    yield first, caught(t.from_dlpack, capsule) is not None
    yield caught(t.ones(1, requires_grad=True).__dlpack__), caught(t.from_dlpack, 3) is not None
    yield caught(t.from_dlpack, "a") is not None
    unused = x.__dlpack__()
    del unused, x
    gc.collect()
    yield first


@scenario
def test_pickle(t):
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        for x in (
            t.arange(6.0).reshape(2, 3), t.arange(6).reshape(2, 3).t(), t.tensor(True),
            t.zeros(0, 2), t.ones(2, requires_grad=True), t.ones(4)[::2], t.tensor(1.5).double(),
        ):  # fmt: skip
            y = pickle.loads(pickle.dumps(x, protocol))
            yield y.detach(), y.requires_grad, y.stride()
    shared = t.arange(4.0)
    whole, part = pickle.loads(pickle.dumps((shared, shared[1:])))
    whole[1] = 50
    yield part, pickle.loads(pickle.dumps([shared, shared]))[0]
    for value in (t.float32, t.int64, t.Size([2, 3]), t.device("cpu")):
        yield pickle.loads(pickle.dumps(value)) == value


@scenario
def test_copy_and_deepcopy(t):
    x = t.arange(3.0, requires_grad=True)
    x.sum().backward()
    y = copy.deepcopy(x)
    yield y, y.grad, y.is_leaf, y is x
    y.grad.zero_()
    with t.no_grad():
        y.add_(1)
    yield x, x.grad, y
    z = copy.copy(x)
    yield z, z is x, z.data_ptr() == x.data_ptr()
    base = t.arange(4.0)
    first, second = copy.deepcopy([base, base[1:]])
    first[1] = 9
    yield second, base, caught(copy.deepcopy, x * 2)
    same = copy.deepcopy([x, x])
    yield same[0] is same[1]


@scenario
def test_odd_objects(t):
    class HasArray:
        def __array__(self, dtype=None, copy=None):
            return np.arange(3.0)

    class Fails:
        def __len__(self):
            return 2

        def __getitem__(self, i):
            raise KeyError("broken")

    yield t.as_tensor(np.arange(3)), caught(t.tensor, Fails()), caught(t.as_tensor, object())
    yield caught(t.tensor, HasArray()), caught(t.tensor, [1, "a"]), caught(t.tensor, [[1], None])
    loop = []
    loop.append(loop)
    yield caught(t.tensor, loop) is not None
