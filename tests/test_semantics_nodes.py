"""Rules of nodes and of saved tensors beyond `test_graph_api.py` and `test_saved.py`."""

import gc
import pickle
import weakref

import pytest

from compare import caught, scenario


def leaf(t, *values):
    return t.tensor(values or (1.0, 2.0), requires_grad=True)


def name(node):
    return None if node is None else node.name()


# --- Names ---------------------------------------------------------------------------------------


OPERATORS = [
    "x + x", "x + 1", "1 + x", "x - x", "x - 1", "1 - x", "x * x", "x * 2", "2 * x", "x / x",
    "x / 2", "2 / x", "x // x", "x % x", "x % 2", "x ** x", "x ** 2", "2 ** x", "-x", "abs(x)",
    "x @ x", "x.__rsub__(1)", "x.__radd__(x)", "x.__rmul__(2)", "x.__rpow__(2)",
    "x.__rtruediv__(2)", "x.__rmatmul__(x)", "x.__rmod__(x)",
    "x.sub(x)", "t.rsub(x, x)", "t.rsub(x, 1)", "x.true_divide(x)",
    "x[0]", "x[0:1]", "x[None]", "x[...]",
    "x[[1, 0]]", "x[x > 1]", "x[:, None]", "x.T", "x.mT if x.ndim > 1 else x.t()", "x.unbind()[1]",
    "x.max()", "x.max(0)[0]", "x.min(x)", "x.sum()", "x.sum(0)", "x.mean(0)", "x.clone()",
    "x.view(2, 1)", "x.reshape(2)", "x.double()", "x.float()", "x.to(t.float64)", "x.expand(3, 2)",
    "t.cat([x, x])", "t.stack([x, x])", "t.where(x > 1, x, 0.0)", "t.maximum(x, x)", "x.pow(3)",
    "x.contiguous()", "x.flatten()", "x.squeeze()", "x.unsqueeze(0)", "x.split(1)[0]",
    "x.chunk(2)[1]", "x.softmax(0)", "x.norm()", "x.dot(x)", "x.outer(x)", "x.prod()", "x.var()",
    "x.requires_grad_()", "x.detach()", "x.data", "x.type(t.float64)", "x.index_select(0, i)",
    "x.gather(0, i)", "x.clamp(0, 1)", "x.clamp(min=0)", "x.repeat(2)", "x.roll(1)", "x.flip(0)",
]  # fmt: skip


@pytest.mark.parametrize("code", OPERATORS)
@scenario
def test_names(t, code):
    x, i = leaf(t), t.tensor([1, 0])
    y = eval(code, {"t": t, "x": x, "i": i})
    node = y.grad_fn
    yield name(node), type(node).__name__, repr(y).split("grad_fn=")[-1]
    if node is not None:
        yield [(name(n), k) for n, k in node.next_functions]


@scenario
def test_names_after_writes(t):
    x = leaf(t)
    for write in (
        lambda y: y.add_(1), lambda y: y.mul_(x), lambda y: y.copy_(x), lambda y: y.zero_(),
        lambda y: y.fill_(3), lambda y: y[:1].mul_(2), lambda y: y.exp_(), lambda y: y.t_(),
        lambda y: y.__setitem__(0, 1.0), lambda y: y.__setitem__(y > 1, x[0]), lambda y: y.neg_(),
        lambda y: y.detach_(), lambda y: y.squeeze_(), lambda y: y.unsqueeze_(0),
    ):  # fmt: skip
        y = x * 1
        view = y[1:]
        write(y)
        yield name(y.grad_fn), y.output_nr
        if y.requires_grad and y.ndim == 1:
            yield name(view.grad_fn), [name(n) for n, _ in y.grad_fn.next_functions]


@scenario
def test_names_of_second_gradients(t):
    x = leaf(t)
    for function in (t.mul, t.div, t.add, t.sub):
        grads = t.autograd.grad(function(x, x * 1).sum(), x, create_graph=True)
        yield grads[0].requires_grad


# --- Edges and identity --------------------------------------------------------------------------


@scenario
def test_edges(t):
    x, y = leaf(t), leaf(t)
    z = (x * 2 + y) * x.detach()
    yield [(name(n), k) for n, k in z.grad_fn.next_functions]
    ((inner, _), (nothing, zero)) = z.grad_fn.next_functions
    yield nothing, zero, [(name(n), k) for n, k in inner.next_functions]
    yield inner is z.grad_fn.next_functions[0][0], inner is not z.grad_fn
    a, b = (x * 2).unbind()
    yield a.grad_fn is b.grad_fn, a.output_nr, b.output_nr, (a + b).grad_fn.next_functions[1][1]
    values, indices = (x * 2).sort()
    yield indices.grad_fn, values.output_nr, indices.requires_grad


@scenario
def test_accumulators(t):
    x = leaf(t)
    node = (x * 2).grad_fn.next_functions[0][0]
    yield node.name(), type(node).__name__, node.variable is x, node.next_functions
    yield (x * 3).grad_fn.next_functions[0][0] is node, x.grad_fn
    yield t.autograd.graph.get_gradient_edge(x).node is node
    yield isinstance(node, t.autograd.graph.Node), caught(lambda: (x * 2).grad_fn.variable)
    node.metadata["seen"] = 1
    yield (x * 3).grad_fn.next_functions[0][0].metadata
    yield node.variable.grad
    (x * 2).sum().backward()
    yield node.variable.grad


@scenario
def test_metadata_lives_with_the_node(t):
    x = leaf(t)
    y = x * 2
    y.grad_fn.metadata["a"] = [1]
    z = y.sum()
    del y
    gc.collect()
    yield z.grad_fn.next_functions[0][0].metadata
    z.grad_fn.next_functions[0][0].metadata["a"].append(2)
    yield z.grad_fn.next_functions[0][0].metadata, z.grad_fn.metadata


@scenario
def test_what_nodes_know_of_their_outputs(t):
    x = leaf(t)
    for y in (x * 2, x.double(), x.unbind()[0], x.view(2, 1), x.sum(), x @ x):
        known = y.grad_fn._input_metadata
        yield len(known), tuple(known[0].shape), known[0].dtype, str(known[0].device)


@scenario
def test_sequence_numbers_grow(t):
    x = leaf(t)
    nodes = [y.grad_fn for y in (x * 2, x + 1, x.exp(), x.view(2, 1))]
    numbers = [n._sequence_nr() for n in nodes]
    yield numbers == sorted(numbers), len(set(numbers))
    accumulator = nodes[0].next_functions[0][0]
    yield accumulator._sequence_nr() > numbers[-1]


@scenario
def test_what_cannot_be_done(t):
    x = leaf(t)
    y = x * 2
    yield caught(setattr, y, "grad_fn", None), caught(setattr, y, "is_leaf", True)
    yield caught(setattr, y, "output_nr", 1) is not None
    yield caught(lambda: y.grad_fn.nothing) is not None
    yield caught(pickle.dumps, y.grad_fn) is not None
    yield hash(y.grad_fn) == hash(y.grad_fn), y.grad_fn == y.grad_fn, y.grad_fn != x.exp().grad_fn


@scenario
def test_calling_nodes(t):
    x, w = leaf(t), leaf(t)
    y = x * w
    yield y.grad_fn(t.ones(2))
    yield (x.exp()).grad_fn(t.ones(2))
    yield x.sum().grad_fn(t.tensor(3.0))
    y.sum().backward()
    yield caught(y.grad_fn, t.ones(2))


@scenario
def test_nodes_keep_the_graph_alive(t):
    x = leaf(t)
    y = x.exp()
    node = y.grad_fn
    seen = weakref.ref(y)
    del y
    gc.collect()
    yield seen() is None, node._saved_result
    edge = t.autograd.graph.GradientEdge(node, 0)
    t.autograd.backward([edge], [t.ones(2)])
    yield x.grad


# --- Saved values --------------------------------------------------------------------------------


@scenario
def test_saved_inputs_are_the_tensors_themselves(t):
    x, w = leaf(t), leaf(t)
    y = x * w
    yield y.grad_fn._saved_self is x, y.grad_fn._saved_other is w
    z = (x * 2) * w
    middle = z.grad_fn._saved_self
    yield middle, name(middle.grad_fn), middle.grad_fn is z.grad_fn.next_functions[0][0]
    e = x.exp()
    result = e.grad_fn._saved_result
    yield result is e, result.grad_fn is e.grad_fn, result.requires_grad, result
    (g,) = t.autograd.grad((result * result).sum(), x)
    yield g


@scenario
def test_saved_values_that_were_written_to(t):
    x = leaf(t)
    y = x * 1
    z = y.exp() * y
    y.add_(1)
    yield caught(lambda: z.grad_fn._saved_other), z.grad_fn._saved_self
    e = (x * 1).exp()
    node = e.grad_fn
    e.mul_(2)
    yield caught(lambda: node._saved_result), name(e.grad_fn.next_functions[0][0])


@scenario
def test_hooks_of_one_saved_tensor(t):
    x = leaf(t)
    y = x.exp()
    raw = y.grad_fn._raw_saved_result
    seen = []

    def pack(value):
        seen.append((value.grad_fn, value.requires_grad, value.is_leaf, t.is_grad_enabled()))
        return value * 2

    raw.register_hooks(pack, lambda v: v / 2)
    yield seen, y.grad_fn._saved_result
    y.sum().backward(retain_graph=True)
    yield x.grad, caught(raw.register_hooks, pack, pack)
    y.sum().backward()
    yield caught(raw.register_hooks, pack, pack)
    z = x * x
    yield caught(z.grad_fn._raw_saved_self.register_hooks, lambda v: v.add_(1), lambda v: v)
    z = x * x.detach()
    yield caught(z.grad_fn._raw_saved_self.register_hooks, pack, pack)
    yield caught(z.grad_fn._raw_saved_other.register_hooks, 1, 2) is not None


@scenario
def test_what_pack_hooks_get(t):
    x = leaf(t)
    seen = []

    def pack(value):
        same = value is x or value is w
        seen.append((value.tolist(), value.requires_grad, value.is_leaf, name(value.grad_fn), same))
        return value

    w = x * 2
    with t.autograd.graph.saved_tensors_hooks(pack, lambda v: v):
        x * w
        z = w.exp()
        z.sin()
        t.ones(2) * x
        x * 3
        x**2
        x[t.tensor([1, 0])]
    yield seen


@scenario
def test_each_use_unpacks(t):
    x = leaf(t)
    seen = []
    with t.autograd.graph.saved_tensors_hooks(lambda v: v, lambda v: seen.append(1) or v):
        y = x * x
    yield y.grad_fn._saved_self, y.grad_fn._saved_other, len(seen)
    y.sum().backward(retain_graph=True)
    yield len(seen)
    y.sum().backward()
    yield len(seen), caught(lambda: y.grad_fn._saved_self)


@scenario
def test_hooks_of_other_threads_and_nested_contexts(t):
    import threading

    x = leaf(t)
    seen = []
    with t.autograd.graph.saved_tensors_hooks(lambda v: seen.append("pack") or v, lambda v: v):
        thread = threading.Thread(target=lambda: x.exp())
        thread.start()
        thread.join()
        yield seen
        with t.no_grad():
            x.exp()
        yield seen
    pair = t.autograd.graph.saved_tensors_hooks(lambda v: seen.append("again") or v, lambda v: v)
    with pair, pair:
        x.exp()
    x.exp()
    yield seen


@scenario
def test_errors_leave_the_context(t):
    x = leaf(t)

    def fails(value):
        raise ZeroDivisionError("pack")

    yield caught(lambda: with_hooks(t, fails, x)), x.exp().grad_fn._saved_result
    with t.autograd.graph.saved_tensors_hooks(lambda v: None, lambda v: None):
        y = x.exp()
    yield caught(y.sum().backward)
    yield caught(t.autograd.graph.saved_tensors_hooks, 1)


def with_hooks(t, pack, x):
    with t.autograd.graph.saved_tensors_hooks(pack, lambda v: v):
        return x.exp()


@scenario
def test_save_on_cpu(t):
    for arguments in ({}, {"pin_memory": True}, {"pin_memory": False, "device_type": "cuda"}):
        x = leaf(t)
        with t.autograd.graph.save_on_cpu(**arguments):
            y = (x * x).exp() * x
        y.sum().backward()
        yield x.grad
