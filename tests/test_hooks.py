"""Hooks of tensors."""

import gc
import weakref

from compare import caught, scenario


@scenario
def test_sees_and_changes(t):
    x = t.ones(2, requires_grad=True)
    y = x * 2
    seen = []
    handle = y.register_hook(lambda g: seen.append(("y", g.tolist())))
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: seen.append(("after", g.tolist())))
    x.register_hook(lambda g: seen.append(("x", g.tolist())))
    y.sum().backward(retain_graph=True)
    yield seen, x.grad
    handle.remove()
    handle.remove()
    seen.clear()
    y.sum().backward()
    yield seen, x.grad


@scenario
def test_whole_gradient_once(t):
    """A hook sees the sum of all uses."""
    x = t.ones(2, requires_grad=True)
    y = x * 2
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    (y * y + y).sum().backward()
    yield seen
    with x.register_hook(lambda g: g + 1):
        x.sum().backward()
    yield x.grad
    x.sum().backward()
    yield x.grad


@scenario
def test_refusals(t):
    x = t.ones(2, requires_grad=True)
    yield caught(t.ones(1).register_hook, lambda g: g)
    for wrong in (
        lambda g: 3, lambda g: "a", lambda g: g.double(), lambda g: g.sum(), lambda g: g.long(),
    ):  # fmt: skip
        with x.register_hook(wrong):
            yield caught(x.sum().backward), x.grad

    def fails(g):
        raise ZeroDivisionError("from the hook")

    y = x * 2
    y.register_hook(fails)
    yield caught(y.sum().backward), t.is_grad_enabled()


@scenario
def test_retain_grad_comes_last(t):
    x = t.ones(2, requires_grad=True)
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g * 3)
    y.sum().backward()
    yield y.grad, x.grad


@scenario
def test_in_place_keeps_hooks_of_the_old_value(t):
    x = t.ones(2, requires_grad=True)
    y = x * 2
    seen = []
    y.register_hook(lambda g: seen.append(("old", g.tolist())))
    y.mul_(5)
    y.register_hook(lambda g: seen.append(("new", g.tolist())))
    y.sum().backward()
    yield seen, x.grad


@scenario
def test_through_grad(t):
    x = t.ones(2, requires_grad=True)
    y = x * 2
    seen = []
    y.register_hook(lambda g: seen.append(("y", g.tolist())))
    x.register_hook(lambda g: seen.append(("x", g.tolist())))
    yield t.autograd.grad(y.sum(), y, retain_graph=True), seen
    yield t.autograd.grad(y.sum(), x), seen, x.grad


@scenario
def test_recorded_under_create_graph(t):
    x = t.tensor([2.0], requires_grad=True)
    y = x**3
    y.register_hook(lambda g: g * x)
    (g,) = t.autograd.grad(y.sum(), x, create_graph=True)
    yield g, t.autograd.grad(g.sum(), x)
    modes = []
    z = x * 2
    z.register_hook(lambda g: modes.append(t.is_grad_enabled()))
    z.sum().backward(retain_graph=True)
    t.autograd.grad(z.sum(), x, create_graph=True)
    yield modes


@scenario
def test_after_accumulation(t):
    x = t.ones(2, requires_grad=True)
    seen = []
    handle = x.register_post_accumulate_grad_hook(lambda p: seen.append((p is x, p.grad.tolist())))
    (x * 2).sum().backward()
    handle.remove()
    x.sum().backward()
    yield seen, caught((x * 2).register_post_accumulate_grad_hook, lambda p: None)


@scenario
def test_cycles_are_collected(t):
    """A hook that holds its own tensor does not live for ever."""

    class Marker:
        pass

    for backward in (False, True):
        x = t.ones(2, requires_grad=True)
        marker = Marker()
        x.register_hook(lambda g, x=x, marker=marker: None)
        seen = weakref.ref(marker)
        y = (x * 2).sum()
        if backward:
            y.backward()
        del x, y, marker
        gc.collect()
        yield seen() is None


@scenario
def test_backward_inside_a_hook(t):
    x = t.ones(2, requires_grad=True)
    other = t.full((2,), 3.0, requires_grad=True)
    y = x * 2

    def inner(g):
        with t.enable_grad():
            (other * g).sum().backward()

    y.register_hook(inner)
    y.sum().backward()
    yield x.grad, other.grad
