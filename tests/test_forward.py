"""Forward mode: every operation of the table, and the rules of dual tensors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compare
import op_samples
from compare import scenario, to_numpy, torch

SAMPLES = [s for s in op_samples.samples() if op_samples.differentiable(s)]


def dual(module):
    import importlib

    return importlib.import_module(module.__name__ + ".autograd.forward_ad")


def tangents(module, sample, arrays, directions, backward):
    """Tangents of the results, and (with `backward`) the tangents of the gradients."""
    fw = dual(module)
    found = []
    with fw.dual_level():
        inputs = []
        for a, d in zip(arrays, directions):
            x = module.tensor(a, requires_grad=backward)
            inputs.append(x if d is None else fw.make_dual(x, module.tensor(d)))
        results = compare.flatten(sample(module, *inputs))
        results = [r for r in results if compare.is_tensor(r) and r.is_floating_point()]
        if backward:
            roots = [r for r in results if r.requires_grad]
            cotangents = [module.full_like(r, 0.5 + i) for i, r in enumerate(roots)]
            results = module.autograd.grad(roots, inputs, cotangents, allow_unused=True)
        for r in results:
            value, t = fw.unpack_dual(r) if r is not None else (None, None)
            found.append(None if t is None else (value, t))
    return found


def same(sample, arrays, directions, backward=False):
    compare.count()
    runs = []
    for module in (torch, compare.candidate):
        try:
            runs.append(tangents(module, sample, arrays, directions, backward))
        except (NotImplementedError, RuntimeError) as error:
            # What torch has no rule for is left to gradcheck.
            words = ("does not support it", "is not implemented")
            assert module is torch and any(w in str(error) for w in words), error
            return
    runs.reverse()
    assert len(runs[0]) == len(runs[1])
    for mine, other in zip(*runs):
        # Where nothing depends on an input, torch has no tangent for some operations, zero for
        # others.
        for a, b in ((mine, other), (other, mine)):
            if a is None and b is not None:
                assert not to_numpy(b[1]).any(), f"no tangent, the other's {b[1]}"
        if mine is None or other is None:
            continue
        assert compare.describe(mine[1])[:3] == compare.describe(other[1])[:3]
        np.testing.assert_allclose(to_numpy(mine[1]), to_numpy(other[1]), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_tangents(sample, seed, some):
    rng = np.random.default_rng(seed)
    directions = [rng.uniform(-1, 1, a.shape) for a in sample.arrays]
    if some and len(directions) > 1:
        directions[rng.integers(len(directions))] = None
    arrays = [rng.permutation(a.reshape(-1)).reshape(a.shape) for a in sample.arrays]
    same(sample, arrays, directions)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_forward_over_reverse(sample):
    rng = np.random.default_rng(7)
    same(sample, sample.arrays, [rng.uniform(-1, 1, a.shape) for a in sample.arrays], True)


def pulled(module, sample, arrays, directions):
    """Gradients of the tangents of the results."""
    fw = dual(module)
    with fw.dual_level():
        inputs = [module.tensor(a, requires_grad=True) for a in arrays]
        slopes = [module.tensor(d, requires_grad=True) for d in directions]
        results = compare.flatten(sample(module, *map(fw.make_dual, inputs, slopes)))
        results = [r for r in results if compare.is_tensor(r) and r.is_floating_point()]
        found = [fw.unpack_dual(r).tangent for r in results]
        roots = [r for r in found if r is not None and r.requires_grad]
        grads = [module.full_like(r, 0.5 + i) for i, r in enumerate(roots)]
        leaves = [*inputs, *slopes]
        if not roots:
            return [module.zeros_like(x) for x in leaves]
        out = module.autograd.grad(roots, leaves, grads, allow_unused=True)
        return [module.zeros_like(x) if g is None else g for g, x in zip(out, leaves)]


# PyTorch's own gradient of as_strided_scatter fails its gradcheck.
@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.name != "as_strided_scatter"], ids=str)
def test_reverse_over_forward(sample):
    compare.count()
    rng = np.random.default_rng(9)
    directions = [rng.uniform(-1, 1, a.shape) for a in sample.arrays]
    try:
        other = pulled(torch, sample, sample.arrays, directions)
    except (NotImplementedError, RuntimeError) as error:
        # What torch has no rule for, or breaks itself by a write, is left to gradcheck.
        words = ("does not support it", "is not implemented", "modified by an inplace operation")
        assert any(w in str(error) for w in words), error
        return
    mine = pulled(compare.candidate, sample, sample.arrays, directions)
    for a, b in zip(mine, other):
        np.testing.assert_allclose(to_numpy(a), to_numpy(b), rtol=1e-7, atol=1e-9)


def test_every_operation_has_a_sample():
    compare.count()
    refused = [op_samples.refusal(s) for s in op_samples.samples()]
    assert [text for text in refused if text] == []


def show(t, pair):
    return [pair.primal, *([] if pair.tangent is None else [pair.tangent]), pair.tangent is None]


@scenario
def test_unpacking(t):
    fw = dual(t)
    x, v = t.tensor([1.0, 2.0, 3.0]), t.tensor([1.0, -1.0, 0.5])
    with fw.dual_level():
        d = fw.make_dual(x, v)
        yield show(t, fw.unpack_dual(d))
        yield show(t, fw.unpack_dual(x))
        yield show(t, fw.unpack_dual(d.detach()))
        yield show(t, fw.unpack_dual(d > 0))
        yield show(t, fw.unpack_dual(d.floor()))
        yield show(t, fw.unpack_dual(t.tensor(1)))
        with t.no_grad():
            yield show(t, fw.unpack_dual(d * d))
        primal, tangent = fw.unpack_dual(d * 2)
        yield show(t, fw.unpack_dual(primal)), show(t, fw.unpack_dual(tangent))
    yield show(t, fw.unpack_dual(d))


@scenario
def test_in_place(t):
    fw = dual(t)
    v = t.tensor([1.0, -1.0, 0.5])
    with fw.dual_level():
        for change in (
            lambda x, d: x.mul_(3),
            lambda x, d: x.mul_(x),
            lambda x, d: x.mul_(d),
            lambda x, d: x.zero_(),
            lambda x, d: x.copy_(d * d),
            lambda x, d: x.fill_(2.0),
            lambda x, d: x.exp_(),
            lambda x, d: x.add_(d, alpha=2),
            lambda x, d: x.cumsum_(0),
        ):
            d = fw.make_dual(t.tensor([1.0, 2.0, 3.0]), v.clone())
            for x in (d.clone(), t.tensor([4.0, 5.0, 6.0])):
                part, whole = x[1:], x.view(3)
                change(x, d)
                yield [show(t, fw.unpack_dual(s)) for s in (x, part, whole, d)]


@scenario
def test_writes_to_parts(t):
    fw = dual(t)
    with fw.dual_level():
        d = fw.make_dual(t.tensor([1.0, 2.0, 3.0]), t.tensor([1.0, -1.0, 0.5]))
        x = t.zeros(2, 3)
        x[0] = d
        yield [show(t, fw.unpack_dual(s)) for s in (x, x[0], x[1], x.t())]
        x[0].mul_(2)
        x[:, 1] = 5.0
        yield show(t, fw.unpack_dual(x))
        y = t.ones(2, 3)
        row = y[1]
        row.mul_(d)
        yield [show(t, fw.unpack_dual(s)) for s in (y, row, y.sum(), y * y)]


@scenario
def test_tangents_that_require_gradients(t):
    fw = dual(t)
    x = t.tensor([1.0, 2.0, 3.0], requires_grad=True)
    v = t.tensor([1.0, -1.0, 0.5], requires_grad=True)
    with fw.dual_level():
        d = fw.make_dual(x, v)
        y = fw.unpack_dual((d * d.exp()).cumsum(0)).tangent
        yield y.requires_grad, y.detach()
        yield t.autograd.grad(y.sum(), [x, v])
        yield show(t, fw.unpack_dual(d.detach() * 2))


@scenario
def test_reverse_inside_a_level(t):
    fw = dual(t)
    with fw.dual_level():
        x = t.tensor([0.1, 0.2, 0.3], requires_grad=True)
        d = fw.make_dual(x, t.tensor([1.0, -1.0, 0.5]))
        y = (d.sin() * d.exp()).softmax(0)
        z = (y * y).sum()
        (g,) = t.autograd.grad(z, x, retain_graph=True)
        yield show(t, fw.unpack_dual(g))
        z.backward()
        yield show(t, fw.unpack_dual(x.grad))
        h = d.clone()
        h.tanh_()
        (g,) = t.autograd.grad(h.sum(), x)
        yield show(t, fw.unpack_dual(g))


@scenario
def test_strided_tangents(t):
    fw = dual(t)
    with fw.dual_level():
        d = fw.make_dual(t.ones(2, 3), t.arange(6.0).view(3, 2).t())
        yield show(t, fw.unpack_dual(d.view(6)))
        d = fw.make_dual(t.ones(2, 3), t.ones(1, 3).expand(2, 3))
        yield show(t, fw.unpack_dual((d + 1).view(6)))


@scenario
def test_refused(t):
    fw = dual(t)
    x = t.ones(3)
    yield compare.caught(fw.make_dual, x, x)
    yield compare.caught(fw.exit_dual_level)
    with fw.dual_level():
        yield compare.caught(fw.enter_dual_level)
        yield compare.caught(fw.make_dual, t.ones(3, dtype=t.int64), x)
        yield compare.caught(fw.make_dual, x, t.ones(3, dtype=t.int64))
        yield compare.caught(fw.make_dual, x, t.ones(4))
        yield compare.caught(fw.make_dual, fw.make_dual(x, x), x)
        yield compare.caught(fw.exit_dual_level, level=3)


@scenario
def test_levels_as_decorators(t):
    fw = dual(t)

    @fw.dual_level()
    def slope(x):
        return fw.unpack_dual(fw.make_dual(x, t.ones_like(x)).pow(2)).tangent

    yield slope(t.tensor([1.0, 2.0]))
    level = fw.enter_dual_level()
    yield level
    fw.exit_dual_level(level=level)


@pytest.mark.wengert_only
def test_closed_levels_keep_nothing(wt):
    fw = dual(wt)
    kept = []
    before = wt._wengert._live()[1]
    with fw.dual_level():
        x = fw.make_dual(wt.ones(3), wt.ones(3))
        for _ in range(500):
            kept.append(x * 2)
    del x
    # The results without their tangents.
    assert wt._wengert._live()[1] - before == len(kept)
