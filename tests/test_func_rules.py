"""Rules of the transforms: modes, control flow, writes, random numbers, forms, refusals."""

import importlib

import pytest

from compare import caught, scenario


def func(t):
    return importlib.import_module(t.__name__ + ".func")


def pair(t):
    return t.tensor([1.0, 2.0]), t.arange(6.0).view(2, 3)


def outcome(f, *args):
    """The result of a call, or its error."""
    error = caught(f, *args)
    return f(*args) if error is None else error


@scenario
def test_modes(t):
    f = func(t)
    x, rows = pair(t)

    def half(a):
        with t.no_grad():
            b = a * 3
        return (a * b).sum()

    for transform in (f.grad, f.jacrev, f.jacfwd, f.hessian):
        yield transform(half)(x)
    yield f.jvp(half, (x,), (x,)), f.vmap(f.grad(half))(rows)
    with t.no_grad():
        yield f.grad(lambda a: (a**3).sum())(x), f.hessian(lambda a: (a**3).sum())(x)
        yield f.grad(lambda a: f.grad(lambda b: b**3)(a[0]))(x)
        yield f.jacrev(lambda a: a**3)(x), f.jvp(lambda a: a**3, (x,), (x,))
    yield t.is_grad_enabled()
    yield f.grad(lambda a: (a.detach() * a).sum())(x)
    yield f.jvp(lambda a: a.detach() * a, (x,), (x,))
    yield f.hessian(lambda a: (a.detach() * a * a).sum())(x)


@scenario
def test_control_flow(t):
    """A derivative sees plain values; only `vmap` does not."""
    f = func(t)
    x, rows = pair(t)

    def either(a):
        return (a**3).sum() if a.sum() > 0 else a.sum()

    for transform in (f.grad, f.jacrev, f.jacfwd, f.hessian, lambda g: f.jacfwd(f.grad(g))):
        yield transform(either)(x)
    yield f.jacfwd(lambda a: a * a.sum().item())(x)
    yield f.jvp(either, (x,), (x,)), f.vjp(either, x)[1](t.tensor(1.0))
    for reads in (
        either,
        lambda a: a.sum().item(),
        lambda a: float(a[0]),
        lambda a: a.tolist(),
        lambda a: a.numpy(),
        lambda a: a.data_ptr(),
        lambda a: a.data,
        lambda a: a if (a == 1).all() else -a,
        lambda a: list(range(a[0].long())),
    ):
        yield caught(f.vmap(reads), rows)


@scenario
def test_writes(t):
    f = func(t)
    x, rows = pair(t)

    def fresh(a):
        y = t.zeros(2)
        y[0] = a[0] * a[1]
        y[1] = a[0]
        return y

    def alike(a):
        y = t.zeros_like(a)
        y[0] = a[0] * a[1]
        y[1:].add_(a[:1])
        return y

    for g in (fresh, alike):
        yield f.jacfwd(g)(x), f.jacrev(g)(x), f.hessian(lambda a, g=g: g(a)[0])(x)
    yield f.jacfwd(f.grad(lambda a: alike(a).prod()))(x)
    yield f.vmap(lambda a: a.new_zeros(3).copy_(a) + t.full_like(a, 2).add_(a))(rows)
    yield f.vmap(lambda a: t.empty_like(a).copy_(a) * t.ones_like(a).mul_(a))(rows)
    yield f.vmap(alike)(rows[:, :2]), f.vmap(f.grad(lambda a: alike(a).sum()))(rows[:, :2])
    one = t.tensor([1.0, 2.0, 3.0])
    for write in (
        lambda a: one.clone().mul_(a),
        lambda a: one.clone().copy_(a),
        lambda a: one.clone().add_(a),
        lambda a: one.clone().__setitem__(0, a[0]),
        lambda a: one.clone().fill_(a[0]),
        lambda a: one.clone().addcmul_(a, a),
        lambda a: one.clone().index_add_(0, t.tensor([0, 1, 2]), a),
        lambda a: one.clone().scatter_(0, t.tensor([0, 1, 2]), a),
        lambda a: one.clone().index_put_((t.tensor([0, 1, 2]),), a),
        lambda a: t.zeros(3, 3).addmm_(a.view(3, 1), a.view(1, 3)),
    ):
        yield caught(f.vmap(write), rows)


@scenario
def test_random_numbers(t):
    f = func(t)
    x, rows = pair(t)

    def same(results):
        return [bool((r == r[0]).all()) for r in results]

    draws = lambda a: (t.rand(3) + 0 * a, t.randn(3) + 0 * a, t.randperm(3) + 0 * a)  # noqa: E731
    yield same(f.vmap(draws, randomness="same")(rows))
    yield same(f.vmap(lambda a: (t.rand_like(a), t.randn(9)), randomness="different")(rows))
    for draw in (
        lambda a: a * t.rand(2),
        lambda a: a + t.randn_like(a),
        lambda a: a.clone().normal_(),
    ):
        yield caught(f.vmap(draw), rows[:, :2]), caught(f.jacfwd(draw), x)
        yield caught(f.hessian(lambda a, d=draw: d(a).sum()), x)
    yield caught(f.vmap(lambda a: f.vmap(lambda b: b + t.rand(()))(a), randomness="same"), rows)
    signs = lambda a: a * t.rand(2).sign()  # noqa: E731
    yield f.jacfwd(signs, randomness="same")(x), f.jacfwd(signs, randomness="different")(x)


@scenario
def test_forms(t):
    f = func(t)
    x, rows = pair(t)
    for jac in (f.jacrev, f.jacfwd):
        found = jac(lambda a: [a * 2, {"k": a.sum()}])(x)
        yield type(found).__name__, found[0], found[1]["k"]
        found = jac(lambda d: (d["a"] * d["b"][0], d["a"].sum()))({"a": x, "b": (x,)})
        yield found[0]["a"], found[0]["b"], found[1]["a"], found[1]["b"]
        yield jac(lambda a: t.ones(2))(x), jac(lambda a: a[:0])(x), jac(lambda a: a * 2)(t.ones(0))
        yield jac(lambda a, b: a.double() * b, argnums=(0, 1))(x, x.double())
        found, aux = jac(lambda a: (a * 2, {"u": a}), has_aux=True)(x)
        yield found, aux["u"]
        yield caught(jac(lambda a: None), x), caught(jac(lambda a: a * 2, has_aux=True), x)
        yield caught(jac(lambda a: 1), x), caught(jac(lambda a: a * 2), t.tensor([1, 2]))
        for argnums in (3, (0, 0), "x"):
            yield caught(jac(lambda a: a, argnums=argnums), x)
    found = f.hessian(lambda d: (d["a"] ** 2 * d["b"]).sum())({"a": x, "b": x})
    yield found["a"]["a"], found["a"]["b"], found["b"]["a"], found["b"]["b"]
    yield f.hessian(lambda a, b: (a**2 * b).sum(), argnums=(0, 1))(x, x)
    yield f.hessian(lambda a: a**3)(x), f.hessian(lambda a: a.sum())(x)
    yield caught(f.jacrev(lambda a: (a * 2).long()), x)
    yield caught(f.grad(lambda a: [a.sum(), a], has_aux=True), x)
    yield caught(f.vjp, lambda a: (a, a, a), x, has_aux=True)
    found = f.vmap(lambda a: (a, {"z": a.sum()}), out_dims=(1, {"z": 0}))(rows)
    yield found[0], found[1]["z"]
    yield f.linearize(lambda d: d["a"] ** 2, {"a": x})[1]({"a": x})
    yield f.vmap(f.linearize(lambda a: a**2, x)[1])(t.eye(2))
    yield caught(f.linearize(t.sin, x)[1], x, x), caught(f.linearize(t.sin, x)[1], x.double())


@scenario
def test_chunks(t):
    f = func(t)
    x, rows = pair(t)
    for size in (1, 2, 3, 100, None):
        yield f.jacrev(lambda a: (a**2, a.sum()), chunk_size=size)(x)
        yield f.vmap(lambda a: (a, a.sum()), chunk_size=size, out_dims=(1, 0))(rows)
    for size in (0, -1):
        yield caught(f.jacrev, lambda a: a, chunk_size=size)
        yield caught(f.vmap, lambda a: a, chunk_size=size)


@scenario
def test_three_levels(t):
    f = func(t)
    x, rows = pair(t)
    cube = lambda a: (a**3).sum()  # noqa: E731
    yield f.vmap(f.vmap(f.vmap(lambda a: a * a + x[0])))(t.arange(8.0).view(2, 2, 2))
    yield f.jacrev(f.jacrev(f.jacrev(cube)))(x), f.jacfwd(f.jacfwd(f.jacfwd(cube)))(x)
    yield f.jacfwd(f.jacrev(f.jacfwd(cube)))(x), f.jacrev(f.jacfwd(f.jacrev(cube)))(x)
    yield f.vmap(f.hessian(cube))(rows), f.hessian(lambda a: f.vmap(cube)(a).sum())(rows)
    yield f.grad(lambda a: f.vmap(f.grad(cube))(a).pow(2).sum())(rows)
    yield f.vmap(f.vmap(f.grad(f.grad(t.sin))))(rows)
    yield f.vmap(lambda v: f.jvp(f.grad(cube), (x,), (v,))[1])(t.eye(2))
    yield f.jvp(lambda a: f.jvp(f.grad(cube), (a,), (x,))[1], (x,), (x,))
    yield f.vmap(lambda a: f.vjp(f.grad(cube), a)[1](a)[0])(rows)


@scenario
def test_refused_inside(t):
    f = func(t)
    x, rows = pair(t)
    leaf = t.ones(2, requires_grad=True)
    for inside in (
        lambda a: a.requires_grad_().sum(),
        lambda a: t.ones(2).requires_grad_().sum(),
        lambda a: a.sum().backward(),
        lambda a: (leaf * 2).sum().backward(),
        lambda a: t.autograd.backward((leaf * 2).sum()),
    ):
        yield caught(f.grad(inside), x), caught(f.vmap(inside), rows)
        yield caught(f.jvp, inside, (x,), (x,))
    yield f.vmap(lambda a: t.autograd.grad((leaf * 2).sum(), leaf)[0])(rows)
    yield f.grad(lambda a: t.autograd.grad((a * 2).sum(), a)[0].sum())(x), leaf.grad
    yield f.grad(lambda a: (a * t.ones(2, requires_grad=True)).sum())(x).detach()


@pytest.mark.parametrize("nested", [False, True])
@scenario
def test_batched_text(t, nested):
    f = func(t)
    _, rows = pair(t)
    seen = []

    def shown(a):
        seen.append((repr(a), str(a.sum())))
        return a

    yield (f.vmap(f.vmap(shown)) if nested else f.vmap(shown))(rows), seen


@pytest.mark.wengert_only
def test_what_escapes_has_no_values(wt):
    f = func(wt)
    _, rows = pair(wt)
    kept = []
    f.vmap(lambda a: kept.append(a) or a)(rows)
    refusal = "RuntimeError: Cannot access data pointer of Tensor that doesn't have storage"
    assert caught(lambda: kept[0] + 1) == caught(kept[0].tolist) == refusal
    # Another level with the same number.
    assert caught(f.vmap(lambda a: a * kept[0]), rows) == refusal


@pytest.mark.wengert_only
def test_nothing_is_kept(wt):
    """Results aside, transforms leave no tensors and no nodes, also when functions raise."""
    f = func(wt)
    x, rows = pair(wt)

    class Cube(wt.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x):
            return x**3

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(inputs[0], output)
            ctx.save_for_forward(inputs[0])

        @staticmethod
        def backward(ctx, g):
            return g * 3 * ctx.saved_tensors[0] ** 2

        @staticmethod
        def jvp(ctx, g):
            return g * 3 * ctx.saved_tensors[0] ** 2

    def fails(a):
        raise ValueError(str((a * 2).shape))

    def everything():
        for g in (lambda a: (a**3).sum(), lambda a: Cube.apply(a).sum()):
            f.grad(g)(x), f.hessian(g)(x), f.jacfwd(g)(x), f.jacrev(f.jacfwd(g))(x)
            f.vmap(f.grad(g))(rows), f.jvp(f.grad(g), (x,), (x,)), f.vjp(g, x)[1](wt.tensor(1.0))
            f.vmap(f.hessian(g))(rows), f.linearize(g, x)[1](x)
        for call in (f.grad(fails), f.jacfwd(fails), f.jacrev(fails), f.hessian(fails)):
            assert caught(call, x).startswith("ValueError")
        assert caught(f.vmap(f.grad(fails)), rows).startswith("ValueError")
        assert caught(f.vmap(lambda a: f.jvp(fails, (a,), (a,))), rows).startswith("ValueError")

    everything()
    before = wt._wengert._live()
    for _ in range(3):
        everything()
    assert wt._wengert._live() == before
    assert wt._wengert._vmap_depth() == 0 and wt._wengert._transforms(0) == 0
    # No transform counts as running.
    wt.ones(1).requires_grad_().sum().backward()
