"""Views and in-place writes under autograd: shared versions, rewritten histories, refusals."""

import numpy as np
import pytest

from compare import candidate as wengert
from compare import caught, scenario, torch


def ramp(t, *shape):
    n = 1
    for size in shape:
        n *= size
    return t.arange(float(n)).reshape(shape).clone().requires_grad_()


def names(node):
    return [n.name() if n is not None else None for n, _ in node.next_functions]


# --- Versions and bases ---------------------------------------------------------------------------


@scenario
def test_version_is_shared(t):
    x = t.zeros(4)
    views = [x[1:], x.view(2, 2), x.detach(), x[1:][1:], x.unbind()[0], x.view(2, 2).t()]
    for write in (x, *views):
        write.add_(1)
        yield x._version, [v._version for v in views]
    x.data.add_(1)
    yield x._version, x.data._version
    with t.no_grad():
        views[0].mul_(2)
    yield x, x._version


@scenario
def test_base_is_the_root(t):
    x = t.zeros(2, 3)
    y = x[0]
    z = y[1:].view(-1)
    yield x._is_view(), x._base is None, y._base is x, z._base is x, z._is_view()
    yield x.detach()._is_view(), x.detach()._base is None, x.clone()._is_view()
    yield x.view(6)._is_view(), x.t().reshape(6)._is_view(), x.t().contiguous()._is_view()
    i = t.arange(4)
    yield i[:2]._is_view(), i[:2]._base is i


@scenario
def test_dtype_views_are_not_of_autograd(t):
    x = ramp(t, 2, 3)
    bits = x.view(t.int32)
    yield bits.requires_grad, bits._is_view(), bits.shape, bits
    y = x * 1
    bits = y.view(t.int32)
    bits.add_(1)
    yield y._version, y.grad_fn.name(), bits.is_leaf
    yield y.view(t.int16).shape, y.detach().view(t.uint8)
    yield caught(lambda: y.view(t.float64)), caught(lambda: y.t().view(t.int16))


# --- A write to a view ----------------------------------------------------------------------------


@scenario
def test_write_to_a_view(t):
    x = ramp(t, 2, 3)
    y = x * 1
    v, w = y[0], y.view(-1)
    v.mul_(x[1])
    yield y, v, w, names(y.grad_fn), names(v.grad_fn), names(w.grad_fn)
    (y * y).sum().backward()
    yield x.grad


@scenario
def test_base_starts_to_require_a_gradient(t):
    x = ramp(t, 3)
    y = t.zeros(2, 3)
    v, w = y[0], y[1]
    v.add_(x)
    yield y, v, w, names(y.grad_fn)
    w.mul_(2)
    (v * v).sum().backward()
    yield x.grad


@scenario
def test_write_to_the_base(t):
    x = ramp(t, 2, 3)
    y = x * 1
    v, column = y[0], y.t()[1]
    y.mul_(x)
    yield v, column, names(v.grad_fn)
    (v.sum() + column.sum() * 2).backward()
    yield x.grad


@scenario
def test_chain_of_views(t):
    x = ramp(t, 4, 3)
    y = x * 1
    first = y[1:]
    second = first.t()
    third = second[0]
    third.mul_(10)
    yield y, first, second, third
    second.add_(x.detach()[:3].t()[:, :3])
    yield y, third
    (y * y).sum().backward()
    yield x.grad


@scenario
def test_assignments(t):
    x, v = ramp(t, 2, 3), t.tensor([5.0, 7.0], requires_grad=True)
    y = x * 2
    y[:, 1] = v
    y[1, ::2] = v * 2
    y[0] = 1.0
    y[..., -1] += x[:, 0]
    yield y
    (y * y).sum().backward()
    yield x.grad, v.grad
    z = t.zeros(3)
    z[1:] = v
    z[0] = v[0] * 3
    z.sum().backward()
    yield z, v.grad


@scenario
def test_second_gradient_through_a_write(t):
    x = ramp(t, 3)
    y = x * 1
    y[1:].mul_(y[:2].clone() * x[1:])
    (g,) = t.autograd.grad((y**3).sum(), x, create_graph=True)
    yield g
    (g * g).sum().backward()
    yield x.grad


@scenario
def test_a_view_keeps_the_graph_alive(t):
    x = ramp(t, 2, 3)
    v = (x * x)[0]
    v.mul_(2)
    v.sum().backward()
    yield x.grad
    v = (x * x).t()[1:].unbind(1)[1]
    v.sum().backward()
    yield x.grad


@scenario
def test_backward_twice_through_a_write(t):
    x = ramp(t, 3)
    y = x * 1
    y[0].mul_(2)
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    yield x.grad, caught(lambda: y.sum().backward())


@scenario
def test_base_that_is_not_dense(t):
    memory = t.from_numpy(np.arange(32.0).reshape(4, 8)[::2, ::3])
    x = ramp(t, 3).double().detach().requires_grad_()
    v = memory[1]
    v.mul_(x)
    (memory * memory).sum().backward()
    yield memory, v, x.grad
    memory = t.from_numpy(np.ones((2, 8))[:, ::2].T)
    memory.t()[1, 1:].mul_(x)
    memory[0].add_(x[:2])
    (memory * memory).sum().backward()
    yield memory, x.grad


@scenario
def test_saved_values_of_views_are_guarded(t):
    x = ramp(t, 2, 3)
    y = x * 1
    z = y[0] * y[1]
    y[1].add_(1)
    yield caught(lambda: z.sum().backward())
    y = x * 1
    z = y[0].exp()
    y[1].add_(1)
    z.sum().backward()
    yield x.grad


# --- Hooks ----------------------------------------------------------------------------------------


@scenario
def test_hooks_of_views(t):
    x = ramp(t, 2, 3)
    y = x * 1
    v, seen = y[0], []
    v.retain_grad()
    v.mul_(3)
    v.register_hook(lambda g: seen.append(("view", g.tolist())))
    y.register_hook(lambda g: seen.append(("base", g.tolist())))
    (v * 2).sum().backward()
    yield str(seen), v.grad, v.retains_grad, x.grad


@scenario
def test_retained_gradient_follows_the_base(t):
    x = ramp(t, 2, 3)
    y = x * 1
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    y.retain_grad()
    y[0].mul_(3)
    y.sum().backward()
    yield str(seen), y.grad
    v = (x * 1)[0]
    v.retain_grad()
    v._base.mul_(2)
    v.sum().backward()
    yield v.retains_grad, v.grad


# --- Refusals -------------------------------------------------------------------------------------


@scenario
def test_leaves_and_their_views(t):
    x = ramp(t, 2, 3)
    v = x.view(-1)
    yield caught(lambda: x.mul_(2)), caught(lambda: v.mul_(2)), caught(lambda: v[1:].zero_())
    with t.no_grad():
        v.mul_(2)
    yield v, x._version
    v.sum().backward()
    yield x.grad, x.is_leaf
    half = t.ones(4)[:2].requires_grad_()
    yield half.is_leaf, caught(lambda: half.mul_(2)), half._base.requires_grad
    half._base.mul_(2)
    yield half, half.is_leaf


@scenario
def test_views_made_without_grad_mode(t):
    x = ramp(t, 2, 3)
    y = x * 1
    with t.no_grad():
        v, w = x[0], y[0]
    yield v, w, v.is_leaf, v._base is x
    yield caught(lambda: v.mul_(2)), caught(lambda: w.mul_(2))
    yield caught(lambda: w[:2].mul_(2)), caught(lambda: w.view(3).mul_(2))
    plain = t.ones(4)
    with t.no_grad():
        v = plain[:2]
    yield v.mul_(2), caught(lambda: v.mul_(x[0, :2]))
    plain.mul_(x[0, 0])
    yield caught(lambda: v.grad_fn), caught(lambda: v * 2), caught(lambda: v[0:1]), v.requires_grad
    yield str(v).splitlines()[0].endswith("grad_fn=<Invalid>)")
    with t.no_grad():
        yield v * 2


@pytest.mark.parametrize("how", ["unbind", "split", "chunk", "split_with_sizes"])
@scenario
def test_several_views_at_once(t, how):
    arguments = {"unbind": (), "split": (1,), "chunk": (2,), "split_with_sizes": ([1, 1],)}[how]
    y = ramp(t, 2, 3) * 1
    a, b = getattr(y, how)(*arguments)
    yield caught(lambda: a.mul_(2)), caught(lambda: b.view(-1)[0:2].mul_(2)), a
    y.mul_(2)
    yield caught(lambda: a.grad_fn), caught(lambda: a * 2), a.requires_grad, caught(lambda: b[0:1])
    y = t.ones(2, 3)
    a, b = getattr(y, how)(*arguments)
    yield a.mul_(2), caught(lambda: a.mul_(ramp(t, 3)))
    y.mul_(ramp(t, 2, 3))
    yield y, caught(lambda: a.grad_fn)


@scenario
def test_pieces_that_may_be_written(t):
    x = ramp(t, 2, 4)
    y = x * 1
    for piece in (*y.tensor_split(2, 1), *y.hsplit(2)):
        piece.mul_(2)
    y.diagonal().add_(x[0, :2])
    y.unfold(1, 2, 2).mul_(3)
    y.expand(2, 4).narrow(0, 0, 1).mul_(2)
    yield y
    y.sum().backward()
    yield x.grad


@scenario
def test_detach(t):
    x = ramp(t, 2, 3)
    d = x.detach()
    d.mul_(2)
    yield x, d, x._version, d.requires_grad, d._is_view()
    y = x * 1
    yield caught(lambda: y[0].detach_()), y.detach_().requires_grad, y.is_leaf
    yield caught(lambda: (x * 1).requires_grad_(False)), (x * 1).detach()[0].requires_grad_()


@scenario
def test_failed_write_changes_nothing(t):
    y = ramp(t, 2, 3) * 1
    with t.no_grad():
        stale = y[0]
    y.mul_(2)
    z = t.ones(3) * y[0]
    for write in (
        lambda: z.add_(stale), lambda: z.copy_(stale), lambda: z.mul_(t.ones(4)),
        lambda: z[:2].copy_(t.ones(3)), lambda: z.addcmul_(stale, z), lambda: z.clamp_(stale),
    ):  # fmt: skip
        yield caught(write), z, z._version


# --- Layouts changed in place ---------------------------------------------------------------------

LAYOUTS = {
    "t_": lambda x: x.t_(),
    "transpose_": lambda x: x.transpose_(0, 1),
    "swapaxes_": lambda x: x.swapaxes_(0, -1),
    "swapdims_": lambda x: x.swapdims_(0, 1),
    "unsqueeze_": lambda x: x.unsqueeze_(1),
    "squeeze_": lambda x: x.squeeze_(),
    "squeeze_dim": lambda x: x.squeeze_(0),
    "squeeze_dims": lambda x: x.squeeze_((0, 1)),
    "as_strided_": lambda x: x.as_strided_((2,), (1,)),
}


@pytest.mark.parametrize("name", LAYOUTS)
@scenario
def test_layout_in_place(t, name):
    change = LAYOUTS[name]
    x = ramp(t, 2, 3)
    y = x * 1
    same = change(y) is y
    yield same, y, y.stride(), names(y.grad_fn)
    (y * y).sum().backward()
    yield x.grad, caught(lambda: change(x)), x
    with t.no_grad():
        yield change(ramp(t, 1, 3)), change(x), x._version, x.is_leaf


@pytest.mark.parametrize("name", LAYOUTS)
@scenario
def test_layout_of_views_in_place(t, name):
    change = LAYOUTS[name]
    x = ramp(t, 2, 3)
    y = x * 1
    v, w = y[:, :2], y.view(-1)
    change(v)
    yield v, v.stride(), v._is_view(), v._base is y, y, w
    v.mul_(2)
    yield v, y, w
    (v * v).sum().backward()
    yield x.grad
    y = x * 1
    v = y.view(-1)
    change(y)
    yield y, v
    (v * v).sum().backward()
    yield x.grad
    plain = t.zeros(2, 3)
    v = plain[:, :2]
    yield change(v), plain


@scenario
def test_resize(t):
    x = t.arange(4.0)
    v = x[2:]
    yield x.resize_(2, 2), x._version, v, v._version
    x = t.arange(4.0)
    v = x[1:]
    yield x.resize_(3).shape, x.resize_((2, 3)).flatten()[:4], v, v.add_(1), x.flatten()[:4]
    yield caught(lambda: ramp(t, 2).resize_(3)), caught(lambda: t.ones(2).resize_(-1))
    yield t.zeros(2).resize_as_(t.zeros(1, 2)), t.ones(1).set_(t.arange(3.0)), t.ones(2).set_()


@scenario
def test_out_grows_where_it_lies(t):
    whole = t.arange(4.0)
    none = whole[:0]
    yield t.cat([t.ones(2)], out=none), none, whole, whole._version
    x = t.ones(2)
    v = x[:]
    with t.no_grad():
        yield t.add(t.zeros(2), 1, out=x.requires_grad_()), x.requires_grad, v
    yield caught(lambda: t.add(t.zeros(3), 1, out=x)), caught(lambda: t.arange(2.0, out=x))
    for make in (
        lambda out: t.arange(3.0, out=out), lambda out: t.zeros(3, out=out),
        lambda out: t.mm(t.ones(3, 3), t.ones(3, 3), out=out.expand(3, 3)),
        lambda out: t.clamp(t.ones(3), 0, 1, out=out), lambda out: t.amax(t.ones(2, 3), 0, out=out),
    ):  # fmt: skip
        yield caught(lambda make=make: make(t.zeros(1).expand(3)))


@scenario
def test_first_of_two_zeros(t):
    zero, minus = t.zeros(9), -t.zeros(9)
    for name in ("max", "min", "maximum", "minimum", "fmax", "fmin", "clamp", "clamp_min"):
        for pair in ((zero, minus), (minus, zero)):
            yield 1 / getattr(t, name)(*pair)


# --- Expanded memory ------------------------------------------------------------------------------


@scenario
def test_writes_to_expanded_tensors(t):
    for write in (
        lambda x: x.fill_(2), lambda x: x.zero_(), lambda x: x.mul_(2), lambda x: x.copy_(x + 1),
        lambda x: x.__setitem__(0, 1.0), lambda x: x.__setitem__(slice(None), 1.0),
        lambda x: x.masked_fill_(x < 5, 7), lambda x: x.fill_(t.tensor(2.0)), lambda x: x.exp_(),
        lambda x: x.expand(2, 3).tril_(), lambda x: t.add(x, 1, out=x), lambda x: x.squeeze_(),
    ):  # fmt: skip
        base = t.ones(1)
        yield caught(lambda: write(base.expand(3))), base
    x = t.ones(2, 1, requires_grad=True)
    y = x * 1
    y.expand(2, 3).fill_(5)
    yield y


@scenario
def test_writes_between_overlapping_tensors(t):
    x, y = t.arange(6.0), t.arange(4.0).reshape(2, 2)
    for write in (
        lambda: y.add_(y.t()), lambda: x[1:].copy_(x[:-1]), lambda: x.add_(x),
        lambda: x.add_(x.view(6)), lambda: x[::2].add_(x[1::2]), lambda: x.sub_(x[0]),
        lambda: x[1:].lerp_(x[:-1], 0.5),
        lambda: x.__setitem__(slice(1, None), x[:-1]), lambda: y.t().add_(y.view(2, 2).t()),
        lambda: x[1:].clamp_(x[:-1]), lambda: t.add(x[:-1], 1, out=x[1:]),
        lambda: t.cat([x, x[:0]], out=x), lambda: x[:3].add_(x[3:]),
    ):  # fmt: skip
        yield caught(write), x, y


# --- Gradients of views of any layout -------------------------------------------------------------


@scenario
def test_as_strided_of_views(t):
    x = ramp(t, 4, 3)
    for view in (
        lambda y: y.t().as_strided((2, 2), (1, 3)), lambda y: y[1:].as_strided((3,), (2,)),
        lambda y: y[1:, 1:].as_strided((2, 3), (3, 1), 4), lambda y: y.as_strided((3, 2), (1, 1)),
        lambda y: y[:, 1].as_strided((2,), (3,), 1), lambda y: y[2:].as_strided((2,), (1,), 0),
    ):  # fmt: skip
        y = x * 1
        z = view(y)
        (g,) = t.autograd.grad((z**3).sum(), x, create_graph=True)
        yield z, g
        (h,) = t.autograd.grad((g * g).sum(), x)
        yield h


def test_gradient_of_as_strided_scatter():
    """PyTorch's gradient of the first argument fails its own gradcheck: this one must be right."""
    x, src = ramp(wengert, 4), wengert.ones(2, requires_grad=True)
    y = wengert.as_strided_scatter(x, src * 3, (2,), (2,))
    (y * y).sum().backward()
    assert x.grad.tolist() == [0.0, 2.0, 0.0, 6.0]
    assert src.grad.tolist() == [18.0, 18.0]
    theirs = ramp(torch, 4)
    assert torch.equal(
        torch.as_strided_scatter(theirs, torch.full((2,), 3.0), (2,), (2,)),
        torch.tensor(y.tolist()),
    )
