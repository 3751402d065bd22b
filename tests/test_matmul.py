"""Matrix products: every pair of ranks, empty and transposed operands, large sizes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare import Arg, check, scenario
from strategies import args, floats, layouts, numbers, seeds

dims = st.sampled_from([0, 1, 2, 3, 5, 8, 17])
dtypes = st.sampled_from(["float32", "float64", "int64", "int32"])


def operands(data, *shapes):
    dtype = data.draw(dtypes)
    return [data.draw(args(shape, dtype=dtype)) for shape in shapes]


@given(data=st.data())
def test_mm(data):
    m, k, n = (data.draw(dims) for _ in range(3))
    a, b = operands(data, (m, k), (k, n))
    check(lambda t, a, b: t.mm(a, b), a, b)
    check(lambda t, a, b: a @ b, a, b)
    check(lambda t, a, b: a.mm(b).t(), a, b)


@given(data=st.data())
def test_vectors(data):
    m, k = data.draw(dims), data.draw(dims)
    a, v, w = operands(data, (m, k), (k,), (k,))
    check(lambda t, a, v: (t.mv(a, v), a @ v, v @ a.t()), a, v)
    check(lambda t, v, w: (t.dot(v, w), v @ w), v, w)


@given(data=st.data())
def test_bmm(data):
    b, m, k, n = (data.draw(dims) for _ in range(4))
    x, y = operands(data, (b, m, k), (b, k, n))
    check(lambda t, x, y: t.bmm(x, y), x, y)


@given(data=st.data())
def test_matmul_of_any_ranks(data):
    m, k, n = (data.draw(st.integers(1, 5)) for _ in range(3))
    batch = data.draw(st.lists(st.integers(1, 3), max_size=2))
    left = [1 if data.draw(st.booleans()) else size for size in batch]
    right = batch[data.draw(st.integers(0, len(batch))) :]
    a = data.draw(st.sampled_from([(k,), (m, k), (*left, m, k)]))
    b = data.draw(st.sampled_from([(k,), (k, n), (*right, k, n)]))
    x, y = operands(data, a, b)
    check(lambda t, x, y: t.matmul(x, y), x, y, names=False)


@given(data=st.data())
def test_addmm(data):
    m, k, n = (data.draw(dims) for _ in range(3))
    bias = data.draw(st.sampled_from([(m, n), (n,), (1, n), ()]))
    c, a, b = (data.draw(args(s, dtype="float64")) for s in (bias, (m, k), (k, n)))
    alpha, beta = data.draw(st.sampled_from([(1, 1), (2, 0.5), (0, 1), (1, 0), (-1, 3)]))
    check(lambda t, c, a, b: t.addmm(c, a, b, alpha=alpha, beta=beta), c, a, b)


@given(data=st.data())
def test_linear(data):
    m, k, n = (data.draw(dims) for _ in range(3))
    dtype = data.draw(floats)
    batch = data.draw(st.sampled_from([(m,), (), (2, m)]))
    x, w, b = (data.draw(args(s, dtype=dtype)) for s in ((*batch, k), (n, k), (n,)))
    check(lambda t, x, w, b: t.nn.functional.linear(x, w, b), x, w, b, names=False)
    check(lambda t, x, w: t.nn.functional.linear(x, w), x, w, names=False)


@given(data=st.data())
def test_special_values(data):
    m, k, n = (data.draw(st.integers(0, 4)) for _ in range(3))
    a, b = (data.draw(args(s, dtype="float64", specials=True)) for s in ((m, k), (k, n)))
    check(lambda t, a, b: a @ b, a, b, orders=0)


@pytest.mark.parametrize("n", [31, 64, 100, 129, 200, 257, 384])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large(n, dtype):
    a, b = (
        Arg(numbers(n + i, (n, n + i), dtype, (-1, 1)), layout)
        for i, layout in ((0, "permuted"), (1, "sliced"))
    )
    check(lambda t, a, b: a @ b, a, b, orders=1, sums=True)


@given(seeds, layouts)
def test_odd_shapes(seed, layout):
    """Long and thin, at the borders of every tile."""
    rng = np.random.default_rng(seed)
    m, k, n = rng.choice([1, 2, 7, 8, 9, 47, 48, 49, 95, 130], 3)
    a, b = numbers(seed, (m, k), "float32"), numbers(seed + 1, (k, n), "float32")
    check(lambda t, a, b: a @ b, Arg(a, layout), b, orders=1, sums=True)


@scenario
def test_into_itself(t):
    a = t.arange(9.0).reshape(3, 3).requires_grad_()
    y = a @ a.t() @ a
    yield y
    y.sum().backward()
    yield a.grad
    b = a.detach()
    yield b @ b, b.T @ b[0], (b @ b.mT).sum()
    b @= b
    yield b
