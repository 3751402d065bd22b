"""`torch.func`: transforms, their nesting, their errors."""

import importlib

from compare import caught, scenario


def func(t):
    return importlib.import_module(t.__name__ + ".func")


@scenario
def test_grad(t):
    f = func(t)
    x, y = t.tensor([1.0, 2.0]), t.tensor([3.0, 4.0])
    yield f.grad(lambda x: (x**3).sum())(x)
    yield f.grad(lambda x, y: (x * y).sum(), argnums=1)(x, y)
    yield f.grad(lambda x, y: (x * y).sum(), argnums=-1)(x, y)
    yield f.grad(lambda x, y: (x * y).sum(), argnums=(1, 0))(x, y)
    yield f.grad(lambda x, s: (x * s).sum())(x, s=2.0)
    yield f.grad(lambda x: t.ones(()))(x)
    yield f.grad_and_value(lambda x: (x**3).sum())(x)
    g, (value, aux) = f.grad_and_value(lambda x: ((x**3).sum(), {"a": x * 2}), has_aux=True)(x)
    yield g, value, aux["a"]
    yield f.grad(lambda x: ((x**3).sum(), x + 1), has_aux=True)(x)
    tree = f.grad(lambda d: (d["a"] * d["b"][0]).sum())({"a": x, "b": [y]})
    yield tree["a"], tree["b"][0], list(tree)


@scenario
def test_nesting(t):
    f = func(t)
    x = t.tensor(0.7)
    yield f.grad(f.grad(t.sin))(x), f.grad(f.grad(f.grad(t.sin)))(x)
    # The inner function closes over the outer argument.
    yield f.grad(lambda x: x * f.grad(lambda y: x * y * y)(t.tensor(2.0)))(x)
    yield f.grad(lambda x: f.grad(lambda y: x * x * y)(x))(x)
    yield f.jvp(f.grad(t.sin), (x,), (t.ones(()),))
    yield f.grad(lambda x: f.jvp(t.sin, (x,), (t.ones(()),))[1])(x)
    one = t.ones(())
    yield f.jvp(lambda x: f.jvp(t.sin, (x,), (one,))[1], (x,), (one,))
    yield f.jvp(lambda x: x * f.jvp(lambda y: x * y, (t.tensor(2.0),), (one,))[1], (x,), (one,))
    v = t.tensor([1.0, 2.0])
    yield f.jacfwd(f.jacfwd(lambda x: x**3))(v), f.jacrev(f.jacrev(lambda x: x**3))(v)
    yield f.jacrev(f.jacfwd(lambda x: x**3))(v), f.hessian(lambda x: (x**3).prod())(v)


@scenario
def test_outer_graphs(t):
    f = func(t)
    x = t.tensor([1.0, 2.0])
    w = t.tensor([0.5, 3.0], requires_grad=True)
    for g in (
        lambda x: (x**2 * w).sum(),
        lambda x: (x**2).sum() + w.sum(),
        lambda x: (x**2).sum(),
    ):
        for given in (x, w):
            found = f.grad(g)(given)
            yield found.requires_grad, found.detach()
            if found.requires_grad:
                yield t.autograd.grad(found.sum(), w)
    with t.no_grad():
        yield f.grad(lambda x: (x**2 * w).sum())(x)
        yield f.vjp(lambda x: x**2 * w, x)[1](x)
    yield f.grad(lambda x: (x.detach() * x).sum())(x)
    found, value = f.grad_and_value(lambda x: (x * w).sum())(x)
    yield found.requires_grad, value.requires_grad
    yield x.requires_grad, x.grad, w.grad


@scenario
def test_vjp(t):
    f = func(t)
    x, y = t.tensor([1.0, 2.0]), t.tensor([3.0, 4.0])
    value, back = f.vjp(lambda x, y: (x * y, x.sum()), x, y)
    yield value
    yield back((x, t.tensor(1.0)))
    yield back((y, t.tensor(0.0)))
    value, back, aux = f.vjp(lambda x: ({"a": x.exp()}, x * 2), x, has_aux=True)
    yield value["a"], aux, back({"a": y})
    yield f.grad(lambda g: (f.vjp(t.sin, x)[1](g)[0] * g).sum())(y)


@scenario
def test_jvp(t):
    f = func(t)
    x, y = t.tensor([1.0, 2.0]), t.tensor([3.0, 4.0])
    yield f.jvp(lambda x, y: (x * y, x.sum()), (x, y), (y, x))
    yield f.jvp(lambda x: t.ones(2), (x,), (y,))
    yield f.jvp(lambda x: (x.exp(), x * 2), (x,), (y,), has_aux=True)
    value, slope = f.jvp(lambda d: {"a": d["b"] * 2}, ({"b": x},), ({"b": y},))
    yield value["a"], slope["a"]
    value, slope = f.linearize(lambda x, y: x * x * y, x, y)
    yield value, slope(x, y), slope(y, x)


@scenario
def test_jacobians(t):
    f = func(t)
    x, y = t.tensor([1.0, 2.0]), t.tensor([3.0, 4.0, 5.0])

    def both(x, y):
        return x**2, x.sum() * y

    for jac in (f.jacrev, f.jacfwd):
        yield jac(lambda x: x**2)(x)
        yield jac(both, argnums=(0, 1))(x, y)
        yield jac(both, argnums=1)(x, y)
        found = jac(lambda x: {"a": x**2, "b": x.sum()})(x)
        yield found["a"], found["b"]
        yield jac(lambda d: d["a"] * 2)({"a": x})["a"]
        yield jac(lambda x: (x**2, x), has_aux=True)(x)
    yield f.jacrev(lambda x: x**2, chunk_size=1)(x)
    yield f.hessian(lambda x, y: (x**3).sum() * y.sum(), argnums=(0, 1))(x, y)


@scenario
def test_refused(t):
    f = func(t)
    x = t.tensor([1.0, 2.0])
    yield caught(f.grad(lambda x: x * 2), x)
    yield caught(f.grad(lambda x: (x.sum(), 1)), x)
    yield caught(f.grad(lambda x: x.sum(), has_aux=True), x)
    yield caught(f.grad(lambda x: 1.0), x)
    yield caught(f.grad(lambda x: x.sum()), t.tensor([1, 2]))
    for argnums in (2, (0, 0), "a", ()):
        yield caught(f.grad(lambda x: x.sum(), argnums=argnums), x)
    yield caught(f.grad(lambda x: x), 1.0)
    _, back = f.vjp(lambda x: (x * 2, x.sum()), x)
    yield caught(back, x)
    yield caught(back, (t.ones(3), t.ones(())))
    yield caught(f.vjp, lambda x: (x * 2, 1), x)
    for primals, tangents in (
        (x, x),
        ((x,), (t.ones(3),)),
        ((x,), (1,)),
        ((), ()),
    ):
        yield caught(f.jvp, lambda x: x * 2, primals, tangents)
    yield caught(f.jvp, lambda x: 1, (x,), (x,))
    yield caught(f.jacrev(lambda x: 1), x)
    yield caught(f.linearize(lambda x: x**2, x)[1], t.ones(3))


class Affine:
    """As much of a module as `functional_call` needs."""

    def __init__(self, t):
        self.weight, self.bias = t.ones(2, requires_grad=True), t.zeros(2)

    def named_parameters(self, remove_duplicate=True):
        return [("weight", self.weight), ("bias", self.bias)]

    def __call__(self, x, scale=1.0):
        return (x * self.weight + self.bias) * scale


def test_functional_call(wt):
    f = func(wt)
    module = Affine(wt)
    kept = module.weight
    x = wt.tensor([1.0, 2.0])
    given = {"weight": wt.tensor([3.0, 4.0])}
    assert f.functional_call(module, given, x).tolist() == [3.0, 8.0]
    given = [given, {"bias": wt.ones(2)}]
    assert f.functional_call(module, given, (x,), {"scale": 2.0}).tolist() == [8.0, 18.0]
    assert module.weight is kept
    loss = lambda p: f.functional_call(module, p, (x,)).sum()  # noqa: E731
    assert f.grad(loss)(given[0])["weight"].tolist() == [1.0, 2.0]
