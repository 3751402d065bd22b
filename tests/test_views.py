"""Views and indexing: values, strides, shared memory, gradients."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare import Arg, check, scenario, torch
from strategies import args, dims_of, numbers, shapes

FORMS = {
    "reshape": lambda t, x: (x.reshape(4, 6), x.reshape((2, -1)), t.reshape(x, (-1,))),
    "view": lambda t, x: (x.view(6, 4), x.view(-1), x.view((2, 12)), x.view(2, 3, 4, 1)),
    "transpose": lambda t, x: (
        x.transpose(0, 2),
        t.transpose(x, -1, 1),
        x.transpose(dim0=0, dim1=1),
    ),
    "permute": lambda t, x: (x.permute(2, 0, 1), x.permute((1, -1, 0)), t.permute(x, (0, 2, 1))),
    "t": lambda t, x: (x[0].t(), t.t(x[1]), x[0, 0].t()),
    "T": lambda t, x: (x[0].T, x.mT),
    "expand": lambda t, x: (
        x[:1].expand(5, 3, 4),
        x.expand(2, -1, 3, 4),
        x[:, :1].expand((2, 6, 4)),
    ),
    "expand_as": lambda t, x: x[:1].expand_as(x),
    "squeeze": lambda t, x: (x[:1].squeeze(), x[:, :1].squeeze(1), x.squeeze(0), x.squeeze((0, 1))),
    "unsqueeze": lambda t, x: (x.unsqueeze(0), x.unsqueeze(-1), t.unsqueeze(x, 2)),
    "flatten": lambda t, x: (x.flatten(), x.flatten(1), x.flatten(0, 1), t.flatten(x, -2)),
    "unflatten": lambda t, x: x.unflatten(2, (2, 2)),
    "unbind": lambda t, x: (x.unbind(), t.unbind(x, 1), x.unbind(dim=-1)),
    "narrow": lambda t, x: (x.narrow(0, 1, 1), t.narrow(x, -1, 1, 2), x.narrow(2, -2, 2)),
    "select": lambda t, x: (x.select(0, 1), t.select(x, -1, -1), x.select(dim=1, index=0)),
    "split": lambda t, x: (x.split(2, 2), t.split(x, [1, 2], dim=1), x.split(1), x.split(3, -1)),
    "chunk": lambda t, x: (x.chunk(2), t.chunk(x, 3, dim=2), x.chunk(5, 1)),
    "contiguous": lambda t, x: (x.contiguous(), x.transpose(0, 1).contiguous()),
    "detach": lambda t, x: x.detach(),
    "clone": lambda t, x: x.clone(),
    "view_as": lambda t, x: (x.view_as(x), x.reshape(4, 6).reshape_as(x)),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("layout", ["contiguous", "sliced", "permuted", "negative"])
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_forms(name, layout, dtype):
    """Values and gradients of each form (`view` refuses some layouts, and must say so)."""
    x = Arg(numbers(0, (2, 3, 4), dtype), layout)
    check(FORMS[name], x, exact=True)


@pytest.mark.parametrize("name", FORMS)
def test_strides_and_sharing(name):
    """Strides, offset and whether a write reaches the original are torch's."""

    @scenario
    def story(t):
        for x in (t.arange(24.0).reshape(2, 3, 4), t.arange(48.0).reshape(2, 3, 8)[:, :, ::2]):
            try:
                results = FORMS[name](t, x)
            except RuntimeError:
                yield "refused"
                continue
            for r in results if isinstance(results, tuple) else (results,):
                for part in r if isinstance(r, (tuple, list)) else (r,):
                    yield part.shape, part.stride(), part.storage_offset(), part.is_contiguous()
                    before = x[0, 0, 0].item()
                    if part.numel() and 0 not in part.stride():
                        part.reshape(-1)[0:1].fill_(-1.0)
                        part.view(part.shape).zero_()
                        yield x
                        x[0, 0, 0] = before

    story()


@given(data=st.data())
def test_reshape_of_any_layout(data):
    x = data.draw(args())
    total = 1
    for n in x.shape:
        total *= n
    target = data.draw(st.sampled_from([(-1,), (total,), (1, total), (total, 1), (2, -1), (3, -1)]))
    check(lambda t, x: x.reshape(target), x, exact=True, names=False)


@given(data=st.data())
def test_permute_and_flatten(data):
    x = data.draw(args(data.draw(shapes(1, 4))))
    order = data.draw(st.permutations(range(len(x.shape))))
    check(lambda t, x: x.permute(order).flatten(), x, exact=True, names=False)
    dim = dims_of(data.draw, len(x.shape), one=True)
    check(lambda t, x: x.unsqueeze(dim).squeeze(dim), x, exact=True)
    check(lambda t, x: x.transpose(dim, 0), x, exact=True)


# --- Indexing ------------------------------------------------------------------------------------


@st.composite
def indices(draw, shape):
    """A basic index: integers, slices of any step, None, Ellipsis. Steps backwards are ours only:
    `(index, dims that torch has to flip first)`."""
    index, flipped = [], []
    for dim, size in enumerate(shape[: draw(st.integers(0, len(shape)))]):
        kind = draw(st.integers(0, 3))
        if kind == 0 and size:
            index.append(draw(st.integers(-size, size - 1)))
        elif kind == 1:
            index.append(slice(None, None, -1))
            flipped.append(dim)
        else:
            bound = st.one_of(st.none(), st.integers(-size - 2, size + 2))
            index.append(slice(draw(bound), draw(bound), draw(st.sampled_from([None, 1, 2, 3]))))
        if draw(st.integers(0, 5)) == 0:
            index.append(None)
    if draw(st.integers(0, 3)) == 0:
        index.append(Ellipsis)
    return tuple(index), tuple(flipped)


def forwards(index):
    """The index for a tensor that was flipped already."""
    backwards = slice(None, None, -1)
    return tuple(slice(None) if part == backwards else part for part in index)


@given(data=st.data())
def test_basic_indexing(data):
    x = data.draw(args(data.draw(shapes(1, 4))))
    index, flipped = data.draw(indices(x.shape))

    def fn(t, x):
        if isinstance(x, torch.Tensor):
            return (x.flip(flipped) if flipped else x)[forwards(index)]
        return x[index]

    check(fn, x, exact=True, names=False)


bounds = st.one_of(st.none(), st.integers(-14, 14))


@pytest.mark.wengert_only
@given(bounds, bounds, st.integers(-13, -1), bounds, st.integers(-3, -1))
def test_negative_steps(wt, start, stop, step, start1, step1):
    """Any negative step, against NumPy; and the gradient lands where it came from."""
    x = numbers(0, (11, 5), "float64")
    ours = wt.tensor(x, requires_grad=True)
    index = (slice(start, stop, step), slice(start1, None, step1))
    view = ours[index]
    assert view.detach().numpy().tolist() == x[index].tolist()
    assert view._is_view() and view.storage_offset() >= 0
    view.sum().backward()
    expected = np.zeros_like(x)
    expected[index] = 1
    np.testing.assert_array_equal(ours.grad.numpy(), expected)


@pytest.mark.wengert_only
def test_writing_through_a_negative_step(wt):
    x = wt.arange(6.0)
    x[::-1][:2] = 10
    x[4::-2].mul_(-1)
    assert x.tolist() == [0, 1, -2, 3, -10, 10]
    assert x[::-1].stride() == (-1,) and not x[::-1].is_contiguous()
    assert x[::-1][::-1].is_contiguous()


@given(data=st.data())
def test_assignment(data):
    x = data.draw(args(data.draw(shapes(1, 3))))
    index, flipped = data.draw(indices(x.shape))
    value = data.draw(st.sampled_from([0, 2.5, True]))
    if flipped:
        index = forwards(index)

    def fn(t, x):
        y = x.clone()
        y[index] = value
        z = x.clone()
        z[index] = z[index] * 2
        return y, z, y._version

    check(fn, x, names=False)


@scenario
def test_assignment_of_tensors(t):
    x = t.zeros(3, 4)
    v = t.arange(4.0, requires_grad=True)
    x[1] = v
    yield x
    x[:, 2] = t.tensor(7)
    yield x
    x[0, ::2] = v[:2] * 3
    yield x
    x[...] += 1
    x.sum().backward()
    yield v.grad, x._version
    y = t.arange(6)
    y[1:3] = t.tensor([1.9, -1.9])
    y[-1] = True
    yield y


@scenario
def test_iteration_and_len(t):
    x = t.arange(6.0).reshape(3, 2).requires_grad_()
    yield len(x), list(x), [row.sum() for row in x], x.size(), x.size(0), x.size(-1), x.dim()
    yield x.ndim, x.numel(), x.nelement(), x.shape[0], tuple(x.shape), t.numel(x), x.stride(0)
    a, b, c = x
    (a * b * c).sum().backward()
    yield x.grad, a
    yield 3.0 in x, 9.0 in x, bool(x[0, 0] == 0), list(t.arange(3)), x[1, 1].item(), x[-1].tolist()
    yield t.Size([2, 3]), t.Size([2, 3]).numel(), t.Size([2, 3]) + (4,), t.Size([2, 3])[1:]
    yield repr(t.Size([])), t.Size([2, 3]) == (2, 3), hash(t.Size([2])) == hash((2,))


@scenario
def test_views_share_memory(t):
    x = t.zeros(2, 3)
    for view in (x[0], x[:, 1:], x.t(), x.view(-1), x.unsqueeze(0), x.detach(), x.unbind(1)[2]):
        view.add_(1)
        yield x, view._version, view.data_ptr() >= x.data_ptr(), view._is_view(), view._base is x
    y = x.reshape(3, 2)
    y[0, 0] = 100
    yield x, x.data_ptr() == y.data_ptr(), x.t().reshape(-1).data_ptr() == x.data_ptr()
    yield x.contiguous() is x, x.t().is_contiguous(), x.t().contiguous().is_contiguous()
