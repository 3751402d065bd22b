"""Inference mode: the kind of tensor made inside, what is refused of it, what normal tensors do."""

import copy
import threading

import numpy as np
import pytest

from compare import caught, scenario


def inference(t, *shape, **kwargs):
    with t.inference_mode():
        return t.ones(*shape, **kwargs)


def leaf(t, *shape):
    return t.ones(*shape, requires_grad=True)


# --- The mode -------------------------------------------------------------------------------------


@scenario
def test_what_the_mode_says(t):
    def now():
        return t.is_inference_mode_enabled(), t.is_grad_enabled()

    yield now()
    with t.inference_mode():
        yield now()
        with t.enable_grad():
            x = leaf(t, 2)
            yield now(), x * x
        with t.inference_mode(False):
            x = leaf(t, 2)
            yield now(), x * x, x.is_inference()
            with t.inference_mode(True):
                yield now()
        t.set_grad_enabled(True)
        yield now()
    yield now()
    with t.no_grad():
        with t.inference_mode(False):
            yield now()
        with t.inference_mode(mode=True):
            yield now()
        yield now()
    with pytest.raises(KeyError), t.inference_mode():
        raise KeyError
    yield now()


@scenario
def test_decorators(t):
    def now():
        return t.is_inference_mode_enabled(), t.is_grad_enabled()

    def steps():
        got = yield now()
        yield got, now(), t.ones(1).is_inference()

    yield t.inference_mode(now)(), t.inference_mode()(now)(), t.inference_mode(False)(now)()
    with t.inference_mode():
        yield t.inference_mode(False)(now)(), now()
    running = t.inference_mode()(steps)()
    yield next(running), now()
    yield running.send(5), now()
    mode = t.inference_mode()
    for _ in range(2):
        with mode:
            yield now()
        yield now()


@scenario
def test_the_mode_belongs_to_the_thread(t):
    seen = []

    def look():
        seen.append((t.is_inference_mode_enabled(), t.is_grad_enabled(), t.ones(1).is_inference()))

    with t.inference_mode():
        other = threading.Thread(target=look)
        other.start()
        other.join()
        look()
    yield seen


# --- The kind of a tensor -------------------------------------------------------------------------


@scenario
def test_what_is_made_inside(t):
    normal = t.ones(2, 2)
    with t.inference_mode():
        x = t.ones(2, 2)
        made = [
            t.zeros(2), t.tensor([1.0]), t.arange(3), t.rand(2), t.empty(2), t.eye(2),
            t.from_numpy(np.ones(2)), t.as_tensor([1.0]), t.zeros_like(x), t.zeros_like(normal),
            normal.new_zeros(2), t.cat([normal, x]), x.sum(), x > 0, x.int(), x.clone(), x @ x,
            normal + 1, normal.clone(), normal.t().contiguous(), normal[normal > 0], normal[[0]],
            t.where(x > 0, x, x), x.sort()[1], x.max(0).indices, normal.to(t.float64),
            x.view(4), x[0], x.t(), x.detach(), x.unbind()[0], x.expand(3, 2, 2),
            x.requires_grad_(),
        ]  # fmt: skip
        yield [(y.is_inference(), y.requires_grad, y._is_view(), y.is_leaf) for y in made]
    yield t.is_inference(x), t.is_inference(normal), caught(t.is_inference, 3) is None


@scenario
def test_normal_tensors_stay_normal_inside(t):
    x = leaf(t, 2, 2)
    with t.inference_mode():
        same = [
            x[0], x.t(), x.view(4), x.reshape(4), x.expand(3, 2, 2), x.detach(), x.contiguous(),
            x.unbind()[0], x.split(1)[0], x.flatten(), x.diagonal(), x.to(t.float32), x.data, x.mT,
            x.narrow(0, 0, 1), x.as_strided((2,), (1,)), x.unfold(0, 1, 1), x.requires_grad_(),
        ]  # fmt: skip
        yield [(y.is_inference(), y.requires_grad, y._is_view(), y._version) for y in same]
        yield [y.grad_fn is None for y in same], same[0]._base is x
        yield x.is_inference(), (x * 2).is_inference()


@scenario
def test_what_is_made_of_inference_tensors_outside(t):
    x = inference(t, 2, 2)
    made = [
        x * 2, x.sum(), x.clone(), x.t().contiguous(), x[x > 0], x[[0]], x.to(t.float64),
        t.tensor(x),
        x[0], x.t(), x.view(4), x.reshape(4), x.expand(3, 2, 2), x.detach(), x.contiguous(), x.data,
        x.unbind()[0], x.split(1)[0], x.flatten(), x.squeeze(), x.to(t.float32), x.mT,
        x.unfold(0, 1, 1),
        x.unsafe_chunk(2)[0], t.as_tensor(x), t.from_numpy(x.numpy()), t.broadcast_tensors(x, x)[0],
    ]  # fmt: skip
    yield [(y.is_inference(), y._is_view(), y._base is None) for y in made]
    yield made, made[8].sum().item(), repr(x), x.tolist()


@scenario
def test_copies(t):
    x = inference(t, 2, requires_grad=True)
    y = copy.deepcopy(x)
    yield y.is_inference(), y
    with t.inference_mode():
        y, z = copy.deepcopy(x), copy.deepcopy(leaf(t, 2))
    yield y.is_inference(), z.is_inference(), y, z
    data = t.zeros(3)
    data.data = x.detach()
    yield data.is_inference(), data._version, data
    other = t.zeros(2)
    other.set_(inference(t, 2))
    yield other.is_inference(), other._version, other.add_(1)


# --- Versions and writes --------------------------------------------------------------------------


@scenario
def test_versions(t):
    x = inference(t, 2)
    yield caught(lambda: x._version), caught(lambda: x[0]._version)
    with t.inference_mode():
        yield caught(lambda: x.view(2)._version), caught(lambda: x.detach()._version)
        yield caught(lambda: x.data._version), leaf(t, 2).detach_(), (leaf(t, 2)[1:]).detach_()
    yield x.detach()._version, x.data._version, t.autograd.graph.increment_version(x)
    same = x.detach()
    again = same.detach()
    same.add_(1)
    x.data.add_(1)
    yield same._version, again._version, x.data._version, x, same.is_inference()


WRITES = {
    "add_": lambda t, x: x.add_(1),
    "view": lambda t, x: x[0].mul_(2),
    "piece": lambda t, x: x.split(1)[0].add_(1),
    "setitem": lambda t, x: x.__setitem__(0, 5),
    "mask": lambda t, x: x.__setitem__(t.tensor([True, False]), 5),
    "index": lambda t, x: x.index_put_((t.tensor([0]),), t.ones(2)),
    "zero_": lambda t, x: x.zero_(),
    "normal_": lambda t, x: x.normal_(),
    "copy_": lambda t, x: x.copy_(t.zeros(2, 2)),
    "recorded": lambda t, x: x.copy_(leaf(t, 2, 2)),
    "cumsum_": lambda t, x: x.cumsum_(0),
    "t_": lambda t, x: x.t_(),
    "unsqueeze_": lambda t, x: x.unsqueeze_(0),
    "resize_": lambda t, x: x.resize_(4),
    "set_": lambda t, x: x.set_(t.ones(3)),
    "out": lambda t, x: t.add(t.ones(2, 2), 1, out=x),
}


@pytest.mark.parametrize("name", WRITES)
@scenario
def test_writes_outside_are_refused(t, name):
    # PyTorch refuses only after it has written, so each write gets a tensor of its own.
    yield caught(WRITES[name], t, inference(t, 2, 2))
    with t.no_grad():
        yield caught(WRITES[name], t, inference(t, 2, 2))
    with t.inference_mode():
        x = t.ones(2, 2)
        WRITES[name](t, x)
    yield x.is_inference(), x.shape


@pytest.mark.wengert_only
def test_a_refused_write_changes_nothing(wt):
    x = inference(wt, 2)
    for write in (lambda: x.add_(1), lambda: x.__setitem__(0, 5), lambda: x.zero_()):
        with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
            write()
    assert x.tolist() == [1, 1]


@scenario
def test_writes_to_normal_tensors_inside(t):
    plain, x, y = t.ones(2), leaf(t, 2), leaf(t, 2).clone()
    view = y[:]
    with t.inference_mode():
        for z in (plain, x, y, view):
            z.add_(1)
        plain[0] = 3
        t.add(plain, 1, out=plain)
        t.mul(x, x, out=plain)
        x.mul_(x)
    yield plain, plain._version, plain.is_inference()
    yield x, x._version, y, y._version, view, view._base is y
    y.sum().backward()
    yield x.grad


@scenario
def test_written_values_are_still_guarded(t):
    x = leaf(t, 2)
    y = x * 3
    z = (y * y).sum()
    with t.inference_mode():
        y.mul_(2)
    yield caught(z.backward)


# --- Views of normal tensors made inside ----------------------------------------------------------


@scenario
def test_views_made_inside(t):
    x = leaf(t, 2, 2)
    y = x.clone()
    with t.inference_mode():
        of_leaf, of_y, piece, same = x[0], y[0], y.unbind()[1], y.detach()
        inner = of_y[:1]
    yield caught(of_leaf.add_, 1), caught(of_y.add_, 1), caught(piece.add_, 1)
    yield (
        caught(inner.add_, 1),
        caught(of_y[:1].add_, 1),
        caught(of_y.detach().add_, 1),
        same.add_(1),
    )
    with t.no_grad():
        in_no_grad = of_y[:1]
    yield caught(in_no_grad.add_, 1), y
    with t.no_grad():
        made_before = y[1]
    with t.inference_mode():
        made_after = made_before[:1]
    yield caught(made_before.add_, 1), caught(made_after.add_, 1)


@scenario
def test_views_made_inside_of_what_is_written_later(t):
    y = leaf(t, 2).clone()
    with t.inference_mode():
        view = y[:]
    y.mul_(2)
    yield view.tolist(), repr(view), view.requires_grad
    yield caught(lambda: view.grad_fn), caught(lambda: view * 2), caught(lambda: view[0])
    plain = t.ones(2)
    with t.inference_mode():
        view = plain[:]
    yield view.add_(1), plain._version, caught(view.mul_, leaf(t, 2))
    plain.mul_(leaf(t, 2))
    yield plain, caught(lambda: view.grad_fn)


# --- Gradients ------------------------------------------------------------------------------------


@scenario
def test_leaves(t):
    x = inference(t, 2)
    yield caught(x.requires_grad_), caught(lambda: setattr(x, "requires_grad", True))
    yield x.requires_grad_(False), caught(x.register_hook, print)
    with t.inference_mode():
        x.requires_grad_()
        yield x, x * x, x[0], caught((x * x).sum().backward)
    yield x.is_inference(), x.is_leaf, x[0], x * x, x.exp()
    y = (x + 1).sum()
    y.backward()
    yield y, x.grad, x.grad.is_inference(), x.detach(), caught(x.requires_grad_)
    yield x.requires_grad_(False)


SAVES = {
    "mul": lambda t, x, w: x * w,
    "mul_": lambda t, x, w: w.clone().mul_(x),
    "mm": lambda t, x, w: x @ w,
    "where": lambda t, x, w: t.where(x > 0, w, w),
    "condition": lambda t, x, w: t.where(inference(t, 2, 2, dtype=t.bool), w, 0),
    "index": lambda t, x, w: w[inference(t, 2, dtype=t.int64)],
    "mask": lambda t, x, w: w.masked_fill(inference(t, 2, 2, dtype=t.bool), 0),
    "linear": lambda t, x, w: t.nn.functional.linear(x, w),
    "cat": lambda t, x, w: t.cat([x, w]),
    "add": lambda t, x, w: x + w,
    "add_": lambda t, x, w: w.clone().add_(x),
    "copy_": lambda t, x, w: w.clone().copy_(x),
    "detached": lambda t, x, w: x.detach() * w,
    "view": lambda t, x, w: x[0] * w,
    "clone": lambda t, x, w: x.clone() * w,
    "large": lambda t, x, w: (inference(t, 100_000) * 2 + 1) * w[0, 0],
    "large leaf": lambda t, x, w: inference(t, 25_000, 2, 2).mul(2) * w.expand(25_000, 2, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", SAVES)
@scenario
def test_saving(t, name):
    x, w = inference(t, 2, 2), leaf(t, 2, 2)
    error = caught(SAVES[name], t, x, w)
    yield error
    if error is None:
        y = SAVES[name](t, x, w).sum()
        y.backward()
        yield y, w.grad
    with t.no_grad():
        yield caught(SAVES[name], t, x, w)


@scenario
def test_saving_through_hooks(t):
    seen = []

    def inside(x):
        with t.inference_mode():
            return x.clone()

    w = leaf(t, 2)
    graph = t.autograd.graph
    with graph.saved_tensors_hooks(lambda x: seen.append(x) or x, lambda x: x):
        yield caught(lambda: w * inference(t, 2)), len(seen)
    with graph.saved_tensors_hooks(inside, lambda x: x):
        y = w * w
    y.sum().backward()
    yield w.grad, w.grad.is_inference()


@scenario
def test_backward_inside(t):
    x = leaf(t, 2)
    y = (x * x).sum()
    with t.inference_mode():
        (g,) = t.autograd.grad(y, x, retain_graph=True, create_graph=True)
        yield g, g.is_inference()
        y.backward(retain_graph=True)
    yield x.grad, x.grad.is_inference()
    yield caught(y.backward, retain_graph=True)
    x.grad = None
    y.backward(retain_graph=True)
    with t.inference_mode():
        y.backward(retain_graph=True)
    yield x.grad, x.grad.is_inference()
    x.grad = inference(t, 2)
    yield x.grad.is_inference(), caught(y.backward)
    with t.inference_mode():
        x.grad = t.zeros(2)
        yield x.grad, x.register_hook(lambda g: g * 2) is not None


@scenario
def test_given_gradients(t):
    x = leaf(t, 2)
    y = x * x
    y.backward(inference(t, 2), retain_graph=True)
    yield x.grad, x.grad.is_inference()
    yield caught(t.autograd.grad, y, x, inference(t, 2), create_graph=True)


@scenario
def test_custom_functions(t):
    class Times(t.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            ctx.mode = t.is_inference_mode_enabled()
            return x * y

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return g * y, g * x

    class Same(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return g

    class Twice(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2)

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x, w = inference(t, 2), leaf(t, 2)
    yield caught(Times.apply, x, w), Times.apply(x, t.ones(2)), caught(Twice.apply, x)
    yield caught(Times.apply, inference(t, 2, requires_grad=True), w)
    with t.inference_mode():
        y, z, own = Times.apply(w, w), Same.apply(w), t.ones(2)
        yield y, y.is_inference(), z.requires_grad, z.is_inference()
        yield Twice.apply(own) is own, own
    yield caught(z.add_, 1)


@scenario
def test_forward_mode_is_off_inside(t):
    forward = t.autograd.forward_ad
    with forward.dual_level():
        x = forward.make_dual(t.ones(2), t.ones(2))
        with t.inference_mode():
            yield forward.unpack_dual(x * 2).tangent
        yield forward.unpack_dual(x * 2).tangent
        y = forward.make_dual(inference(t, 2), t.ones(2))
        yield y.is_inference(), forward.unpack_dual(y * 2).tangent


@scenario
def test_transforms(t):
    x = inference(t, 2)
    square = lambda y: (y * y * x).sum()  # noqa: E731
    yield t.func.grad(square)(x), t.func.hessian(square)(t.ones(2))
    yield t.func.jvp(square, (x,), (x,)), t.func.vjp(square, x)[1](t.ones(()))
    with t.inference_mode():
        y = t.ones(2)
        yield t.func.grad(square)(y), t.func.jvp(square, (y,), (y,)), t.func.hessian(square)(y)
        yield t.vmap(t.func.grad(lambda z: z * z))(y), t.vmap(lambda z: z * 2)(y).is_inference()
        inner = []
        t.func.grad(lambda z: (inner.append((t.is_grad_enabled(), z.is_inference())), z.sum())[1])(
            y
        )
        yield inner, t.is_inference_mode_enabled()
