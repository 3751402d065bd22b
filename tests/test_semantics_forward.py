"""Forward mode, questions about modes, and formulas at special values: one test per rule.

Levels, dual tensors and their refusals: `tests/test_forward.py`. Custom functions in forward mode:
`tests/test_function_forward.py`. Transforms: `tests/test_func.py`, `tests/test_func_rules.py`.
"""

import importlib

import pytest

from compare import caught, scenario


def dual(t):
    return importlib.import_module(t.__name__ + ".autograd.forward_ad")


@scenario
def test_levels_do_not_nest(t):
    fw = dual(t)
    with fw.dual_level():
        yield caught(fw.dual_level().__enter__)
    yield caught(fw.make_dual, t.ones(2), t.ones(2))


@scenario
def test_kinds_and_sizes(t):
    fw = dual(t)
    whole, x = t.ones(2, dtype=t.int64), t.ones(2)
    with fw.dual_level():
        yield caught(fw.make_dual, whole, x), caught(fw.make_dual, x, whole)
        yield caught(fw.make_dual, x, t.ones(3)), caught(fw.make_dual, x, t.ones(2, 1))
        yield caught(fw.make_dual, x, t.ones(()))


@scenario
def test_leaving_a_level_drops_tangents(t):
    fw = dual(t)
    with fw.dual_level():
        x = fw.make_dual(t.ones(2), t.ones(2))
        y = x * 2
        yield fw.unpack_dual(y).tangent
    yield fw.unpack_dual(x).tangent, fw.unpack_dual(y).tangent
    with fw.dual_level():
        yield fw.unpack_dual(x).tangent, fw.unpack_dual(y * 3).tangent


@scenario
def test_text(t):
    fw = dual(t)
    with fw.dual_level():
        x = fw.make_dual(t.tensor([1.0, 2.0]), t.tensor([3.0, 4.0]))
        yield repr(x), str(x * 2), repr(x.detach()), repr(fw.unpack_dual(x))
        yield repr(fw.make_dual(t.ones(3, 8) / 3, t.ones(3, 8) / 7))
    yield repr(x)


@scenario
def test_modes_are_asked(t):
    yield t.is_grad_enabled()
    yield t.is_anomaly_enabled(), t.is_anomaly_check_nan_enabled()
    with t.no_grad():
        yield t.is_grad_enabled()
    with t.inference_mode():
        yield t.is_grad_enabled()
    with t.autograd.detect_anomaly(check_nan=False):
        yield t.is_anomaly_enabled(), t.is_anomaly_check_nan_enabled()
    with t.set_grad_enabled(False):
        yield t.is_grad_enabled()


@scenario
def test_names_of_the_api(t):
    graph = (
        "Node", "GradientEdge", "saved_tensors_hooks", "save_on_cpu", "register_multi_grad_hook",
        "disable_saved_tensors_hooks", "allow_mutation_on_saved_tensors", "increment_version",
        "get_gradient_edge",
    )  # fmt: skip
    yield [callable(getattr(t.autograd.graph, name)) for name in graph]
    names = ("gradcheck", "gradgradcheck", "functional", "Function", "Variable", "forward_ad")
    yield [hasattr(t.autograd, name) for name in names]


def slopes(t, f, *arrays, second=True):
    """First and second derivatives with respect to each argument."""
    leaves = [t.tensor(a, dtype=t.float64, requires_grad=True) for a in arrays]
    y = f(*leaves)
    first = t.autograd.grad(y.sum(), leaves, create_graph=True, allow_unused=True)
    found = []
    for g in first:
        found.append(None if g is None else g.detach())
        if second and g is not None and g.requires_grad:
            more = t.autograd.grad(g.sum(), leaves, retain_graph=True, allow_unused=True)
            found += [t.zeros_like(x) if s is None else s for s, x in zip(more, leaves)]
    return y.detach(), found


@scenario
def test_powers_of_zero(t):
    # PyTorch's second derivatives are NaN where it masks the first.
    for base, exponent in (([0.0, 2.0, 0.0], [0.0, 0.0, 3.0]), ([0.0, 0.0], [1.0, 2.0])):
        yield slopes(t, lambda x, p: x**p, base, exponent, second=False)
    for p in (0, 1, 2, 0.0, 3.0):
        yield slopes(t, lambda x, p=p: x**p, [0.0, -1.0, 2.0])
        yield slopes(t, lambda x, p=p: p**x, [0.0, 1.0, 2.0], second=False)


@pytest.mark.parametrize("name", ["max", "min", "median", "nanmedian", "amax", "amin"])
@scenario
def test_ties_share(t, name):
    x = [[1.0, 3.0, 3.0], [3.0, 1.0, 1.0]]
    yield slopes(t, getattr(t, name), x)
    yield slopes(t, lambda x: getattr(x, name)(), [2.0, 2.0, 2.0, 2.0])
    if name not in ("amax", "amin"):
        for dim in (0, 1):
            yield slopes(t, lambda x, dim=dim: getattr(t, name)(x, dim)[0], x)


@scenario
def test_indices_that_repeat(t):
    i = t.tensor([0, 2, 2, 2])
    yield slopes(t, lambda x: x[i] ** 2, [1.0, 2.0, 3.0])
    yield slopes(t, lambda x: x.gather(0, i) ** 2, [1.0, 2.0, 3.0])
    yield slopes(t, lambda x: x.take(i) ** 2, [1.0, 2.0, 3.0])
    yield slopes(t, lambda x: x.index_select(0, i) ** 2, [1.0, 2.0, 3.0])
    add = lambda x, y: x.index_add(0, i, y) ** 2  # noqa: E731
    yield slopes(t, add, [1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0])
    put = lambda x, y: x.index_put((i,), y, accumulate=True) ** 2  # noqa: E731
    yield slopes(t, put, [1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0])


@scenario
def test_where_keeps_nan_out(t):
    x = [0.0, -1.0, 4.0]
    yield slopes(t, lambda x: t.where(x > 0, x.sqrt(), 0.0), x)
    yield slopes(t, lambda x: t.where(x > 0, x, x * 0).log().clamp(min=0), [1.0, 4.0])
    yield slopes(t, lambda x, y: t.where(x > y, x / y, y), x, [0.0, 1.0, 0.0])


@scenario
def test_strides_of_zero(t):
    yield slopes(t, lambda x: x.expand(3, 2).sum() ** 2, [1.0, 2.0])
    yield slopes(t, lambda x: (x.expand(3, 2) ** 2).sum(0), [1.0, 2.0])
    rows = [[1.0, 2.0], [3.0, 4.0]]
    yield slopes(t, lambda m, v: m.mv(v.expand(2)), rows, [2.0])
    yield slopes(t, lambda m, v: m.expand(2, 2).mv(v), [[1.0, 2.0]], [2.0, 3.0])


def batched(t, outputs, inputs, grads, **more):
    return t.autograd.grad(outputs, inputs, grads, is_grads_batched=True, **more)


@scenario
def test_batched_gradients(t):
    x = t.tensor([1.0, 2.0], requires_grad=True)
    z = t.ones(2, requires_grad=True)
    y = x * x
    yield batched(t, y, x, t.eye(2), retain_graph=True)
    yield batched(t, (y, y.sum()), x, (t.eye(2), t.ones(2)), retain_graph=True)
    yield batched(t, y, (x, z), t.eye(2), retain_graph=True, allow_unused=True)
    yield batched(t, y, (x, z), t.eye(2), retain_graph=True, materialize_grads=True)
    (g,) = batched(t, y, x, t.eye(2), create_graph=True)
    yield g.detach(), g.requires_grad, t.autograd.grad(g.sum(), x, retain_graph=True)
    yield batched(t, (x.cumsum(0).softmax(0), x.view(2, 1) @ x.view(1, 2)), x,
                  (t.ones(3, 2), t.arange(12.0).view(3, 2, 2)))  # fmt: skip
    for grads in (t.ones(2), t.ones(3, 3), t.tensor(1.0), None, 3, t.zeros(0, 2)):
        yield caught(batched, t, x * 2, x, grads)
    yield caught(batched, t, x.sum(), x, None), caught(batched, t, x * 2, (x, z), t.eye(2))
    yield caught(batched, t, (x * 1, x.sum()), x, (t.eye(2), t.ones(3)))
    yield caught(batched, t, (x * 1, x.sum()), x, (t.eye(2), None))
