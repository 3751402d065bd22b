"""Gradients: flags, backward and its arguments, autograd.grad, grad modes, the graph."""

import gc
import weakref

import pytest

from compare import caught, scenario, warned


@scenario
def test_flags(t):
    x = t.ones(2, requires_grad=True)
    y = x * 2
    yield x.requires_grad, x.is_leaf, x.grad_fn, x.grad, y.requires_grad, y.is_leaf, y
    z = t.ones(2)
    yield (
        z.is_leaf,
        z.requires_grad,
        (z * 2).is_leaf,
        (z + x).requires_grad,
        z.requires_grad_() is z,
    )
    z.requires_grad = False
    yield z, z.requires_grad_(True), z.requires_grad_(False)
    # Never differentiable.
    yield (x > 1), x.argmax(), (x == y), x.long(), x.sign(), x.floor(), x.detach(), x.bool()
    for change in (
        lambda: setattr(y, "requires_grad", False), lambda: y.requires_grad_(False),
        lambda: t.arange(2).requires_grad_(), lambda: setattr(t.arange(2), "requires_grad", True),
        lambda: (x > 1).requires_grad_(), lambda: setattr(x, "requires_grad", "yes"),
    ):  # fmt: skip
        yield caught(change)
    for name in ("is_leaf", "grad_fn"):
        # The sentence names the class that has the attribute.
        yield caught(setattr, x, name, None).split(":")[0]


@scenario
def test_backward_of_a_scalar(t):
    x = t.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = (x * x).sum()
    yield y.backward(), x.grad
    (x * 3).sum().backward()
    yield x.grad
    kept = x.grad
    x.sum().backward()
    yield kept, kept is x.grad, x.grad is x.grad, x.grad.requires_grad, x.grad.is_leaf
    x.grad.zero_()
    x.prod().backward()
    yield x.grad
    x.grad = None
    yield x.grad, x.mean().backward(), x.grad
    del x.grad
    yield x.grad


@scenario
def test_backward_with_a_gradient(t):
    x = t.ones(2, 2, requires_grad=True)
    y = x * 3
    y.backward(t.tensor([[1.0, 2.0], [3.0, 4.0]]))
    yield x.grad
    (x * 2).backward(gradient=t.ones(2, 2))
    yield x.grad
    t.autograd.backward([x.sum(), (x * x).sum()])
    yield x.grad
    t.autograd.backward([x * 1, x * 2], [t.ones(2, 2), t.full((2, 2), 0.5)])
    yield x.grad
    t.autograd.backward(x.sum(), grad_tensors=t.tensor(2.0))
    yield x.grad
    x.backward(t.ones(2, 2))
    yield x.grad
    (x.double() * 2).backward(t.ones(2, 2))
    yield x.grad


@scenario
def test_backward_refuses(t):
    x = t.ones(2, requires_grad=True)
    for call in (
        lambda: (x * 2).backward(), lambda: t.ones(1).backward(),
        lambda: t.ones(2).sum().backward(), lambda: (x * 2).backward(t.ones(3)),
        lambda: (x * 2).backward(t.ones(2, 1)), lambda: x.sum().backward(t.ones(2)),
        lambda: (x * 2).backward("no"),
        lambda: x.sum().backward(inputs=[]), lambda: x.detach().sum().backward(),
        lambda: x.sum().backward(nothing=1), lambda: t.autograd.backward([]),
        lambda: t.autograd.backward([x * 2]), lambda: x.sum().backward(inputs=[t.ones(1)]),
        lambda: t.autograd.backward([x.sum()], [t.ones(()), t.ones(())]),
    ):  # fmt: skip
        yield caught(call), x.grad


@scenario
def test_second_backward(t):
    x = t.ones(2, requires_grad=True)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    yield x.grad
    y.backward()
    yield x.grad, caught(y.backward), x.grad
    # What saves nothing can run again.
    z = (x + x).sum()
    z.backward()
    yield caught(z.backward), x.grad
    w = x.exp()
    w.sum().backward()
    yield caught(w.sum().backward), x.grad
    yield caught(lambda: (w * 2).backward(t.ones(2)))


@scenario
def test_inputs_argument(t):
    x, y = t.ones(2, requires_grad=True), t.ones(2, requires_grad=True)
    z = x * y
    w = z.exp()
    w.sum().backward(inputs=[x], retain_graph=True)
    yield x.grad, y.grad
    w.sum().backward(inputs=[z, y], retain_graph=True)
    yield x.grad, y.grad, z.grad
    w.sum().backward(inputs=x)
    yield x.grad, y.grad


@scenario
def test_accumulation_formats(t):
    x = t.arange(6.0).reshape(2, 3).t().requires_grad_()
    y = t.ones(3, requires_grad=True)
    (x.sum() + y.expand(4, 3).sum()).backward()
    yield x.grad, y.grad, y.grad.is_contiguous(), y.grad.stride()
    # Two leaves never share one gradient's memory.
    a, b = t.ones(2, requires_grad=True), t.ones(2, requires_grad=True)
    (a + b).backward(t.ones(2))
    a.grad.add_(1)
    yield a.grad, b.grad
    g = t.ones(2)
    a.grad = None
    (a * 1).backward(g)
    a.grad.mul_(5)
    yield g, a.grad
    leaf = t.ones(3, requires_grad=True)
    leaf.sum().backward()
    leaf.grad[0] = 5
    yield leaf.grad


@scenario
def test_grad_assignment(t):
    x = t.ones(2, requires_grad=True)
    x.grad = t.tensor([5.0, 6.0])
    x.sum().backward()
    yield x.grad
    for value in (1, "a", t.ones(3), t.ones(2, dtype=t.float64), t.ones(2).long(), x):
        yield caught(setattr, x, "grad", value)
    y = x * 2
    yield warned(lambda: y.grad), warned(lambda: x.grad)[1]


@scenario
def test_broadcast_gradients_are_reduced(t):
    shapes = [(), (1,), (3,), (1, 3), (2, 1), (2, 3), (4, 2, 3), (4, 1, 1)]
    for a in shapes:
        for b in shapes:
            x = t.full(a, 2.0, requires_grad=True)
            y = t.full(b, 3.0, requires_grad=True)
            for z in (x + y, x * y, x - y, x / y, x**y, t.maximum(x, y), t.where(x > y, x, y)):
                yield t.autograd.grad(z.sum(), [x, y])


@scenario
def test_used_more_than_once(t):
    x = t.tensor([1.0, 2.0], requires_grad=True)
    y = x * x + x
    z = y * y * x + y.sum() * x[0] + x.sum() ** 2
    z.sum().backward()
    yield z, x.grad
    big = x * 1
    for _ in range(20):
        big = big + big
    big.sum().backward()
    yield x.grad


@scenario
def test_retain_grad(t):
    x = t.ones(2, requires_grad=True)
    y = x * 2
    yield y.retains_grad, y.retain_grad(), y.retains_grad, x.retain_grad(), x.retains_grad
    (y * y).sum().backward(retain_graph=True)
    yield y.grad, x.grad
    y.retain_grad()
    z = y * 3
    z.retain_grad()
    z.sum().backward()
    yield y.grad, z.grad
    # It follows the tensor through an in-place change.
    w = x * 1
    w.retain_grad()
    w.mul_(4)
    (w * 5).sum().backward()
    yield w.grad, caught(t.ones(1).retain_grad)


@scenario
def test_detach(t):
    x = t.ones(3, requires_grad=True)
    y = (x * 2).detach()
    yield y, y.is_leaf, y._version
    z = x * 2
    z.detach_()
    yield z, z.is_leaf, z.requires_grad
    w = x * 3
    v = w[1:]
    yield caught(v.detach_)
    x.detach()[0] = 9
    yield x, x._version
    (x * x.detach()).sum().backward()
    yield x.grad, x.data, x.data.requires_grad


@scenario
def test_grad_modes(t):
    x = t.ones(2, requires_grad=True)
    yield t.is_grad_enabled()
    with t.no_grad():
        yield t.is_grad_enabled(), x * 2, (x * 2).requires_grad, t.ones(1, requires_grad=True)
        with t.enable_grad():
            yield x * 2
        x.add_(1)
    yield t.is_grad_enabled(), x, x._version
    with t.set_grad_enabled(False):
        yield x * 2
        with t.set_grad_enabled(True):
            yield x * 2
    t.set_grad_enabled(False)
    yield t.is_grad_enabled(), x + 1
    t.set_grad_enabled(mode=True)

    @t.no_grad()
    def bare(a, scale=2):
        """Documented."""
        return a * scale

    @t.no_grad
    def without_parentheses(a):
        return a * 2

    @t.enable_grad()
    def recorded(a):
        return a * 2

    @t.set_grad_enabled(False)
    def disabled(a):
        return a * 2

    yield bare(x, scale=3), bare.__name__, bare.__doc__, without_parentheses(x), disabled(x)
    with t.no_grad():
        yield recorded(x), t.is_grad_enabled()
    try:
        with t.no_grad():
            raise KeyError("inside")
    except KeyError:
        yield t.is_grad_enabled()
    y = x * 2
    with t.no_grad():
        y.backward(t.ones(2))
    yield x.grad

    @t.no_grad()
    def generator():
        for _ in range(2):
            yield x * 2

    for value in generator():
        yield value, t.is_grad_enabled()


@scenario
def test_grad_function(t):
    x = t.tensor([1.0, 2.0], requires_grad=True)
    y = t.tensor([3.0, 4.0], requires_grad=True)
    grad = t.autograd.grad
    z = x * y
    yield grad(z.sum(), x, retain_graph=True), grad(z.sum(), [x, y], retain_graph=True)
    yield grad(z, (x, y), t.ones(2), retain_graph=True), x.grad, y.grad
    yield grad(z.exp().sum(), z, retain_graph=True), grad([z.sum(), x.sum()], x, retain_graph=True)
    yield grad(x.sum(), [x, y], allow_unused=True), grad(z.sum(), [x, x], retain_graph=True)
    yield grad(x.sum(), [x, y], materialize_grads=True), grad(x.sum(), x)
    yield grad(z, x, grad_outputs=[t.tensor([2.0, 3.0])], retain_graph=True), grad(x, x, t.ones(2))
    for call in (
        lambda: grad(z, x), lambda: grad(x.sum(), y), lambda: grad(z.sum(), t.ones(2)),
        lambda: grad(z.sum(), []), lambda: grad(t.ones(1), x), lambda: grad(z.sum(), z.detach()),
        lambda: grad(x.sum(), [x, y], allow_unused=False, materialize_grads=True),
        lambda: grad(z, x, [t.ones(3)]), lambda: grad(z.sum(), "x"),
    ):  # fmt: skip
        yield caught(call)
    grad(z.sum(), x)
    yield caught(grad, z.sum(), x)


@scenario
def test_higher_order(t):
    x = t.tensor(0.7, requires_grad=True)
    y = t.sin(x * x) * t.exp(-x)
    for _ in range(5):
        (y,) = t.autograd.grad(y, x, create_graph=True)
        yield y.item(), y.requires_grad
    z = t.tensor([1.0, 2.0], requires_grad=True)
    warned((z**3).sum().backward, create_graph=True)  # torch warns once a process
    first = z.grad
    yield first.detach(), first.requires_grad
    first.sum().backward()
    yield z.grad.detach(), first.detach()
    # The Hessian of a quadratic form.
    a = t.arange(9.0).reshape(3, 3)
    v = t.ones(3, requires_grad=True)
    (g,) = t.autograd.grad(v @ a @ v, v, create_graph=True)
    yield t.stack([t.autograd.grad(g[i], v, retain_graph=True)[0] for i in range(3)])


@scenario
def test_graph(t):
    x = t.ones(2, requires_grad=True)
    y = t.ones(2)
    z = (x * y + 1).sum()
    node = z.grad_fn
    while node is not None:
        names = [n and n.name() for n, _ in node.next_functions]
        numbers = [i for _, i in node.next_functions]
        yield node.name(), type(node).__name__, names, numbers
        node = node.next_functions[0][0] if node.next_functions else None
    end = (x * 2).grad_fn.next_functions[0][0]
    yield end.name(), end.variable is x, end is (x * 3).grad_fn.next_functions[0][0]
    yield z.grad_fn is z.grad_fn, hash(z.grad_fn) == hash(z.grad_fn), z.output_nr
    a, b = (x * 1).unbind()
    yield a.output_nr, b.output_nr, a.grad_fn is b.grad_fn, b.grad_fn.name()
    values, indices = (x * 1).max(0)
    yield values.grad_fn.name(), indices.grad_fn, (x * 1).max().grad_fn.name()


@scenario
def test_one_object_per_tensor(t):
    x = t.ones(2, requires_grad=True)
    x.label = "leaf"
    y = (x * 2).sum()
    identity = id(x)
    del x
    gc.collect()
    x = y.grad_fn.next_functions[0][0].next_functions[0][0].variable
    yield x.label, id(x) == identity
    y.backward()
    x.grad.mark = 1
    gc.collect()
    yield x.grad.mark, x.grad is x.grad
    seen = weakref.ref(x)
    yield seen() is x
    del x, y
    gc.collect()
    yield seen()


@scenario
def test_graph_is_freed(t):
    """What only the graph kept alive goes with it, in either order."""

    class Marker:
        pass

    x = t.ones(2, requires_grad=True)
    middle = x * 2
    middle.marker = Marker()
    seen = weakref.ref(middle.marker)
    y = (middle * middle).sum()
    del middle
    gc.collect()
    y.backward()
    del y
    gc.collect()
    yield seen(), x.grad


@scenario
def test_nan_and_unused_branches(t):
    x = t.tensor([0.0, 1.0], requires_grad=True)
    y = t.tensor([2.0, 3.0], requires_grad=True)
    parts = (x * 2).unbind()
    (parts[0] * y[0]).backward()
    yield x.grad, y.grad
    best, which = (x * y).max(0)
    best.backward()
    yield x.grad, y.grad, which
    z = t.stack([x, y]).split(1)[0]
    z.sum().backward()
    yield x.grad, y.grad


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@scenario
def test_gradcheck_by_differences(t, dtype):
    """A small network's gradients, all parameters at once."""
    t.manual_seed(0)
    kind = getattr(t, dtype)
    w1, b1, w2 = (t.randn(*s, dtype=kind).requires_grad_() for s in ((3, 4), (4,), (4, 2)))
    x = t.randn(5, 3, dtype=kind)
    out = ((x @ w1 + b1).tanh() @ w2).softmax(1)
    loss = -(out + 1e-3).log().mean() + (w1 * w1).sum().sqrt()
    loss.backward()
    yield loss, w1.grad, b1.grad, w2.grad
