"""Custom functions under `torch.func`: `vmap` methods, made-up rules, what is refused."""

import importlib

import pytest

from compare import caught, scenario


def func(t):
    return importlib.import_module(t.__name__ + ".func")


def cube(t, seen):
    """A function with a rule for batches of its own."""

    class Cube(t.autograd.Function):
        @staticmethod
        def forward(x):
            return x**3, 3 * x**2

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.mark_non_differentiable(output[1])
            ctx.save_for_backward(*output)
            ctx.save_for_forward(*output)

        @staticmethod
        def backward(ctx, g, _):
            seen.append(("backward", g.shape))
            return g * ctx.saved_tensors[1]

        @staticmethod
        def jvp(ctx, g):
            seen.append(("jvp", g.shape))
            return g * ctx.saved_tensors[1], None

        @staticmethod
        def vmap(info, in_dims, x):
            seen.append((info.batch_size, info.randomness, in_dims, x.shape))
            return Cube.apply(x), (in_dims[0], in_dims[0])

    return Cube


def energy(t, seen):
    """A function of two arguments whose rule for batches is made up."""

    class Energy(t.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x, w):
            return (x * w).sum(-1, keepdim=True) ** 2

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs, output)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx, g):
            x, w, y = ctx.saved_tensors
            seen.append((g.shape, y.shape, ctx.needs_input_grad))
            s = 2 * (x * w).sum(-1, keepdim=True)
            return g * s * w, g * s * x

        @staticmethod
        def jvp(ctx, a, b):
            x, w = ctx.saved_tensors
            s = 2 * (x * w).sum(-1, keepdim=True)
            return s * ((a * w).sum(-1, keepdim=True) + (x * b).sum(-1, keepdim=True))

    return Energy


# PyTorch makes the context anew at each level; here one call is one context.
def calls(seen):
    found = [entry for entry in seen if entry[0] != "setup"]
    seen.clear()
    return found


@scenario
def test_own_rule(t):
    f, seen = func(t), []
    F = cube(t, seen)
    x, w = t.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), t.tensor([0.5, 2.0, -1.0])

    def total(x):
        return F.apply(x)[0].sum()

    def first(x):
        return F.apply(x)[0]

    yield f.vmap(F.apply)(x), calls(seen)
    yield f.vmap(F.apply, out_dims=(1, 0))(x), calls(seen)
    yield f.vmap(f.vmap(F.apply))(x), calls(seen)
    yield f.vmap(lambda x: x * F.apply(w)[0])(x), calls(seen)
    yield f.grad(total)(w), calls(seen)
    yield f.vmap(f.grad(total))(x), calls(seen)
    yield f.grad(lambda x: f.vmap(F.apply)(x)[0].sum())(x), calls(seen)
    yield f.vmap(f.vmap(f.grad(first)))(x), calls(seen)
    yield f.vmap(f.vmap(f.grad(f.grad(first))))(x)
    yield f.jvp(first, (x,), (x,)), calls(seen)
    yield f.vmap(lambda x: f.jvp(first, (x,), (x,)))(x), calls(seen)
    yield f.jvp(lambda x: f.vmap(F.apply)(x)[0], (x,), (x,)), calls(seen)
    yield f.jacrev(first)(w), f.jacfwd(first)(w), f.hessian(total)(w)
    yield f.vmap(f.jacrev(first))(x)


@scenario
def test_made_up_rule(t):
    f, seen = func(t), []
    F = energy(t, seen)
    x, w = t.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), t.tensor([0.5, 2.0, -1.0])
    over = {"in_dims": (0, None)}

    def value(x, w):
        return F.apply(x, w)[0]

    yield f.vmap(F.apply, **over)(x, w), f.vmap(F.apply, in_dims=(None, 0))(w, x)
    yield f.vmap(f.grad(value, argnums=(0, 1)), **over)(x, w), calls(seen)
    yield f.vmap(f.grad(value, argnums=1), **over)(x, w)
    yield f.jvp(lambda x, w: f.vmap(F.apply, **over)(x, w), (x, w), (x * 2, w))
    yield f.vmap(lambda x: f.jvp(lambda x: F.apply(x, w), (x,), (x,)))(x)
    yield f.vmap(f.hessian(lambda x: value(x, w)))(x)
    yield f.vmap(f.jacrev(f.jacrev(lambda x: value(x, w))))(x)
    outer = w.clone().requires_grad_()
    found = f.vmap(f.grad(lambda x: value(x, outer)))(x)
    yield found.detach(), t.autograd.grad((found**2).sum(), outer)


@pytest.mark.wengert_only
def test_backward_through_a_made_up_rule(wt):
    """PyTorch fails an assertion here; the function's own operations are the reference."""
    f, F = func(wt), energy(wt, [])
    x, w = wt.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), wt.tensor([0.5, 2.0, -1.0])
    found = []
    for call in (F.apply, F.forward):
        batched = f.vmap(call, in_dims=(0, None))
        both = f.grad(lambda x, w, b=batched: (b(x, w) ** 2).sum(), argnums=(0, 1))(x, w)
        outer = x.clone().requires_grad_()
        found.append([*both, *wt.autograd.grad((batched(outer, w) ** 2).sum(), outer)])
    for mine, other in zip(*found):
        assert wt.allclose(mine, other)


def plain(t, **members):
    class Plain(t.autograd.Function):
        @staticmethod
        def forward(x):
            return x * 2

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

        @staticmethod
        def backward(ctx, g):
            return g * 2

    return type("Plain", (Plain,), members)


@pytest.mark.parametrize("kind", ["old", "none", "both"])
@scenario
def test_refused(t, kind):
    f = func(t)
    if kind == "old":
        F = type("Old", (t.autograd.Function,), {"forward": staticmethod(lambda ctx, x: x * 2)})
    elif kind == "none":
        F = plain(t)
    else:
        rule = staticmethod(lambda info, in_dims, x: (x, in_dims[0]))
        F = plain(t, generate_vmap_rule=True, vmap=rule)
    x = t.tensor([[1.0, 2.0], [3.0, 4.0]])
    yield caught(f.vmap(F.apply), x)
    yield caught(f.vmap(lambda y: y * F.apply(x)), x)
    yield caught(f.vmap(f.grad(lambda x: F.apply(x).sum())), x)
    yield caught(f.grad(lambda x: F.apply(x).sum()), x)
    yield caught(f.jvp, F.apply, (x,), (x,))


@scenario
def test_what_a_rule_returns(t):
    x = t.tensor([[1.0, 2.0], [3.0, 4.0]])
    for returned in (
        lambda x: x,
        lambda x: (x,),
        lambda x: (x, (0, 0)),
        lambda x: (x, None),
        lambda x: (x * 1, None),
        lambda x: (x.t(), 1),
        lambda x: ([x, x * 2], 0),
    ):
        F = plain(t, vmap=staticmethod(lambda info, in_dims, x, r=returned: r(x)))
        error = caught(func(t).vmap(F.apply), x)
        yield error
        if error is None:
            yield func(t).vmap(F.apply)(x)
