"""Tensors in the graph, and `.grad`: flags, leaves, copies; layout and dtype of gradients.

What else these rules say is tested in test_autograd.py (flags, accumulation, assignment) and
test_interop.py (NumPy).
"""

import copy
import gc
import importlib
import pickle
import warnings

import pytest

from compare import caught, scenario, warned


def leaf(t, *shape):
    return t.ones(*shape, requires_grad=True)


# --- Who requires a gradient ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["int32", "int64", "uint8", "bool"])
@scenario
def test_integers_cannot_require_gradients(t, name):
    x = t.ones(2, dtype=getattr(t, name))
    yield caught(x.requires_grad_), caught(lambda: setattr(x, "requires_grad", True))
    for make in (t.ones, t.zeros, t.empty, t.rand, t.full):
        args = ((2,), 1) if make is t.full else (2,)
        yield caught(make, *args, dtype=x.dtype, requires_grad=True)
    yield caught(t.zeros_like, x, requires_grad=True), caught(t.tensor, [1], requires_grad=True)
    yield caught(t.arange, 3, requires_grad=True), caught(x.new_ones, 2, requires_grad=True)
    yield x.requires_grad_(False), t.ones(2, dtype=x.dtype, requires_grad=False)
    yield caught(lambda: x.detach().requires_grad_()), caught(t.autograd.Variable, x, True)


@scenario
def test_requires_grad_takes_a_bool(t):
    for value in (1, None, "x"):
        yield caught(lambda: setattr(t.ones(2), "requires_grad", value))
        yield caught(t.ones(2).requires_grad_, value) is not None


NONE = {
    "equal": lambda t, x: [x == x, x > 0, x.logical_not(), x.isnan(), x.all()],
    "places": lambda t, x: [x.argmax(), x.argmin(), x.argsort(), x.nonzero(), t.count_nonzero(x)],
    "search": lambda t, x: [t.searchsorted(x, x), t.bucketize(x, x)],
    "integers": lambda t, x: [x.int(), x.bool(), x.long()],
    "likes": lambda t, x: [t.zeros_like(x), t.ones_like(x), t.full_like(x, 2), x.new_ones(2)],
    "detached": lambda t, x: [x.detach(), x.data, t.tensor(x), x.new_tensor(x)],
    "answers": lambda t, x: [t.equal(x, x), t.allclose(x, x)],
}


@pytest.mark.parametrize("name", NONE)
@scenario
def test_results_without_gradients(t, name):
    yield NONE[name](t, t.arange(3.0).requires_grad_())


@pytest.mark.parametrize(
    "name", ["sort", "topk", "max", "min", "median", "mode", "kthvalue", "cummax"]
)
@scenario
def test_of_values_and_indices_only_the_values(t, name):
    x = t.tensor([3.0, 1.0, 2.0], requires_grad=True)
    args = {"sort": (), "topk": (2,), "kthvalue": (2,)}.get(name, (0,))
    values, indices = getattr(x, name)(*args)
    yield values, indices, indices.is_leaf, indices.grad_fn is None, indices.output_nr


@scenario
def test_leaves(t):
    x = leaf(t, 2)
    made = (
        x,
        x.detach(),
        x.data,
        x * 2,
        x[0],
        x > 0,
        t.ones(2) * 2,
        x.int(),
        (x * 2).detach(),
        x.clone(),
    )
    yield [y.is_leaf for y in made]
    same = (
        x.double(),
        x.to(t.float32),
        x.float(),
        x.to("cpu"),
        x.half(),
        x.to(x),
        x.to(t.float32, copy=True),
    )
    yield [(y is x, y.is_leaf, y.requires_grad) for y in same]
    with t.no_grad():
        y, z = x * 2, t.ones(2)
        z.mul_(x)
    y.requires_grad = True
    z.requires_grad = True
    yield y, z, y * z, y.is_leaf
    y = x * 2
    yield caught(lambda: setattr(y, "requires_grad", False)), caught(y.requires_grad_, False)
    yield y.requires_grad_(), y.requires_grad_(True)


@scenario
def test_numbers_of_outputs(t):
    x = leaf(t, 2, 2)
    yield [(y.output_nr, y.grad_fn.name()) for y in (*x.unbind(), *x.split(1), x * 2)], x.output_nr


@scenario
def test_factories_keep_the_flag_without_grad_mode(t):
    with t.no_grad():
        made = [
            t.ones(1, requires_grad=True), t.tensor(1.0, requires_grad=True),
            t.eye(1, requires_grad=True),
            t.rand(1, requires_grad=True), t.zeros_like(t.ones(1), requires_grad=True),
            t.full((1,), 1.0, requires_grad=True), t.arange(1.0, requires_grad=True),
            t.linspace(0, 1, 1, requires_grad=True), t.ones(1).new_zeros(1, requires_grad=True),
            t.ones(1).requires_grad_(),
        ]  # fmt: skip
    yield [(y.requires_grad, y.is_leaf) for y in made]


ATTRIBUTES = (
    ("grad_fn", None), ("is_leaf", True), ("_grad_fn", None), ("_grad_fn", 1), ("output_nr", 1),
    ("_version", 1), ("_base", None), ("shape", (1,)), ("dtype", None), ("retains_grad", True),
    ("device", "cpu"), ("ndim", 1), ("data", None), ("data", 3), ("grad", 3),
)  # fmt: skip


@pytest.mark.parametrize("name, value", ATTRIBUTES)
@scenario
def test_what_cannot_be_assigned(t, name, value):
    x = leaf(t, 2)
    yield caught(setattr, x, name, value), caught(setattr, x * 2, name, value)


@scenario
def test_what_cannot_be_deleted(t):
    x = leaf(t, 2)
    x.grad = t.ones(2)
    for name in ("requires_grad", "data", "grad_fn", "is_leaf", "shape"):
        yield caught(delattr, x, name), caught(delattr, x * 2, name)
    del x.grad
    yield x.grad
    y = x * 2
    y._grad_fn = None
    yield y.is_leaf, y.requires_grad


# --- Leaving the graph ----------------------------------------------------------------------------


@scenario
def test_numbers_and_arrays(t):
    x = leaf(t, 1)
    yield x.item(), x.tolist(), int(x), bool(x), complex(x), (x * 2).item(), caught(x.numpy)
    yield float(x), float(x * 2), f"{x.sum():.2f}", 1.0 in x
    yield t.tensor(x * 2, requires_grad=True), x.new_tensor(x), t.as_tensor(x * 2)
    yield warned(t.tensor, x)[1], t.tensor([x, x])


def test_float_of_a_tensor_with_history_warns_once(wt):
    def messages(f):
        with warnings.catch_warnings(record=True) as given:
            warnings.simplefilter("always")
            f()
        return [str(w.message) for w in given]

    x = leaf(wt, 1)
    assert messages(lambda: float(wt.ones(1))) == []
    first = messages(lambda: float(x))
    assert all(m.startswith("Converting a tensor with requires_grad=True") for m in first)
    assert messages(lambda: float(x * 2)) == []


@scenario
def test_printed(t):
    x = leaf(t, 2)
    made = (
        x,
        x * 2,
        x.double(),
        x[0],
        t.ones(2),
        x.unbind()[0],
        leaf(t, 2, 2) @ leaf(t, 2, 2),
        x.detach(),
    )
    yield [repr(y) for y in made]


@scenario
def test_deep_copies(t):
    x = leaf(t, 2)
    x.grad = t.ones(2)
    x.note = [1]
    x.register_hook(lambda g: g * 2)
    y = copy.deepcopy(x)
    yield y, y.grad, y.grad is x.grad, y.note is x.note, y.data_ptr() == x.data_ptr(), y.is_leaf
    y.sum().backward()
    yield y.grad, x.grad
    twice = copy.deepcopy([x, x, {"a": x}])
    yield twice[0] is twice[1], twice[2]["a"] is twice[0], twice[0] is x
    base = t.arange(6.0).view(2, 3)
    a, b, c = copy.deepcopy([base, base[0], base.t()])
    yield a.data_ptr() == b.data_ptr(), c.stride(), b._is_view(), a, b, c
    yield caught(copy.deepcopy, x * 2), caught(copy.deepcopy, x[1:])
    with t.no_grad():
        part = x[1:]
    yield copy.deepcopy(part), pickle.loads(pickle.dumps(t.ones(2)))


@scenario
def test_variables(t):
    make = t.autograd.Variable
    x = t.ones(2)
    v, w = make(x), make(x, requires_grad=True)
    yield v is x, v.data_ptr() == x.data_ptr(), v, w, w.is_leaf, x.requires_grad, type(v).__name__
    yield isinstance(v, make), isinstance(3, make), make(leaf(t, 2) * 2), make(), make(None)
    yield make(leaf(t, 1) * 2, requires_grad=True), make(data=x), hasattr(make, "_execution_engine")
    w.data.add_(1)
    yield x, caught(w.add_, 1), caught(make, 3), caught(make, "x")
    yield importlib.import_module(t.__name__ + ".autograd.variable").Variable is make
    yield warned(make, x, volatile=True), warned(make, x, volatile=False)
    yield caught(make, x, requires_grad=True, volatile=True)
    yield warned(setattr, x, "volatile", True), warned(getattr, x, "volatile")


# --- out= and resize_ -----------------------------------------------------------------------------

OUTS = {
    "add": lambda t, x, o: t.add(x, 1, out=o),
    "exp": lambda t, x, o: t.exp(x * 2, out=o),
    "mm": lambda t, x, o: t.mm(x, t.ones(2, 2), out=o),
    "sum": lambda t, x, o: t.sum(x, 0, out=o),
    "cat": lambda t, x, o: t.cat([x], out=o),
    "stack": lambda t, x, o: t.stack([x], out=o),
    "where": lambda t, x, o: t.where(x > 0, x, x, out=o),
    "gather": lambda t, x, o: t.gather(x, 0, t.tensor([[0]]), out=o),
    "sign": lambda t, x, o: t.sign(x, out=o),
    "max": lambda t, x, o: t.max(x, 0, out=(o, t.empty(0, dtype=t.int64))),
    "sort": lambda t, x, o: t.sort(x, out=(o, t.empty(0, dtype=t.int64))),
    "arange": lambda t, x, o: t.arange(3.0, out=o),
    "zeros": lambda t, x, o: t.zeros(2, out=o),
    "eye": lambda t, x, o: t.eye(2, out=o),
}


@pytest.mark.parametrize("name", OUTS)
@scenario
def test_out(t, name):
    call = OUTS[name]
    plain, x = t.ones(2, 2), leaf(t, 2, 2)
    yield caught(call, t, x, t.empty(0)), caught(call, t, plain, t.empty(0).requires_grad_())
    with t.no_grad():
        yield call(t, x, t.empty(0))
    into = t.empty(0)
    yield call(t, plain, into), into._version, into


@scenario
def test_out_of_another_size(t):
    out = t.empty(2)
    (result, messages) = warned(t.add, t.ones(3), 1, out=out)
    yield result is out, out, out._version, [m.split(" (Triggered")[0] for m in messages]
    yield warned(t.add, t.ones(2), 1, out=t.empty(0)), warned(t.add, t.ones(2), 1, out=t.empty(2))
    flags = t.eq(leaf(t, 2), 1, out=t.empty(2, dtype=t.bool))
    yield flags, t.argmax(leaf(t, 2), out=t.empty(0, dtype=t.int64))


@scenario
def test_resize(t):
    x = leaf(t, 2)
    for y in (x, x * 2, x[1:]):
        yield caught(y.resize_, 3), caught(y.resize_as_, t.ones(3))
    with t.no_grad():
        yield caught(x.resize_, 3), x.data.resize_(3).shape, x.detach().resize_(1)
    y = t.ones(2)
    for size in (3, 3, 1, 1):
        y.resize_(size)
        yield y._version, y.shape


@scenario
def test_set(t):
    x, y = leaf(t, 2), leaf(t, 2) * 2
    yield caught(x.set_, t.ones(3)), caught(x.set_), caught(leaf(t, 4)[1:].set_, t.ones(2))
    yield y.set_(t.ones(3)), caught(y.sum().backward), t.ones(2).set_(leaf(t, 3))
    with t.no_grad():
        yield x.set_(t.ones(3)), x._version, t.ones(4)[1:].set_(t.ones(2))
    yield caught(t.ones(2).set_, t.ones(2, dtype=t.int64))


# --- .grad ----------------------------------------------------------------------------------------


@scenario
def test_identity_of_gradients(t):
    x = leaf(t, 2)
    (x * 2).sum().backward()
    g = x.grad
    (x * 3).sum().backward()
    yield x.grad is g, g
    x = leaf(t, 2)
    (x * x).sum().backward(create_graph=True)
    g = x.grad
    (x * x).sum().backward(create_graph=True)
    yield x.grad is g, g, x.grad
    part = t.zeros(4)
    y = leaf(t, 4)
    y.grad = part
    view = part[1:]
    y.sum().backward()
    yield y.grad is part, view


@scenario
def test_gradients_have_memory_of_their_own(t):
    x, y, z, g = leaf(t, 2), leaf(t, 2), leaf(t, 2), t.ones(2)
    (x + y + z).backward(g)
    yield len({x.grad.data_ptr(), y.grad.data_ptr(), z.grad.data_ptr(), g.data_ptr()})
    x = leaf(t, 2)
    x.backward(g)
    yield x.grad is g, x.grad.data_ptr() == g.data_ptr()
    t.autograd.backward([x, x], [g, g])
    yield x.grad, g
    x = leaf(t, 4)
    x.grad = t.zeros(4)
    x.grad.requires_grad_()
    (x * x).sum().backward(create_graph=True)
    yield x.grad


FORMS = {
    "rows": lambda t: t.ones(2, 3),
    "transposed": lambda t: t.ones(3, 2).t(),
    "channels last": lambda t: t.ones(2, 4, 5, 3).permute(0, 3, 1, 2),
    "permuted": lambda t: t.ones(2, 3, 4).permute(2, 0, 1),
    "expanded": lambda t: t.ones(1, 3).expand(2, 3),
    "every second": lambda t: t.ones(4, 3)[::2],
    "columns": lambda t: t.ones(3, 4)[:, ::2],
    "overlapping": lambda t: t.ones(4).as_strided((3, 2), (1, 1)),
    "empty": lambda t: t.ones(0, 3),
}
USES = {
    "sum": lambda x: x.sum(),
    "mul": lambda x: (x * 2).sum(),
    "other order": lambda x: (x.transpose(0, -1).contiguous() * 2).sum(),
    "twice": lambda x: (x * 2).sum() + x.sum(),
    "flat": lambda x: x.reshape(-1).sum(),
}


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("form", FORMS)
@scenario
def test_layout_of_gradients(t, form, create_graph):
    for use in USES.values():
        x = FORMS[form](t).detach().requires_grad_()
        use(x).backward(create_graph=create_graph)
        yield x.stride(), x.grad.stride(), x.grad
        if x.numel():
            use(x).backward(create_graph=create_graph)
            yield x.grad.stride(), x.grad


@scenario
def test_layout_of_given_gradients(t):
    for like in (t.ones(2, 3), t.ones(3, 2).t()):
        for g in (t.ones(2, 3), t.ones(3, 2).t(), t.ones(1, 3).expand(2, 3)):
            x = like.detach().clone().requires_grad_()
            x.backward(g)
            yield x.stride(), x.grad.stride(), x.grad
    x = leaf(t, 2, 3)
    x.register_hook(lambda g: t.ones(3, 2).t())
    x.sum().backward()
    yield x.grad.stride()


@scenario
def test_dtype_of_gradients(t):
    x, h = leaf(t, 2), t.ones(2, dtype=t.float16).requires_grad_()
    ((x.double() * 2).sum() + (h.float() * 3).sum()).backward()
    yield x.grad, h.grad


@scenario
def test_grad_dtype(t):
    x, seen = leaf(t, 2), []
    x.register_hook(lambda g: seen.append(g.dtype))
    yield x.grad_dtype, t.ones(2).grad_dtype, t.ones(2, dtype=t.int64).grad_dtype
    x.grad_dtype = None
    yield x.grad_dtype
    x.grad = t.ones(2, dtype=t.float64)
    g = x.grad
    (x * 2).sum().backward()
    yield x.grad, x.grad is g
    yield caught(setattr, x, "grad_dtype", t.float32), caught(setattr, x, "grad_dtype", "x")
    x.grad = None
    x.grad_dtype = t.float16
    yield caught(setattr, x, "grad", t.ones(2)), t.autograd.grad((x * 2).sum(), x)
    for _ in range(2):
        (x * 2).sum().backward()
    yield x.grad, seen
    y = x * 2
    yield caught(lambda: y.grad_dtype), caught(setattr, y, "grad_dtype", None)


@scenario
def test_assigned_gradients(t):
    x = leaf(t, 2)
    good = (None, t.ones(2), leaf(t, 2), t.ones(4)[::2])
    bad = (
        3,
        "x",
        [1.0],
        t.ones(3),
        t.ones(1, 2),
        t.ones(2, dtype=t.float64),
        t.ones(2, dtype=t.int64),
        x,
    )
    for g in good:
        x.grad = g
        yield x.grad is g
    for g in bad:
        yield caught(setattr, x, "grad", g)
    for y in (t.ones(2), x * 2):
        y.grad = t.ones(2)
        yield y.grad


@scenario
def test_gradients_of_what_is_no_leaf(t):
    y = leaf(t, 2) * 2
    grad, messages = warned(lambda: y.grad)
    yield grad, [m.split(" See github")[0] for m in messages]
    y.retain_grad()
    yield warned(lambda: y.grad)
    z = y.sum()
    z.backward(retain_graph=True)
    g = y.grad
    z.backward()
    yield y.grad is g, g, y.grad


@scenario
def test_nothing_to_add(t):
    x = t.ones(0, 3, requires_grad=True)
    (x * 2).sum().backward()
    g = x.grad
    (x * 2).sum().backward()
    yield x.grad is g, x.grad.shape, x.grad


@scenario
def test_a_dropped_tensor_takes_its_gradient_along(t):
    x = leaf(t, 2)
    x.sum().backward()
    g = x.grad
    del x
    gc.collect()
    yield g


@scenario
def test_layout_policy(t):
    policy = t.autograd.enforce_grad_layout_policy
    x = t.ones(3, 2).t().requires_grad_()
    uses = (lambda: (x.contiguous() * 2).sum(), lambda: (x * 1).sum(), lambda: x.sum())

    def strides():
        out = []
        for use in uses:
            x.grad = None
            use().backward()
            out.append(x.grad.stride())
        return out

    yield strides()
    with policy(True):
        yield strides()
    with policy(False):
        yield strides()[:1]
    yield policy(False)(strides)()[:1], strides()
