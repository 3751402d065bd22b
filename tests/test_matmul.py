"""Matrix products: every pair of ranks, empty and transposed operands, large sizes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare import Arg, caught, check, scenario
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
def test_sums_in_place(data):
    b, m, k, n = (data.draw(st.integers(0, 4)) for _ in range(4))
    shapes = [(m, n), (m, k), (k, n), (m,), (k,), (b, m, n), (b, m, k), (b, k, n), (n,)]
    given_args = [data.draw(args(shape, dtype="float64")) for shape in shapes]
    alpha, beta = data.draw(st.sampled_from([(1, 1), (2, 0.5), (0, 1), (1, 0)]))

    def sums(t, c, x, y, v, w, d, p, q, u):
        factors = {"alpha": alpha, "beta": beta}
        yield c.clone().addmm_(x, y, **factors)
        yield v.clone().addmv_(x, w, **factors)
        yield d.clone().baddbmm_(p, q, **factors)
        yield c.clone().addbmm_(p, q, **factors)
        yield t.addbmm(u, p, q, **factors)
        yield c.clone().addr_(v, u, **factors)

    check(lambda t, *given: tuple(sums(t, *given)), *given_args, names=False)


EQUATIONS = [
    "ij,jk->ik", "ij,jk", "ij->ji", "ij->", "ii->i", "ii", "i,j->ij", "ij,ij->ij", "ij,ij->",
    "bij,bjk->bik", "...ij,jk->...ik", "...i,...i->...", "i...->...", "ij,jk,kl->il", "ijk->kij",
    "ij,kj->ik", "bn,anm,bm->ba", "ijj->ij", "...ii->...i", "ab,cd", "i,i,i->i", "a...,b...->ab",
]  # fmt: skip


@pytest.mark.parametrize("equation", EQUATIONS)
@given(data=st.data())
def test_einsum(equation, data):
    sizes = {c: data.draw(st.integers(1, 3)) for c in sorted(set(equation) - set(" ,->."))}
    sizes["i"] = sizes["j"] = sizes.get("i", 2)
    more = tuple(data.draw(st.lists(st.integers(1, 3), max_size=2)))
    terms = equation.split("->")[0].split(",")
    dims = [[more if c == "." else (sizes[c],) for c in s.replace("...", ".")] for s in terms]
    operands = [data.draw(args(tuple(sum(d, ())), dtype="float64")) for d in dims]
    check(lambda t, *given: t.einsum(equation, *given), *operands, names=False)


@given(data=st.data())
def test_contractions(data):
    m, k, n = (data.draw(st.integers(1, 4)) for _ in range(3))
    x, y, z = (data.draw(args(s, dtype="float64")) for s in ((m, k, n), (k, n, m), (n,)))
    check(lambda t, x, y: t.tensordot(x, y, 2), x, y, names=False)
    check(lambda t, x, y: t.tensordot(x, y, ([2, 0], [1, 2])), x, y, names=False)
    check(lambda t, x, z: (t.inner(x, z), t.inner(z, z), t.kron(x, z)), x, z, names=False)


@scenario
def test_equations(t):
    x, y = t.arange(6.0).reshape(2, 3), t.arange(12.0).reshape(3, 4)
    yield t.einsum(x, [0, 1], y, [1, 2], [2, 0]), t.einsum(x, [0, 1], y, [1, 2])
    yield t.einsum("ij,jk->ik", [x, y]), t.einsum(x, [..., 1])
    for equation in (
        "ij", "ij,jk,k", "ijk,jk", "ii,jk", "i.,jk", "...i...,jk", "...ijk,jk", "ij,jk->x",
        "ij,jk->ii", "ij,jk->.", "i1,jk", "ij,jk->i->j", "ij,kj", "ij,jk->......i", "",
    ):  # fmt: skip
        yield equation, caught(t.einsum, equation, x, y)
    for dims in (-1, 3, ([0], [0]), ([0, 1], [0]), ([5], [0]), ([0, 0], [0, 0]), 1.5):
        yield caught(t.tensordot, x, y, dims)
    yield caught(t.inner, x, y), caught(t.einsum), caught(t.einsum, x), caught(t.einsum, x, [-1])


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
