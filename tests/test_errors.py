"""Errors of wrong calls: torch's exception type and first sentence."""

import pytest

from compare import caught, scenario

GROUPS = {
    "broadcasting": lambda t, x: [
        lambda: x + t.ones(4), lambda: x * t.ones(3, 3), lambda: t.maximum(x, t.ones(5)),
        lambda: t.where(t.ones(5).bool(), x, x), lambda: x.expand(2, 2), lambda: x.expand(3),
        lambda: x.expand(2, 3, -1, 4), lambda: x.clamp(t.ones(4)), lambda: x.expand(-1, 2, 3),
        lambda: t.atan2(x, t.ones(7)), lambda: x == t.ones(9), lambda: x.add_(t.ones(2, 2, 3)),
    ],
    "dims": lambda t, x: [
        lambda: x.sum(2), lambda: x.sum(-3), lambda: x.sum((0, 0)), lambda: x.mean((0, -2)),
        lambda: x.transpose(0, 2), lambda: x.permute(0, 0), lambda: x.permute(0),
        lambda: x.permute(0, 2), lambda: x.squeeze(5), lambda: x.unsqueeze(4), lambda: x.argmax(3),
        lambda: x.softmax(2), lambda: x.max(7), lambda: x.select(2, 0), lambda: x.select(0, 2),
        lambda: x.narrow(0, 0, 3), lambda: x.narrow(0, 3, 1), lambda: x.narrow(1, 0, -1),
        lambda: x.split(0), lambda: x.split([1, 5]), lambda: x.chunk(0), lambda: x.unbind(2),
        lambda: x.flatten(1, 0), lambda: x.flatten(0, 3), lambda: x.cumsum(2), lambda: x.size(2),
        lambda: t.ones(2, 2, 2).t(), lambda: t.stack([x, x], 4), lambda: t.cat([x, x], 2),
        lambda: x.logsumexp(5), lambda: x.prod(3), lambda: x.any(4), lambda: x.amax((0, 0)),
        lambda: x.var(9), lambda: x.norm(2, 4), lambda: x.stride(3), lambda: t.ones(2).mT,
    ],
    "shapes": lambda t, x: [
        lambda: x.view(4), lambda: x.view(-1, -1), lambda: x.view(-1, 4), lambda: x.reshape(5),
        lambda: x.reshape(-1, 0), lambda: x.reshape(-2, 3), lambda: x.t().view(6),
        lambda: t.cat([]), lambda: t.stack([]), lambda: t.cat([x, t.ones(3)]),
        lambda: t.cat([x, t.ones(2, 2)]), lambda: t.stack([x, t.ones(2)]),
        lambda: t.zeros(0, 3).max(), lambda: t.zeros(0, 3).argmax(0), lambda: t.zeros(0).amax(),
        lambda: t.zeros(0, 3).min(0), lambda: t.zeros(0, 3).view(-1, 0), lambda: x.item(),
        lambda: t.zeros(0).argmin(), lambda: bool(x), lambda: float(x), lambda: x.view(t.Size([7])),
    ],
    "products": lambda t, x: [
        lambda: x @ x, lambda: t.mm(x, t.ones(3)), lambda: t.mm(t.ones(3), x), lambda: x.mv(x),
        lambda: t.dot(x, x), lambda: t.dot(t.ones(2), t.ones(3)), lambda: t.mv(x, t.ones(2)),
        lambda: t.bmm(x, x), lambda: t.bmm(t.ones(2, 2, 2), t.ones(3, 2, 2)),
        lambda: t.ones(2, 3, 4) @ t.ones(3, 4, 5), lambda: x @ t.tensor(1.0),
        lambda: t.ones(2, 2) @ t.ones(2, 2).long(), lambda: t.mm(x, x.t().double()),
        lambda: t.addmm(t.ones(5), x, x.t()), lambda: t.addmm(x, x, x), lambda: x @ 2.0,
        lambda: t.nn.functional.linear(x, t.ones(4, 2)), lambda: t.ones(2, 3) @ t.ones(2),
        lambda: t.ones(2).bool() @ t.ones(2).bool(), lambda: t.matmul(x, [1, 2, 3]),
    ],
    "dtypes": lambda t, x: [
        lambda: x & x, lambda: x | 1, lambda: ~x, lambda: t.ones(2).bool() - t.ones(2).bool(),
        lambda: -t.ones(2).bool(), lambda: t.arange(3).mean(), lambda: t.arange(3).var(),
        lambda: t.arange(3).softmax(0), lambda: t.arange(3).norm(), lambda: 1 - t.ones(1).bool(),
        lambda: t.arange(3) // 0, lambda: t.arange(3) % 0, lambda: t.arange(3).pow(-1),
        lambda: t.arange(3).logsumexp(0), lambda: t.arange(3).exp_(), lambda: t.ones(2).int() / 0,
        lambda: t.arange(3).sum(dtype=t.bool), lambda: t.where(x, x, x), lambda: x.bool().abs(),
        lambda: t.nn.functional.gelu(t.arange(3)), lambda: t.nn.functional.silu(t.arange(3)),
        lambda: t.nn.functional.mse_loss(t.arange(3), t.arange(3)), lambda: t.arange(3).std(),
        lambda: t.ones(2).bool().sign(), lambda: t.arange(2) ** t.tensor([-1, 1]),
    ],
    "losses": lambda t, x: [
        lambda: t.nn.functional.cross_entropy(x, t.tensor([0, 3])),
        lambda: t.nn.functional.cross_entropy(x, t.tensor([0])),
        lambda: t.nn.functional.cross_entropy(x, t.tensor([0.0, 1.0])),
        lambda: t.nn.functional.cross_entropy(x, t.tensor([0, 1]), reduction="total"),
        lambda: t.nn.functional.nll_loss(x, t.tensor([0, -1])),
        lambda: t.nn.functional.nll_loss(x, t.tensor([0, 1]), weight=t.ones(2)),
        lambda: t.nn.functional.nll_loss(t.tensor(1.0), t.tensor(0)),
        lambda: t.nn.functional.mse_loss(x, t.ones(5)),
        lambda: t.nn.functional.mse_loss(x, x, reduction="x"),
    ],
    "indexing": lambda t, x: [
        lambda: x[2], lambda: x[-3], lambda: x[0, 3], lambda: x[0, 0, 0], lambda: x["a"],
        lambda: x[::0], lambda: x[1.5], lambda: x[..., ..., 0, 0, 0], lambda: t.tensor(1)[0],
        lambda: x.__setitem__(5, 0), lambda: x.__setitem__(0, t.ones(4)), lambda: t.tensor(1)[:],
        lambda: x.__setitem__(0, "a"), lambda: x.__setitem__((0, 0, 0), 1), lambda: x[slice("a")],
        lambda: x.__delitem__(0), lambda: x.__setitem__(0, [1, 2]),
    ],
    "arguments": lambda t, x: [
        lambda: x.sum("a"), lambda: x.sum(1.5), lambda: x.sum(0, 1, 2, 3), lambda: x.sum(dim="x"),
        lambda: x.exp(1), lambda: t.exp(), lambda: t.exp(1.0), lambda: t.exp(x, x),
        lambda: t.add(x), lambda: t.add(x, "a"), lambda: x + "a", lambda: "a" + x,
        lambda: x + None, lambda: x + [1, 2, 3], lambda: x * {}, lambda: x.add(other="b"),
        lambda: x.add(1, nothing=2), lambda: x.view(), lambda: x.view("a"), lambda: x.reshape(),
        lambda: x.permute(), lambda: x.clamp(), lambda: t.clamp(x), lambda: x.clamp("a"),
        lambda: t.cat(x), lambda: t.cat(1), lambda: t.cat([x, 1]), lambda: t.stack(1),
        lambda: x.softmax(), lambda: x.transpose(0), lambda: x.to("a"), lambda: x.to(1.5),
        lambda: t.div(x, 2, rounding_mode="up"), lambda: x.round(decimals="a"), lambda: x.pow(),
        lambda: t.matmul(x), lambda: t.where(x > 0, x), lambda: x.norm("bad"), lambda: x.item(1),
        lambda: t.add(x, 1, alpha="a"), lambda: x.expand(), lambda: x.squeeze("a"),
        lambda: x.requires_grad_("a"), lambda: t.arange(), lambda: t.arange("a"),
        lambda: t.manual_seed("a"), lambda: t.set_grad_enabled(), lambda: x.sum(0, dim=0),
        lambda: t.set_default_dtype(t.int64), lambda: t.set_default_dtype("float32"),
    ],
    "attributes": lambda t, x: [
        lambda: x.nothing, lambda: t.nothing, lambda: setattr(x, "shape", 1),
        lambda: setattr(x, "dtype", t.int64), lambda: t.nn.functional.nothing,
        lambda: delattr(x, "requires_grad"), lambda: delattr(x, "nothing"), lambda: x(),
        lambda: x < "a", lambda: x.grad.zero_(), lambda: hash(x) and None, lambda: x @ None,
    ],
}  # fmt: skip


@pytest.mark.parametrize("group", GROUPS)
@scenario
def test_calls(t, group):
    for i, call in enumerate(GROUPS[group](t, t.arange(6.0).reshape(2, 3))):
        yield i, caught(call)


@scenario
def test_nothing_changed_by_a_failed_call(t):
    x = t.arange(3.0)
    for call in (
        lambda: x.add_(t.ones(4)), lambda: x.copy_(t.ones(2)), lambda: x.__setitem__(7, 1),
        lambda: x.mul_("a"), lambda: x.div_(2, rounding_mode="up"),
    ):  # fmt: skip
        yield caught(call), x, x._version


@scenario
def test_comparison_with_anything(t):
    x = t.ones(2)
    yield x == None, x != None, x == "a", x == [1, 2], x == x, (x == x.double())  # noqa: E711
    yield x in [x], caught(lambda: x in [t.zeros(2)])
