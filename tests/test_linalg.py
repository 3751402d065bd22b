"""Singular values and the norms made of them, against torch."""

import numpy as np
import pytest

from compare import Arg, caught, check, scenario

SHAPES = [(1, 1), (3, 3), (2, 5), (5, 2), (2, 3, 4), (2, 2, 4, 3)]


def matrices(shape, layout="contiguous"):
    """Matrices whose singular values are not near each other, nor near zero."""
    rng = np.random.default_rng(len(shape) + shape[-1])
    u, s, vt = np.linalg.svd(rng.standard_normal(shape), full_matrices=False)
    return Arg((u * (s + np.arange(s.shape[-1], 0, -1))[..., None, :]) @ vt, layout)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("order", ["nuc", 2, -2])
def test_norms(order, shape):
    x = matrices(shape)
    for keep in (False, True):
        check(lambda t, x, keep=keep: t.linalg.matrix_norm(x, order, keepdim=keep), x)
        check(lambda t, x, keep=keep: t.linalg.norm(x, order, (-1, -2), keep), x)
        check(lambda t, x: t.linalg.matrix_norm(x, order, dim=(0, -1)), x)
    check(lambda t, x: t.linalg.matrix_norm(x.float(), order, dtype=t.float64), x)
    check(lambda t, x: t.linalg.matrix_norm(x.mT, order), x)


@pytest.mark.parametrize("shape", SHAPES)
def test_nuclear(shape):
    x = matrices(shape)
    check(lambda t, x: t.norm(x, "nuc", dim=(-2, -1), keepdim=True), x)
    check(lambda t, x: x.norm("nuc", dim=(0, 1)), x)
    check(lambda t, x: x.norm(p="nuc"), x)


@pytest.mark.parametrize("shape", SHAPES)
def test_decomposition(shape):
    """Of each vector the sign is free: what is compared does not depend on it."""

    def same_for_signs(u, s, vh):
        k = s.shape[-1]
        u, vh = u[..., :k], vh[..., :k, :]
        return s, (u * s.unsqueeze(-2)) @ vh, u.abs(), vh * vh, (u * s.exp().unsqueeze(-2)) @ vh

    def basis(u, s, vh):
        return u.mT @ u, vh @ vh.mT

    x = matrices(shape)
    check(lambda t, x: same_for_signs(*t.linalg.svd(x, full_matrices=False)), x)
    check(lambda t, x: same_for_signs(*t.linalg.svd(x)), x)
    check(lambda t, x: basis(*t.linalg.svd(x.detach())), x)
    check(lambda t, x: t.linalg.svdvals(x), x)
    check(lambda t, x: t.svd(x).S, x)
    check(lambda t, x: same_for_signs(*x.svd()[:2], x.svd().V.mT), x)


@scenario
def test_layouts(t):
    for shape in (*SHAPES, (0, 3), (3, 0), (2, 0, 3)):
        x = t.ones(shape)
        for full in (True, False):
            yield [(y.shape, y.stride(), y._base) for y in t.linalg.svd(x, full_matrices=full)]
            yield [(y.shape, y.stride()) for y in x.svd(some=not full)]
        yield [(y.shape, y.stride()) for y in t.svd(x, compute_uv=False)]
        yield [y.tolist() for y in t.svd(x, compute_uv=False)[::2]]
    yield t.linalg.svd(t.ones(0, 3)), t.linalg.svd(t.ones(2, 3, 0)), type(t.svd(x)).__name__


@scenario
def test_without_a_division(t):
    """Singular values that are equal, or zero, have gradients as long as no vector is asked for."""
    for x in (t.zeros(3, 2), t.eye(3), -2 * t.eye(2), t.zeros(2, 4)):
        x.requires_grad_()
        yield t.autograd.grad(x.norm("nuc"), x)[0].abs()
        yield t.autograd.grad(t.linalg.svdvals(x).sum(), x)[0].abs()
    x = t.zeros(3, 2, requires_grad=True)
    yield t.autograd.grad(t.linalg.svd(x, False).U.sum(), x)[0].isnan().all()


@scenario
def test_no_elements(t):
    yield t.linalg.matrix_norm(t.ones(0, 3), 2), t.linalg.matrix_norm(t.ones(2, 0, 3), "nuc")
    yield t.linalg.matrix_norm(t.ones(0, 3), 1), t.linalg.matrix_norm(t.ones(3, 0), 1)
    yield t.linalg.svdvals(t.ones(0, 3)), t.linalg.svdvals(t.ones(0, 3, 3))


@scenario
def test_errors(t):
    nan = t.full((2, 3, 4), float("nan"))
    x, whole, half = t.ones(3, 3, 3), t.ones(3, 3).long(), t.ones(3, 3).half()
    for call in (
        lambda: t.linalg.svd(nan[0]), lambda: t.linalg.svdvals(nan), lambda: nan[0].norm("nuc"),
        lambda: t.linalg.svd(t.ones(3)), lambda: t.svd(t.ones(3)), lambda: t.linalg.svd(whole),
        lambda: t.linalg.svd(half), lambda: t.linalg.svdvals(x, driver="gesvd"),
        lambda: t.norm(x, "nuc"), lambda: t.norm(x, "nuc", dim=0), lambda: t.norm(x[0], "bad"),
        lambda: t.norm(x, "nuc", dim=(0, 0)), lambda: t.norm(x, "nuc", dim=(1, -2)),
        lambda: t.norm(x, "fro", dim=(0, 1, 2)), lambda: t.norm(whole, "nuc"),
        lambda: t.norm(half, "nuc"), lambda: t.linalg.matrix_norm(x, 3),
        lambda: t.linalg.matrix_norm(x, 2, dim=(0, 1, 2)), lambda: t.linalg.matrix_norm(half, -2),
        lambda: t.linalg.matrix_norm(x, "nuc", dtype=t.float16),
        lambda: t.linalg.matrix_norm(x, 1, dtype=t.int64), lambda: t.linalg.norm(x, "nuc"),
        lambda: t.linalg.norm(x, "nuc", dim=1), lambda: t.linalg.matrix_norm(x[:, :0], -2),
    ):  # fmt: skip
        yield caught(call)
    with pytest.raises(t.linalg.LinAlgError):
        t.linalg.svd(nan)
    yield t.linalg.LinAlgError.__mro__[1].__name__, t.linalg.matmul(x, x)
