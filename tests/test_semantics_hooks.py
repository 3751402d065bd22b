"""Rules of hooks beyond `test_hooks.py` and `test_graph_api.py`: their order, what they may return,
what they hold. Compared with torch."""

import functools
import gc
import weakref

import pytest

from compare import caught, scenario, warned


def leaf(t, *values):
    return t.tensor(values or (1.0, 2.0), requires_grad=True)


class Notes(list):
    """What happened, in order."""

    def on(self, name):
        """A hook that only notes that it was called, and with what."""

        def hook(*args):
            self.append((name, [shown(a) for a in args]))

        return hook


def shown(value):
    if isinstance(value, tuple):
        return tuple(map(shown, value))
    return value.tolist() if hasattr(value, "tolist") else value


# --- Hooks of tensors ----------------------------------------------------------------------------


@scenario
def test_handles(t):
    x = leaf(t)
    notes = Notes()
    first, second = x.register_hook(notes.on("first")), x.register_hook(notes.on("second"))
    with second:
        x.sum().backward()
    first.remove()
    first.remove()
    x.sum().backward()
    yield notes
    yield caught(t.ones(2).register_hook, print), caught(x.long().register_hook, print)
    with t.no_grad():
        yield caught((x * 2).register_hook, print)


@scenario
def test_hooks_of_any_kind_of_callable(t):
    class Adds:
        def __init__(self, n):
            self.n = n

        def __call__(self, grad):
            return grad + self.n

        def method(self, grad):
            return grad * self.n

    x = leaf(t)
    x.register_hook(Adds(1))
    x.register_hook(Adds(3).method)
    x.register_hook(functools.partial(lambda n, g: g * n, 5))
    x.sum().backward()
    yield x.grad
    for wrong in (functools.partial(lambda n, g: g.double(), 1), lambda g: g[:1]):
        y = leaf(t)
        y.register_hook(wrong)
        yield caught(y.sum().backward)
    yield caught(x.register_hook(3) and x.sum().backward)


@scenario
def test_changes_to_the_list_while_it_runs(t):
    x = leaf(t)
    notes = Notes()

    def registers(grad):
        notes.append("registers")
        x.register_hook(notes.on("late"))

    def removes(grad):
        notes.append("removes")
        third.remove()

    once = x.register_hook(registers)
    x.register_hook(removes)
    third = x.register_hook(notes.on("third"))
    x.sum().backward()
    yield notes
    once.remove()
    x.sum().backward()
    yield notes


@scenario
def test_a_hook_that_writes_to_its_gradient(t):
    x, y = leaf(t), leaf(t)
    z = x * 1

    def writes(grad):
        grad.mul_(3)

    z.register_hook(writes)
    ((z + y) * 2).sum().backward()
    yield x.grad


@scenario
def test_retain_grad_after_all_hooks_of_the_tensor(t):
    for first in (True, False):
        x = leaf(t)
        y = x * 2
        notes = Notes()
        if first:
            y.retain_grad()
        y.register_hook(lambda g: g * 3)
        if not first:
            y.retain_grad()
        y.register_hook(lambda g: g + 1)
        y.grad_fn.register_prehook(lambda g: (g[0] * 100,))
        y.grad_fn.register_prehook(notes.on("before the node"))
        y.sum().backward()
        yield y.grad, x.grad, notes


@scenario
def test_retain_grad_follows_the_tensor(t):
    x = leaf(t)
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g * 10)
    y.mul_(3)
    y.retain_grad()
    y.exp_()
    y.sum().backward()
    yield y.grad, x.grad, y.retains_grad
    base = leaf(t) * 2
    view = base[:1]
    view.retain_grad()
    base.retain_grad()
    view.mul_(3)
    base.sum().backward()
    yield view.grad, base.grad


@scenario
def test_retain_grad_itself(t):
    x = leaf(t)
    yield x.retain_grad(), x.retains_grad, caught(t.ones(2).retain_grad)
    y = x * 2
    yield y.retains_grad, y.retain_grad(), y.retain_grad(), y.retains_grad
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    yield y.grad, x.grad
    with t.no_grad():
        yield caught((x * 2).retain_grad)
    z = (x * 2).detach()
    yield caught(z.retain_grad), z.retains_grad


@scenario
def test_reading_grad_of_other_tensors_warns(t):
    y = leaf(t) * 2
    yield warned(lambda: y.grad)[1][0].split(" is being")[0]
    y.retain_grad()
    yield warned(lambda: y.grad)[1]


# --- Hooks of nodes ------------------------------------------------------------------------------


@scenario
def test_replacing_gradients_of_nodes(t):
    x, w = leaf(t), leaf(t)
    y = x * w
    notes = Notes()
    y.grad_fn.register_prehook(lambda outputs: (outputs[0] * 2,))
    y.grad_fn.register_prehook(notes.on("before"))
    y.grad_fn.register_hook(lambda inputs, outputs: (inputs[0] + 1, None))
    y.grad_fn.register_hook(notes.on("after"))
    y.sum().backward()
    yield notes, x.grad, w.grad


@scenario
def test_what_node_hooks_may_return(t):
    def run(before=None, after=None):
        x = leaf(t)
        y = x * 2
        if before:
            y.grad_fn.register_prehook(before)
        if after:
            y.grad_fn.register_hook(after)
        error = caught(y.sum().backward)
        return error, x.grad

    yield run(before=lambda g: (g[0], g[0])), run(before=lambda g: ())
    yield run(after=lambda i, o: (i[0],)), run(after=lambda i, o: (i[0], None, None))
    yield run(before=lambda g: None), run(after=lambda i, o: None)
    yield run(before=lambda g: (None,))
    yield run(after=lambda i, o: (None, None))
    yield run(before=lambda g: [g[0] * 2]), run(after=lambda i, o: [i[0] * 2, None])
    yield run(before=lambda g: g[0] * 2), run(before=lambda g: 3), run(after=lambda i, o: i[0])
    yield run(before=lambda g: (3,)), run(after=lambda i, o: ("a", None))


@scenario
def test_node_hooks_can_be_removed(t):
    x = leaf(t)
    y = x * 2
    notes = Notes()
    one = y.grad_fn.register_prehook(notes.on("before"))
    two = y.grad_fn.register_hook(notes.on("after"))
    y.sum().backward(retain_graph=True)
    one.remove()
    with two:
        pass
    y.sum().backward()
    yield notes


@scenario
def test_order_at_one_node(t):
    x = leaf(t)
    y = x * 2
    notes = Notes()
    y.grad_fn.register_hook(notes.on("node, after"))
    y.grad_fn.register_prehook(notes.on("node, before"))
    y.retain_grad()
    y.register_hook(notes.on("tensor"))
    y.sum().backward()
    yield notes


@scenario
def test_order_at_a_leaf(t):
    x = leaf(t)
    notes = Notes()
    node = t.autograd.graph.get_gradient_edge(x).node
    node.register_hook(notes.on("node, after"))
    x.register_post_accumulate_grad_hook(lambda p: notes.append(("accumulated", p.grad.tolist())))
    node.register_prehook(notes.on("node, before"))
    x.register_hook(notes.on("tensor"))
    (x * 2).sum().backward()
    yield notes
    notes.clear()
    t.autograd.grad((x * 2).sum(), x)
    yield notes


@scenario
def test_grad_runs_the_hooks_of_its_inputs_only(t):
    x = leaf(t)
    y = x * 2
    z = y * 3
    notes = Notes()
    for name, tensor in (("y", y), ("z", z)):
        tensor.register_hook(notes.on(name))
        tensor.grad_fn.register_prehook(notes.on(name + ", before"))
        tensor.grad_fn.register_hook(notes.on(name + ", after"))
    x.register_hook(notes.on("x"))
    y.register_hook(lambda g: g * 5)
    yield t.autograd.grad(z.sum(), y, retain_graph=True), notes
    notes.clear()
    t.autograd.backward(z.sum(), inputs=[y])
    yield notes, y.grad, x.grad


@scenario
def test_hooks_that_raise(t):
    """The error reaches the caller, the graph can be run again, the mode is as it was."""
    x = leaf(t)
    y = x * 2
    z = (y * y).sum()

    def fails(*args):
        raise ZeroDivisionError("in a hook")

    places = [
        y.register_hook, y.grad_fn.register_prehook, y.grad_fn.register_hook, x.register_hook,
        x.register_post_accumulate_grad_hook,
        t.autograd.graph.get_gradient_edge(x).node.register_prehook,
    ]  # fmt: skip
    for place in places:
        handle = place(fails)
        yield caught(z.backward, retain_graph=True), t.is_grad_enabled()
        handle.remove()
        x.grad = None
        z.backward(retain_graph=True)
        yield x.grad
        x.grad = None


# --- Hooks after accumulation --------------------------------------------------------------------


@scenario
def test_hooks_after_accumulation(t):
    x = leaf(t)
    notes = Notes()

    def step(p):
        notes.append(p.grad.tolist())
        with t.no_grad():
            p.sub_(p.grad)
        p.grad = None

    handle = x.register_post_accumulate_grad_hook(step)
    (x * 2).sum().backward()
    (x * 3).sum().backward()
    yield notes, x, x.grad
    handle.remove()
    x.register_post_accumulate_grad_hook(lambda p: p.grad)
    yield caught((x * 2).sum().backward)
    yield caught((x * 2).register_post_accumulate_grad_hook, step)
    yield caught(t.ones(2).register_post_accumulate_grad_hook, step)


@scenario
def test_once_per_pass_with_the_whole_gradient(t):
    x = leaf(t)
    notes = Notes()
    x.register_post_accumulate_grad_hook(lambda p: notes.append(p.grad.tolist()))
    (x * x + x * 2 + x.exp() * 0).sum().backward()
    yield notes
    t.autograd.grad((x * 2).sum(), x)
    yield notes


# --- Several tensors -----------------------------------------------------------------------------


@scenario
def test_multi_hooks_count_each_pass(t):
    a, b = leaf(t), leaf(t)
    notes = Notes()
    register = t.autograd.graph.register_multi_grad_hook
    handle = register((a, b), lambda grads: notes.append([shown(g) for g in grads]))
    (a * b).sum().backward()
    with t.autograd.graph.saved_tensors_hooks(lambda v: v, lambda v: v):
        (a * 2).sum().backward()
    (a * b + a).sum().backward()
    yield notes
    handle.remove()
    (a * b).sum().backward()
    yield len(notes)
    yield caught(register, (a, t.ones(1)), print), caught(register, (a,), print, mode="each")


# --- Lives ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("custom", [True, False])
@pytest.mark.parametrize("of_tensor", [True, False])
@scenario
def test_a_cycle_of_a_hook_and_its_node(t, custom, of_tensor):
    """It lives as long as the graph does, and is collected afterwards."""

    class Same(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            return g

    class Marker:
        pass

    calls = []

    def graph():
        x = t.tensor(1.0, requires_grad=True)
        y = Same.apply(x) if custom else x.clone()
        node, marker = y.grad_fn, Marker()
        hook = lambda *args, held=(node, marker): calls.append(1)  # noqa: E731
        (y.register_hook if of_tensor else node.register_hook)(hook)
        return y.clone(), weakref.ref(marker)

    out, seen = graph()
    out.backward(retain_graph=True)
    gc.collect()
    out.backward(retain_graph=True)
    yield len(calls), seen() is None
    del out
    gc.collect()
    yield seen() is None


@scenario
def test_hooks_live_with_the_graph(t):
    x = leaf(t)
    y = x * 2
    notes = Notes()
    y.register_hook(notes.on("y"))
    z = y.sum()
    del y
    gc.collect()
    z.backward()
    yield notes


@pytest.mark.wengert_only
def test_hooks_of_a_view_are_not_lost(wt):
    """torch dies of a hook that is registered after the base was written to."""
    x = leaf(wt)
    base = x * 2
    view = base[:1]
    notes = Notes()
    base.mul_(3)
    view.register_hook(notes.on("view"))
    (view * 5).sum().backward()
    assert notes == [("view", [[5.0]])] and x.grad.tolist() == [30.0, 0.0]
