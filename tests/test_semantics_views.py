"""Version counters, in-place writes and views: what counts, what is saved, how histories change.

What else these rules say is tested in test_inplace.py and test_views_autograd.py.
"""

import gc
import itertools

import numpy as np
import pytest

from compare import caught, scenario


def leaf(t, *shape):
    return t.ones(shape).requires_grad_()


def ramp(t, *shape):
    return t.arange(float(np.prod(shape))).reshape(shape).clone().requires_grad_()


def names(*tensors):
    return [x.grad_fn.name() if x.grad_fn is not None else None for x in tensors]


def grad(t, *args, **kwargs):
    return t.autograd.grad(*args, **kwargs)


# --- Versions -------------------------------------------------------------------------------------

WRITES = {
    "operators": "x += 1; x -= 1; x *= 2; x /= 2; x **= 2; x //= 1; x %= 2",
    "fills": "x.zero_(); x.fill_(1); x.fill_(t.tensor(2.0)); x.copy_(t.ones(4)); x[...] = 3",
    "random": "x.normal_(); x.uniform_(); x.exponential_(); x.bernoulli_(); x.random_()",
    "items": "x[0] = 1; x[1:] = t.ones(3); x[[0]] = 2; x[x > 0] = 3; x[i] = t.ones(1)",
    "scatters": "x.index_fill_(0, i, 1); x.scatter_(0, i, 1.0); x.index_add_(0, i, t.ones(1));"
    "x.index_put_((i,), t.ones(1)); x.masked_fill_(x > 0, 1); x.put_(i, t.ones(1))",
    "methods": "x.add_(1).mul_(2); x.clamp_(0); x.relu_(); x.abs_(); x.cumsum_(0); x.pow_(2)",
    "layouts": "x.unsqueeze_(0); x.squeeze_(0); x.transpose_(0, 0); x.resize_(2); x.resize_(2)",
    "outs": "t.add(x, 1, out=x); t.exp(x.clone(), out=x); t.cat([t.ones(4)], out=x)",
    "views": "x[1:].add_(1); x.view(2, 2).t().zero_(); x.detach().fill_(1); x.unbind()[0].add_(1)",
    "no writes": "x.data.add_(1); x.requires_grad_(); x.detach_(); x.clone().add_(1); x.float()",
    "memory": "x.set_(t.ones(3)); x.data = t.ones(2); x.numpy()[0] = 5; x.add_(1)",
}


@pytest.mark.parametrize("name", WRITES)
@scenario
def test_what_counts_as_a_write(t, name):
    scope = {"x": t.ones(4), "t": t, "i": t.tensor([0])}
    scope["view"], scope["same"] = scope["x"][:2], scope["x"].detach()
    for line in WRITES[name].split(";"):
        exec(line.strip(), scope)
        yield line, [scope[k]._version for k in ("x", "view", "same")]


@scenario
def test_aliases_with_counters_of_their_own(t):
    x = leaf(t, 4)
    y = (x * x).sum()
    data = x.data
    data[0] = 5
    x.data[1] = 3
    x.data.view(2, 2).add_(1)
    same = data.detach()
    same.mul_(2)
    yield x._version, data._version, same._version, data[1:]._version, x.data._version
    y.backward()
    yield x.grad
    pieces = t.ones(4).unsafe_chunk(2)
    pieces[0].add_(1)
    yield [p._version for p in pieces], [p._is_view() for p in pieces]


@scenario
def test_versions_by_hand(t):
    bump = t.autograd.graph.increment_version
    x, y = t.ones(2), t.ones(2)
    for what in (x, [x, y], (x, x), x[0], iter([y]), []):
        bump(what)
        yield x._version, y._version
    yield caught(bump, 3), caught(bump, [x, 3])
    y = leaf(t, 2) * 3
    z = (y * y).sum()
    bump(y)
    yield caught(z.backward)


CALLS = {
    "add a number": lambda t, y: y + 2, "add": lambda t, y: y + y, "scale": lambda t, y: y * 2,
    "mul": lambda t, y: y * t.ones(3), "square": lambda t, y: y * y, "exp": lambda t, y: y.exp(),
    "sin": lambda t, y: y.sin(), "tanh": lambda t, y: y.tanh(), "relu": lambda t, y: y.relu(),
    "sqrt": lambda t, y: y.sqrt(), "log": lambda t, y: y.log(), "neg": lambda t, y: -y,
    "sum": lambda t, y: y.sum(), "mean": lambda t, y: y.mean(), "max": lambda t, y: y.max(),
    "index": lambda t, y: y[[0, 1]], "pow 2": lambda t, y: y**2, "pow 1": lambda t, y: y**1,
    "pow 0": lambda t, y: y**0, "power of 2": lambda t, y: 2**y, "div": lambda t, y: y / 2,
    "over": lambda t, y: 2 / y, "sigmoid": lambda t, y: y.sigmoid(), "abs": lambda t, y: y.abs(),
    "softmax": lambda t, y: y.softmax(0), "clamp": lambda t, y: y.clamp(0, 1),
    "cumsum": lambda t, y: y.cumsum(0), "cumprod": lambda t, y: y.cumprod(0),
    "prod": lambda t, y: y.prod(), "norm": lambda t, y: y.norm(), "var": lambda t, y: y.var(),
    "std": lambda t, y: y.std(), "sort": lambda t, y: y.sort()[0], "clone": lambda t, y: y.clone(),
    "topk": lambda t, y: y.topk(2)[0], "dot": lambda t, y: y.dot(t.ones(3)),
    "logsumexp": lambda t, y: y.logsumexp(0), "view": lambda t, y: y.view(3, 1),
    "double": lambda t, y: y.double(), "cat": lambda t, y: t.cat([y, y]),
    "stack": lambda t, y: t.stack([y, y]), "flip": lambda t, y: y.flip(0),
    "maximum": lambda t, y: t.maximum(y, t.ones(3)), "lerp": lambda t, y: y.lerp(t.ones(3), 0.5),
    "masked_fill": lambda t, y: y.masked_fill(t.tensor([True, False, False]), 0),
    "where": lambda t, y: t.where(t.tensor([True, False, True]), y, y),
    "reciprocal": lambda t, y: y.reciprocal(), "erf": lambda t, y: y.erf(),
    "atan": lambda t, y: y.atan(), "mse": lambda t, y: t.nn.functional.mse_loss(y, t.ones(3)),
    "softplus": lambda t, y: t.nn.functional.softplus(y),
    "silu": lambda t, y: t.nn.functional.silu(y),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
@scenario
def test_what_a_write_spoils(t, name):
    for spoil_result in (False, True):
        y = (ramp(t, 3) + 1) * 1.5
        z = CALLS[name](t, y)
        (z if spoil_result else y).mul_(1)
        yield caught(z.sum().backward)


@scenario
def test_indices_are_saved_as_they_are(t):
    for index in (t.tensor([0, 1]), t.tensor([True, False, True])):
        y = leaf(t, 3)[index]
        index.zero_()
        yield caught(y.sum().backward)
    index = t.tensor([0, 1])
    y = leaf(t, 3).gather(0, index)
    index[0] = 2
    yield caught(y.sum().backward)


@pytest.mark.parametrize(
    "name", ["float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool"]
)
@scenario
def test_names_in_the_refusal(t, name):
    x = t.ones(3, dtype=getattr(t, name))
    y = leaf(t, 3).to(x.dtype) * x if x.is_floating_point() else leaf(t, 3) * x
    z = y * y
    (y if x.is_floating_point() else x).zero_()
    yield caught(z.sum().backward)


# --- In-place writes ------------------------------------------------------------------------------


@scenario
def test_writes_to_leaves(t):
    x = leaf(t, 3)
    for write in (
        lambda: x.add_(1), lambda: x[0].add_(1), lambda: x.__setitem__(0, 1),
        lambda: x.view(3).zero_(), lambda: x.copy_(t.ones(3)), lambda: x.normal_(),
        lambda: x.t_(), lambda: x.unsqueeze_(0),
        lambda: x.fill_(1), lambda: x.masked_fill_(x > 0, 1), lambda: x.detach().add_(1),
    ):  # fmt: skip
        yield caught(write), x._version
    y = x.detach_()
    yield y is x, x.requires_grad, x.is_leaf


@scenario
def test_a_write_makes_the_history(t):
    x, w = t.ones(4), leaf(t, 2)
    whole, view, other = x, x[:2], x[2:]
    view.mul_(w)
    yield x is whole, names(x, view, other), [y.requires_grad for y in (x, view, other)]
    yield grad(t, (x * x).sum(), w), other.is_leaf
    x.add_(1)
    yield names(x, view, other), x._version
    n = t.ones(2, dtype=t.int64)
    yield caught(n.mul_, w), n.copy_(w), n.requires_grad, n


@scenario
def test_expanded_tensors(t):
    y = (leaf(t, 1) * 2).expand(3)
    yield caught(y.add_, 1), caught(y.mul_, leaf(t, 3)), caught(y.__setitem__, 0, 1)


# --- Views ----------------------------------------------------------------------------------------


@scenario
def test_what_is_a_view(t):
    x = ramp(t, 4)
    made = (
        x[1:], x[1:].view(3, 1), x[1:].detach(), x.t(), x.expand(2, 4), x.unbind()[0],
        x.reshape(2, 2), x.contiguous(), x.to(t.float32), x.squeeze(), x.flatten(),
        x.as_strided((2,), (1,)),
        x[[0]], x.unfold(0, 2, 1), x.chunk(2)[0], x.view_as(x), x.narrow(0, 0, 1), x[None], x[...],
        x.clone(), x.data, x.unsafe_chunk(2)[0], x.view(t.int32), x.diag().diagonal(),
        x.split(2)[1][:1],
    )  # fmt: skip
    yield [(y._is_view(), y._base is x, y is x, y.requires_grad) for y in made]
    n = t.arange(4)
    n[1:].add_(1)
    yield n, n._version, n[1:]._base is n


@scenario
def test_the_node_of_a_written_base(t):
    x, w = ramp(t, 4), ramp(t, 2)
    y = x * 2
    view = y[1:3]
    view.mul_(w)
    yield names(y, view), y._version, view.output_nr
    for z in (y, view):
        yield [(n.name() if n is not None else None, k) for n, k in z.grad_fn.next_functions]
    yield grad(t, (y * y).sum(), [x, w])


@scenario
def test_other_views_follow(t):
    x = ramp(t, 6)
    y = x.clone()
    views = [y[:3], y.view(2, 3), y.view(2, 3).t(), y[:3][1:]]
    yield names(*views)
    views[0].mul_(2)
    yield names(y, *views), views
    y.exp_()
    yield names(y, *views), grad(t, views[2].sum() + views[3].sum(), x)


@scenario
def test_chains_of_writes(t):
    x = ramp(t, 4)
    y = x.clone()
    outer = y[:3]
    inner = outer[1:]
    inner.mul_(2)
    outer.add_(1)
    y.mul_(3)
    inner.exp_()
    yield y, outer, inner, y._version, grad(t, (y * y).sum(), x)
    z = ramp(t, 2, 3).clone()
    z.t()[0].mul_(5)
    z.t_()
    yield z, z._is_view(), z._version, names(z)


@scenario
def test_hooks_and_kept_gradients_of_views(t):
    x, seen = ramp(t, 4), []
    y = x.clone()
    view = y[1:]
    view.register_hook(lambda g: seen.append(g.clone()))
    view.retain_grad()
    view.mul_(2)
    view.register_hook(lambda g: g * 10)
    view.sum().backward()
    yield seen, view.grad, x.grad
    last = (x * 2)[1:]
    gc.collect()
    last.mul_(3)
    last.sum().backward()
    yield x.grad


PIECES = {
    "unbind": lambda t, x: x.unbind()[0], "split": lambda t, x: x.split(2)[0],
    "chunk": lambda t, x: x.chunk(2)[1], "split sizes": lambda t, x: x.split([1, 3])[1],
    "tensor_split": lambda t, x: t.tensor_split(x, 2)[0], "hsplit": lambda t, x: x.hsplit(2)[0],
    "iteration": lambda t, x: next(iter(x)), "view of one": lambda t, x: x.unbind()[1][0],
    "broadcast": lambda t, x: t.broadcast_tensors(x, x)[0],
    "detached": lambda t, x: x.unbind()[0].detach(),
    "data": lambda t, x: x.data.unbind()[0], "unsafe_chunk": lambda t, x: x.unsafe_chunk(2)[0],
    "unsafe_split": lambda t, x: x.unsafe_split(1)[0],
    "unsafe sizes": lambda t, x: x.unsafe_split_with_sizes([1, 3])[0],
}  # fmt: skip


@pytest.mark.parametrize("name", PIECES)
@scenario
def test_writes_to_one_of_several_views(t, name):
    piece = PIECES[name](t, ramp(t, 4, 2).clone())
    yield names(piece), caught(piece.add_, 1)
    with t.no_grad():
        yield caught(PIECES[name](t, ramp(t, 4, 2).clone()).add_, 1)
    plain = t.ones(4, 2)
    piece = PIECES[name](t, plain)
    yield caught(piece.add_, 1), caught(piece.mul_, leaf(t, *piece.shape)), plain.requires_grad


@scenario
def test_several_views_of_what_is_written(t):
    x = ramp(t, 4).clone()
    piece = x.split(2)[0]
    x.add_(1)
    yield caught(lambda: piece.grad_fn), caught(lambda: piece * 2), piece.requires_grad


@scenario
def test_views_made_without_grad_mode(t):
    x = ramp(t, 4)
    y = x.clone()
    with t.no_grad():
        of_leaf, view = x[1:], y[1:]
        inner = view[1:]
    later = view[1:]
    for z in (of_leaf, view, inner, later):
        yield caught(z.add_, 1), z.requires_grad, z.is_leaf
    yield caught(of_leaf.requires_grad_, False), caught(of_leaf.detach_)
    y.mul_(2)
    yield caught(lambda: view.grad_fn), view.tolist()
    plain = t.ones(4)
    with t.no_grad():
        view = plain[1:]
    yield caught(view.add_, 1), caught(view.mul_, leaf(t, 3)), plain


@scenario
def test_views_of_views(t):
    class Same(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.view_as(x)

        @staticmethod
        def backward(ctx, g):
            return g

    modes = (t.enable_grad, t.no_grad, t.inference_mode)
    views = (lambda x: x[:1], lambda x: x.unbind()[0], Same.apply)
    for outer, first, inner, second in itertools.product(modes, views, modes, views):
        x = leaf(t, 2, 2, 2).clone()
        with outer():
            y = first(x)
        with inner():
            z = second(y)
        yield caught(z.add_, 1)


@scenario
def test_views_from_custom_functions(t):
    class Same(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return g

    class Square(Same):
        @staticmethod
        def forward(ctx, x):
            return x.view(2, 2)

        @staticmethod
        def backward(ctx, g):
            return g.reshape(4)

    class Halves(Same):
        @staticmethod
        def forward(ctx, x):
            return x[:2], x[2:]

        @staticmethod
        def backward(ctx, a, b):
            return t.cat([a, b])

    y = ramp(t, 4).clone()
    same, square, (half, _) = Same.apply(y), Square.apply(y), Halves.apply(y)
    for z in (same, square, half, square[0], same[:1], square.detach()):
        yield z._is_view(), z._base is y, caught(z.add_, 1)
    plain = t.ones(4)
    square = Square.apply(plain)
    yield square._is_view(), caught(square.add_, 1), caught(square.mul_, leaf(t, 2, 2))
    z = ramp(t, 4).clone()
    square = Square.apply(z)
    z.mul_(2)
    yield caught(lambda: square.grad_fn), caught(lambda: square.sum())


# --- detach, data, items --------------------------------------------------------------------------


@scenario
def test_detached_tensors(t):
    x = ramp(t, 4)
    y = x * 2
    z, product = y.detach(), (y * y).sum()
    yield z.requires_grad, z._is_view(), z.is_leaf, z._version, z.data_ptr() == y.data_ptr()
    z.zero_()
    yield y._version, z._version, y, caught(product.backward)
    for view in (y[1:], t.ones(4)[1:], x.view(4)):
        yield caught(view.detach_)
    after = y * 3
    y.detach_()
    after.sum().backward()
    yield x.grad, y.is_leaf, y.requires_grad, x.detach_() is x, x.requires_grad


@scenario
def test_other_data(t):
    x, seen = ramp(t, 4), []
    first, y = id(x), (x * x).sum()
    x.register_hook(lambda g: seen.append(g.clone()))
    x.data = t.ones(4) * 5
    y.backward()
    yield id(x) == first, seen, x.grad, x._version
    a, b = t.ones(2), t.zeros(2)
    a.data = b
    b.add_(1)
    yield a, a._version, b._version, a.data_ptr() == b.data_ptr()
    base = t.ones(4)
    view = base[1:]
    view.data = t.zeros(3)
    view.add_(1)
    yield view._is_view(), view._base is base, base, view, base._version, view._version
    for new in (t.ones(2, dtype=t.int64), None, 3, [1.0]):
        yield caught(setattr, x, "data", new)
    x.data = leaf(t, 2) * 2
    yield x, x.is_leaf
    z = ramp(t, 2) * 2
    z.data = t.zeros(2)
    n = t.ones(2)
    n.data = t.ones(2, dtype=t.int64)
    yield z, n


@scenario
def test_items(t):
    x, w = ramp(t, 4), ramp(t, 2)
    y = x * 2
    y[1:3] = w
    y[0] = 5
    y[y > 5] = w[1]
    yield y, grad(t, (y * y).sum(), [x, w])
    x, w = ramp(t, 2, 3), ramp(t, 3)
    y = x.clone()
    y[0] = w
    y[:, 1] = w[0] * 2
    y[1, [0, 2]] = w[:2]
    y[t.tensor([[True, False, False], [False, False, True]])] = w[0]
    yield y, y._version, grad(t, (y * y).sum(), [x, w])
    y[1:] = y[:1].clone()
    y[0, 0] = y[1, 1] * y[1, 2]
    yield y, caught(y.__setitem__, 0, t.ones(4)), caught(y.__setitem__, 5, 1)
    yield caught(y.__setitem__, (0, 0, 0), 1)
    z = t.zeros(6)
    z[1:4].copy_(w)
    yield names(z), grad(t, (z * z).sum(), w)


@scenario
def test_items_that_are_everything(t):
    whole, other = slice(None), slice(0, None)
    for index in (
        whole,
        other,
        slice(0, 5),
        (whole,),
        (whole, other),
        (slice(0, 2), 0),
        ...,
        (...,),
    ):
        x, w = ramp(t, 2, 2).clone(), ramp(t, 2, 2)
        yield names(x[index]), x[index]
        for value in (w[0], 3.0, w[0, 0]):
            x[index] = value
            yield names(x), x


@scenario
def test_views_that_are_made_leaves(t):
    base = t.ones(4)
    view = base[1:][1:]
    view.requires_grad_()
    yield caught(view.add_, 1), caught(base[1:].add_, 1), view.is_leaf, view._is_view()
    view = base[2:]
    view.requires_grad_()
    base.add_(1)
    yield view.grad_fn is None, view.requires_grad, base.requires_grad
    (view * 2).sum().backward()
    yield view.grad


@scenario
def test_a_saved_tensor_that_is_detached(t):
    """A node that saved a tensor with a history refuses it once that was taken away."""
    x = t.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    z = (y * y).sum()
    y.detach_()
    yield caught(z.backward), x.grad
    w = x * 2
    v = w.exp().sum() + (w * 3).sum()
    w.detach_()
    yield v.backward(), x.grad
