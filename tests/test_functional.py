"""`torch.autograd.functional`: values, forms of the results, graphs, errors."""

import importlib

import pytest

from compare import caught, scenario


def functional(t):
    return importlib.import_module(t.__name__ + ".autograd.functional")


def square_sum(x, y):
    return (x * x * y).sum()


def several(x, y):
    return (x * y).sum(0), x.exp() * y


@scenario
def test_products(t):
    f = functional(t)
    x, y = t.tensor([[1.0, 2.0], [0.5, -1.0]]), t.tensor([0.3, 0.7])
    v = (t.ones(2), t.tensor([[1.0, 2.0], [3.0, 4.0]]))
    yield f.vjp(several, (x, y), v)
    yield f.jvp(several, (x, y), (x * 2, y + 1))
    yield f.vjp(lambda x: x.exp().sum(), x)
    yield f.jvp(lambda x: x.exp(), t.tensor([2.0]))
    yield f.vhp(square_sum, (x, y), (x, y))
    yield f.hvp(square_sum, (x, y), (x, y))
    yield f.hvp(lambda x: (x**3).sum(), x, x)


@scenario
def test_matrices(t):
    f = functional(t)
    x, y = t.tensor([[1.0, 2.0], [0.5, -1.0]]), t.tensor([0.3, 0.7])
    yield f.jacobian(several, (x, y))
    yield f.jacobian(lambda x: x.exp(), x)
    yield f.jacobian(lambda x: x.exp(), (x,))
    yield f.jacobian(lambda x: t.ones(3), x)
    yield f.jacobian(several, (x, y), vectorize=True)
    yield f.jacobian(several, (x, y), vectorize=True, strategy="forward-mode")
    yield f.hessian(square_sum, (x, y))
    yield f.hessian(lambda x: (x**3).sum(), x)
    yield f.hessian(lambda x: (x**3).sum(), x, vectorize=True)


@scenario
def test_forward_over_reverse_hessian(t):
    f = functional(t)
    found = f.hessian(
        lambda x: (x**3).prod(),
        t.tensor([1.0, 2.0]),
        vectorize=True,
        outer_jacobian_strategy="forward-mode",
    )
    yield found.detach()


@pytest.mark.parametrize("name", ["vjp", "jvp", "jacobian", "hessian", "vhp", "hvp"])
@scenario
def test_graphs(t, name):
    f = getattr(functional(t), name)
    x = t.tensor([1.0, 2.0, 0.5], requires_grad=True)

    def cubes(x):
        return (x**3).sum() if name in ("hessian", "vhp", "hvp") else x**3

    args = [] if name in ("jacobian", "hessian") else [x.detach()]
    for create_graph in (False, True):
        result = f(cubes, x, *args, create_graph=create_graph)
        result = result[-1] if isinstance(result, tuple) else result
        yield result.requires_grad, result.detach()
    yield t.autograd.grad(result.sum(), x)


@scenario
def test_refused(t):
    f = functional(t)
    x, y = t.ones(2), t.ones(3)
    yield caught(f.vjp, lambda x: x, 1.0)
    yield caught(f.vjp, lambda x: x, (x, 1.0))
    yield caught(f.vjp, lambda x: (x, 2), x, x)
    yield caught(f.vjp, lambda x: [x], x, x)
    yield caught(f.vjp, lambda x: x, x)
    yield caught(f.vjp, lambda x: x, x, y)
    yield caught(f.vjp, lambda x: (x, x), x, (x,))
    yield caught(f.vjp, lambda x: (x, x), x, (x, y))
    yield caught(f.vjp, lambda x: x, x, (x, x))
    yield caught(f.jvp, lambda x: x, x)
    yield caught(f.jvp, lambda x: x, x, y)
    yield caught(f.hvp, lambda x: x, x, x)
    yield caught(f.vhp, lambda x: (x.sum(),), x, x)
    yield caught(f.hessian, lambda x: x, x)
    yield caught(f.hessian, lambda x: (x.sum(), x.sum()), x)
    yield caught(f.jacobian, lambda x: x, x, strategy="sideways")
    yield caught(f.jacobian, lambda x: x, x, strategy="forward-mode")
    yield caught(f.jacobian, lambda x: x, x, strategy="forward-mode", create_graph=True)
    yield caught(f.jacobian, lambda x: x, x, strategy="forward-mode", strict=True)
    yield caught(f.jacobian, lambda x: x, x, vectorize=True, strict=True)
    yield caught(f.hessian, lambda x: x.sum(), x, outer_jacobian_strategy="sideways")


@pytest.mark.parametrize("name", ["vjp", "jvp", "jacobian", "hessian", "vhp", "hvp"])
@scenario
def test_strict(t, name):
    f = getattr(functional(t), name)
    x, y = t.ones(2), t.ones(2)
    scalar = name in ("hessian", "vhp", "hvp")
    one = [] if name in ("jacobian", "hessian") else [t.ones(2)]
    two = [] if name in ("jacobian", "hessian") else [(x, y)]
    if name == "vjp":
        two = one
    functions = [
        lambda x, y: x * 2,
        lambda x, y: t.ones(2),
        lambda x, y: x.exp() * y,
        lambda x, y: (x * y).detach() * x,
    ]
    for g in functions:
        both = (lambda x, y, g=g: g(x, y).sum()) if scalar else g
        yield caught(f, both, (x, y), *two, strict=True)
        yield caught(f, lambda x, both=both: both(x, y), x, *one, strict=True)
        yield caught(
            f, lambda x, both=both: both(x, y), x.clone().requires_grad_(), *one,
            strict=True, create_graph=True,
        )  # fmt: skip
