"""In-place forms: identity, version counters, refusals, and what backward says afterwards."""

import pytest

from compare import caught, scenario

UNARY = "exp sin cos tanh sigmoid sqrt rsqrt log abs neg relu erf tan atan floor".split()


@scenario
def test_versions(t):
    x = t.zeros(4)
    y, d, data = x[1:], x.detach(), x.data
    yield x._version
    x.add_(1)
    y.mul_(2)
    yield x._version, y._version, d._version, data._version
    d.zero_()
    x.fill_(3)
    x[0] = 5
    x.copy_(t.ones(4))
    x.requires_grad_()
    yield x, x._version, y._version, data._version
    with t.no_grad():
        x.sub_(1)
    yield x, x._version


@scenario
def test_refused_on_leaves(t):
    x = t.ones(3, requires_grad=True)
    for change in (
        lambda: x.add_(1), lambda: x.exp_(), lambda: x.zero_(), lambda: x.fill_(2),
        lambda: x.copy_(t.zeros(3)), lambda: x.__setitem__(0, 1.0), lambda: x[1:].mul_(2),
        lambda: x.view(-1).add_(1), lambda: x.detach().requires_grad_().add_(1),
        lambda: x.clamp_(0, 1), lambda: x.__iadd__(1),
    ):  # fmt: skip
        yield caught(change)
    yield x


@pytest.mark.parametrize("name", UNARY)
@scenario
def test_saved_values_are_guarded(t, name):
    """Changing the input or the result fails exactly where torch's formula had saved it."""
    for changed in ("input", "result"):
        leaf = t.tensor([0.5, 0.25], requires_grad=True)
        x = leaf * 1
        y = getattr(x, name)()
        (x if changed == "input" else y).add_(1)
        yield changed, caught(lambda: y.sum().backward()), leaf.grad


@pytest.mark.parametrize("op", "add sub mul div pow atan2 maximum mm where cat sum prod".split())
@scenario
def test_saved_operands_are_guarded(t, op):
    calls = {
        "mm": lambda x, y: x.reshape(1, 2) @ y.reshape(2, 1),
        "where": lambda x, y: t.where(x > y, x, y),
        "cat": lambda x, y: t.cat([x, y]),
        "sum": lambda x, y: x.sum() + y.sum(),
        "prod": lambda x, y: x.prod() + y.prod(),
    }
    call = calls.get(op) or getattr(t, op)
    for changed in ("x", "y", "result"):
        a = t.tensor([0.5, 2.0], requires_grad=True)
        b = t.tensor([3.0, 1.5], requires_grad=True)
        x, y = a * 1, b * 1
        z = call(x, y)
        {"x": x, "y": y, "result": z}[changed].mul_(2)
        yield changed, caught(lambda: z.sum().backward()), a.grad, b.grad


@scenario
def test_constants_are_not_saved(t):
    x = t.ones(2, requires_grad=True)
    for change, use in (
        (lambda w: w.add_(1), lambda w: (x + w).sum()),
        (lambda w: w.add_(1), lambda w: (x * w).sum()),
        (lambda w: w.add_(1), lambda w: (w * 2 * x).sum()),
    ):
        w = t.full((2,), 2.0)
        z = use(w)
        change(w)
        yield caught(lambda: z.backward()), x.grad


@scenario
def test_history_follows(t):
    x = t.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 2
    kept = y
    y.mul_(x)
    yield y, y is kept, y.grad_fn.name()
    y += 1
    y.sub_(x).neg_()
    y.sum().backward()
    yield y, x.grad
    # A tensor that needed no gradient starts to need one.
    z = t.zeros(3)
    z.add_(x.detach().requires_grad_() * 3)
    yield z, z.requires_grad, z.is_leaf
    w = t.zeros(3)
    w[1:] = y[1:]
    yield w.requires_grad, w.grad_fn.name()


@scenario
def test_dtype_and_shape_are_kept(t):
    i, f = t.arange(3), t.zeros(3)
    for change in (
        lambda: i.add_(1.5), lambda: i.div_(2), lambda: i.mul_(2), lambda: i.sqrt_(),
        lambda: f.add_(t.ones(2, 3)), lambda: f.add_(t.ones(2)), lambda: f.add_(i),
        lambda: i.add_(f), lambda: i.copy_(t.tensor([1.9, -1.9, 3])), lambda: f.copy_(i),
        lambda: t.zeros(1).expand(3).add_(1), lambda: f.mul_(True), lambda: (f > 1).add_(1),
        lambda: (f > 1).logical_not_(), lambda: f.fill_(t.tensor(7)), lambda: i.fill_(2.7),
    ):  # fmt: skip
        yield caught(change), i, f


@scenario
def test_overlap(t):
    x = t.arange(6.0)
    x[1:].add_(x[:-1].clone())
    yield x
    x.mul_(x)
    yield x
    x.sub_(x.sum())
    yield x
    y = t.arange(4.0).reshape(2, 2)
    y.copy_(y.t().clone())
    yield y, caught(lambda: y.add_(y.t()))


@scenario
def test_an_operand_that_is_overwritten(t):
    """What is written to is saved as it was: using it is refused, and nothing holds itself."""
    x = t.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    y.mul_(y)
    yield y, caught(y.sum().backward), x.grad


@scenario
def test_numbers_are_not_freed(t):
    x = t.ones(2, requires_grad=True)
    y = t.add(x, x, alpha=3).sum()
    yield y.backward(), y.backward(), x.grad
