"""`vmap`: every operation of the table, transforms inside and outside, errors."""

import contextlib
import dataclasses
import importlib

import numpy as np
import pytest

import compare
import op_samples
from compare import caught, scenario, to_numpy, torch

#: What looks at its values, or has results whose shape depends on them, cannot be batched.
REFUSED = {"gaussian_nll_loss", "nonzero", "where.condition", "equal", "allclose"}
ALL = [
    s
    for s in op_samples.samples()
    if s.arrays and not {s.name, s.schema.partition("(")[0]} & REFUSED
]
SAMPLES = [s for s in ALL if op_samples.differentiable(s)]
#: Operations whose memory order is seen: that of a batch of batches is not the examples'.
ORDERED = {"as_strided", "as_strided_scatter"}


def integers(sample):
    """The same call with integers."""
    arrays = [np.round(a * 10).astype(np.int64) for a in sample.arrays]
    return dataclasses.replace(sample, arrays=arrays)


def func(t):
    return importlib.import_module(t.__name__ + ".func")


def batches(sample, skipped):
    """Three examples of each argument but the skipped one, and which dimension they are along."""
    rng = np.random.default_rng(5)
    arrays, dims = [], []
    for i, a in enumerate(sample.arrays):
        rows = [rng.permutation(a.reshape(-1)).reshape(a.shape) for _ in range(3)]
        arrays.append(a if i == skipped else np.stack(rows, i % (a.ndim + 1)))
        dims.append(None if i == skipped else i % (a.ndim + 1))
    return arrays, tuple(dims)


def by_hand(module, sample, arrays, dims):
    """The results for one example after the other, stacked."""
    rows = []
    for k in range(3):
        one = [a if d is None else np.take(a, k, d) for a, d in zip(arrays, dims)]
        rows.append(compare.flatten(sample(module, *map(module.tensor, one))))
    return [module.stack(list(column)) for column in zip(*rows)]


def agree(sample):
    """The batched call gives what the calls one by one give, whichever arguments are batched."""
    for skipped in range(-1, len(sample.arrays) if len(sample.arrays) > 1 else 0):
        arrays, dims = batches(sample, skipped)
        try:
            other = by_hand(torch, sample, arrays, dims)
        except Exception:  # not for integers
            return
        compare.count()
        t = compare.candidate
        batched = func(t).vmap(lambda *xs: tuple(compare.flatten(sample(t, *xs))), in_dims=dims)
        mine = batched(*map(t.tensor, arrays))
        assert len(mine) == len(other)
        for a, b in zip(mine, other):
            assert compare.describe(a)[:3] == compare.describe(b)[:3]
            compare.same_numbers(to_numpy(a), to_numpy(b), False, str(sample))


@pytest.mark.parametrize("sample", ALL, ids=str)
def test_every_operation(sample):
    agree(sample)


@pytest.mark.parametrize("sample", ALL, ids=str)
def test_integers(sample):
    if sample.name not in NO_INTEGERS:
        agree(integers(sample))


#: PyTorch itself has no such call for integers, but has it batched.
NO_INTEGERS = {"nll_loss"}


@pytest.mark.parametrize("sample", ALL, ids=str)
def test_two_levels(sample):
    """A batch of batches, the inner along the last dimension."""
    if sample.name in ORDERED:
        return
    compare.count()
    rng = np.random.default_rng(6)
    stacks = [np.stack([a, rng.permutation(a.reshape(-1)).reshape(a.shape)]) for a in sample.arrays]
    arrays = [np.stack([s, s[::-1], s], -1) for s in stacks]
    t = compare.candidate
    one = lambda *xs: tuple(compare.flatten(sample(t, *xs)))  # noqa: E731
    both = None
    for k in range(3):
        order = (0, 1) if k != 1 else (1, 0)
        for j, row in enumerate(order):
            try:
                other = compare.flatten(sample(torch, *(torch.tensor(s[row]) for s in stacks)))
            except NotImplementedError:  # for integers only
                return
            if both is None:
                both = func(t).vmap(func(t).vmap(one, in_dims=-1))(*map(t.tensor, arrays))
            for a, b in zip(both, other):
                np.testing.assert_allclose(to_numpy(a)[j, k], to_numpy(b), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_tangents_of_examples(sample):
    """`vmap(jvp(f))` and `jvp(vmap(f))`, the tangents different for each example."""
    compare.count()
    arrays, dims = batches(sample, -1)
    rng = np.random.default_rng(8)
    slopes = [rng.uniform(-1, 1, a.shape) for a in arrays]
    t = compare.candidate

    def one(*xs):
        return tuple(o for o in compare.flatten(sample(t, *xs)) if o.is_floating_point())

    def pushed(*both):
        half = len(both) // 2
        return func(t).jvp(one, both[:half], both[half:])[1]

    primals, tangents = map(t.tensor, arrays), map(t.tensor, slopes)
    primals, tangents = tuple(primals), tuple(tangents)
    try:
        inside = func(t).vmap(pushed, in_dims=dims + dims)(*primals, *tangents)
    except RuntimeError as error:  # as PyTorch says too
        assert "is not implemented" in str(error)
        return
    outside = func(t).jvp(func(t).vmap(one, in_dims=dims), primals, tangents)[1]
    rows = []
    for k in range(3):
        inputs = [example(list(map(t.tensor, part)), dims, k) for part in (arrays, slopes)]
        rows.append(pushed(*inputs[0], *inputs[1]))
    for a, b, column in zip(inside, outside, zip(*rows)):
        alone = to_numpy(t.stack(column))
        np.testing.assert_allclose(to_numpy(a), alone, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(to_numpy(b), alone, rtol=1e-7, atol=1e-9)


def example(inputs, dims, k):
    return [x if d is None else x.select(d, k).clone() for x, d in zip(inputs, dims)]


# PyTorch's own gradient of as_strided_scatter fails its gradcheck.
@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.name != "as_strided_scatter"], ids=str)
def test_gradients_of_examples(sample):
    """`vmap(grad(f))`, one of the arguments the same for all."""
    compare.count()
    arrays, dims = batches(sample, 0 if len(sample.arrays) > 1 else -1)
    found = []
    for module in (torch, compare.candidate):

        def loss(*xs, module=module):
            outs = [o for o in compare.flatten(sample(module, *xs)) if o.is_floating_point()]
            return sum((o * o * 0.5).sum() + o.sum() for o in outs)

        places = tuple(range(len(arrays)))
        gradient = func(module).grad(loss, argnums=places)
        inputs = list(map(module.tensor, arrays))
        if module is torch:
            try:
                rows = [gradient(*example(inputs, dims, k)) for k in range(3)]
            except RuntimeError as error:
                assert "is not implemented" in str(error)
                return
            found.append([torch.stack(column) for column in zip(*rows)])
        else:
            found.append(func(module).vmap(gradient, in_dims=dims)(*inputs))
    for a, b in zip(*found):
        np.testing.assert_allclose(to_numpy(a), to_numpy(b), rtol=1e-7, atol=1e-9)


#: Operations that run example by example, as limits or lengths are found in the values.
WITHOUT_RULE = {"histc", "bincount", "repeat_interleave"}


@pytest.mark.wengert_only
def test_rules(wt):
    """Which operations lack a rule is known."""
    wt._wengert._vmap_loops()
    for sample in ALL:
        arrays, dims = batches(sample, -1)
        call = lambda *xs, s=sample: tuple(compare.flatten(s(wt, *xs)))  # noqa: E731
        with contextlib.suppress(NotImplementedError):  # for integers only
            func(wt).vmap(call, in_dims=dims)(*map(wt.tensor, arrays))
    names = {name.strip("_") for name in wt._wengert._vmap_loops()}
    assert names == WITHOUT_RULE


@scenario
def test_dimensions(t):
    vmap = func(t).vmap
    x, w = t.arange(6.0).view(2, 3), t.tensor([1.0, 2.0, 3.0])
    yield vmap(t.dot)(x, x), vmap(t.dot, (0, None))(x, w)
    yield vmap(lambda a: a * 2, in_dims=1)(x), vmap(lambda a: a * 2, in_dims=-1, out_dims=1)(x)
    yield vmap(lambda a: (a * 2, w), out_dims=(1, 0))(x)
    yield vmap(lambda a: (a * 2, w), out_dims=(1, None))(x)
    yield vmap(lambda a: {"k": a * 2})(x)["k"]
    yield vmap(lambda d: d["a"] * d["b"], in_dims=({"a": 0, "b": None},))({"a": x, "b": w})
    yield vmap(lambda a, s: a * s, in_dims=(0, None))(x, 3.0)
    yield vmap(lambda a: a * 2, chunk_size=1)(x)
    yield t.vmap(lambda a: t.zeros_like(a) + a.size(0) + a.dim())(x)


@scenario
def test_nesting(t):
    f = func(t)
    x, y, w = t.arange(6.0).view(2, 3), t.arange(6.0).view(2, 3) + 1, t.tensor([1.0, 2.0, 3.0])
    yield f.vmap(f.vmap(lambda a, b: a * b), in_dims=(1, 1))(x, y)
    yield f.vmap(lambda a: f.vmap(lambda b: a * b)(w))(w)
    yield f.vmap(lambda a: f.vmap(lambda b: a @ b)(y))(x)
    yield f.vmap(lambda a: f.vmap(lambda b: a.softmax(0) * b, out_dims=1)(y), out_dims=2)(x)


@scenario
def test_transforms(t):
    f = func(t)
    x, y, w = t.arange(6.0).view(2, 3), t.arange(6.0).view(2, 3) + 1, t.tensor([1.0, 2.0, 3.0])

    def loss(w, a):
        return ((w * a).sum()) ** 2

    yield f.vmap(f.grad(loss), in_dims=(None, 0))(w, x)
    yield f.vmap(f.grad_and_value(loss), in_dims=(None, 0))(w, x)
    yield f.grad(lambda w: f.vmap(loss, in_dims=(None, 0))(w, x).sum())(w)
    yield f.grad(lambda w: (f.vmap(f.grad(loss), in_dims=(None, 0))(w, x) ** 2).sum())(w)
    yield f.vmap(f.vmap(f.grad(loss), in_dims=(None, 0)), in_dims=(0, None))(y, x)
    yield f.vmap(f.jacrev(lambda a: a**2))(x), f.vmap(f.jacfwd(lambda a: a**2))(x)
    yield f.vmap(f.hessian(lambda a: (a**3).sum()))(x)
    yield f.jvp(f.vmap(t.sin), (x,), (y,))
    yield f.vmap(lambda v: f.jvp(t.sin, (w,), (v,))[1])(x)
    yield f.vmap(lambda g: f.vjp(lambda w: w**2, w)[1](g)[0])(x)
    leaf = w.clone().requires_grad_()
    out = f.vmap(lambda a: (a * leaf).sin())(x)
    yield t.autograd.grad(out.sum(), leaf)


@scenario
def test_in_place(t):
    vmap = func(t).vmap
    x, w = t.arange(6.0).view(2, 3), t.tensor([1.0, 2.0, 3.0])

    def parts(a):
        b = a.clone()
        b[0] = 7.0
        b[1:].mul_(a[:-1])
        return b

    yield vmap(lambda a: a.clone().add_(1).mul_(w).exp_())(x)
    yield vmap(parts)(x)
    yield vmap(lambda a: a.clone().copy_(w))(x)
    yield vmap(lambda a: a.clone().cumsum_(0))(x)
    yield caught(vmap(lambda a: w.clone().add_(a)), x)


@scenario
def test_random_numbers(t):
    vmap = func(t).vmap
    x = t.zeros(4, 3)
    yield caught(vmap(lambda a: a + t.rand(3)), x)
    same = vmap(lambda a: a + t.rand(3), randomness="same")(x)
    yield bool((same == same[0]).all())
    different = vmap(lambda a: a + t.rand(3), randomness="different")(x)
    yield tuple(different.shape), len(set(different.reshape(-1).tolist()))
    yield caught(vmap, t.sin, randomness="x")


@scenario
def test_refused(t):
    vmap = func(t).vmap
    x, w = t.ones(2, 3), t.ones(3)

    def f(*args):
        return args[0]

    yield caught(vmap(lambda a: a.item()), w)
    yield caught(vmap(lambda a: a if a > 0 else -a), w)
    yield caught(vmap(lambda a: 1), x)
    for in_dims in (2, "a", [0], (0, 0), None, ((0, 0),)):
        yield caught(vmap(f, in_dims=in_dims), x)
    yield caught(vmap(f), x, w)
    yield caught(vmap(f), x, 1.0)
    yield caught(vmap(f))
    for out_dims in (3, (0, 0), None, "s"):
        yield caught(vmap(f, out_dims=out_dims), x)
    yield caught(vmap, f, chunk_size=0)
