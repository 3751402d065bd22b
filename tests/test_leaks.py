"""Memory comes back when a program ends, also with an error. Cycles: `test_cycles.py`."""

from __future__ import annotations

import gc
import resource
import warnings
from importlib import import_module

import pytest

from compare import candidate, torch


@pytest.fixture(autouse=True, scope="module")
def few_objects():
    """The collector looks only at what these tests make."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def alive(module):
    """How much is alive: nodes and tensors, or (PyTorch) tensors that Python knows."""
    if hasattr(module, "_wengert"):
        return module._wengert._live()
    return sum(issubclass(type(o), module.Tensor) for o in gc.get_objects())


def leaf(t):
    return t.ones(2, requires_grad=True)


def function(t, forward, backward=lambda ctx, *g: g, **more):
    methods = {"forward": forward, "backward": backward, **more}
    methods = {name: staticmethod(f) for name, f in methods.items()}
    return type("Custom", (t.autograd.Function,), methods)


def fail(*args):
    raise ZeroDivisionError("on purpose")


# --- Programs that end, most with an error, and leave nothing behind ------------------------------


class Ends:
    """Each is run, and may raise what it likes."""

    def tensor_hook(t):
        x = leaf(t)
        y = x.exp()
        y.register_hook(fail)
        (y * y).sum().backward()

    def leaf_hook(t):
        x = leaf(t)
        x.register_hook(fail)
        (x * leaf(t)).sum().backward()

    def accumulate_hook(t):
        x = leaf(t)
        x.register_post_accumulate_grad_hook(fail)
        (x * leaf(t)).sum().backward()

    def node_hooks(t):
        y = leaf(t).exp()
        y.grad_fn.register_hook(fail)
        y.sum().backward(retain_graph=True)

    def node_prehooks(t):
        y = leaf(t).exp()
        y.grad_fn.register_prehook(fail)
        t.autograd.grad((y * y).sum(), y)

    def hook_of_another_shape(t):
        y = leaf(t).exp()
        y.register_hook(lambda g: g[0])
        y.sum().backward()

    def multi_grad_hook(t):
        x, y = leaf(t), leaf(t)
        t.autograd.graph.register_multi_grad_hook([x, y], fail)
        (x * y).sum().backward()

    def callback(t):
        x = leaf(t)
        engine = t.autograd.Variable._execution_engine
        x.register_hook(lambda g: engine.queue_callback(fail))
        (x * 2).sum().backward()

    def interrupt(t):
        def stop(g):
            raise KeyboardInterrupt

        y = leaf(t).exp()
        y.register_hook(stop)
        y.sum().backward()

    def forward(t):
        def forward(ctx, x):
            ctx.save_for_backward(x, x * 2)
            ctx.own = x + 1
            fail()

        function(t, forward).apply(leaf(t))

    def backward(t):
        def forward(ctx, x):
            y = x * 2
            ctx.save_for_backward(x, y)
            return y

        def backward(ctx, g):
            ctx.late = ctx.saved_tensors
            fail()

        function(t, forward, backward).apply(leaf(t).exp()).sum().backward()

    def setup_context(t):
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs, output)
            fail()

        function(t, lambda x: x * 2, setup_context=setup_context).apply(leaf(t))

    def jvp(t):
        ad = t.autograd.forward_ad
        bad = function(t, lambda ctx, x: x * 2, jvp=fail)
        with ad.dual_level():
            bad.apply(ad.make_dual(leaf(t), t.ones(2)))

    def wrong_gradients(t):
        function(t, lambda ctx, x: x * 2, lambda ctx, g: (g, g)).apply(leaf(t)).sum().backward()

    def wrong_shape(t):
        bad = function(t, lambda ctx, x: x * 2, lambda ctx, g: g.expand(3, 2)[:, :1])
        bad.apply(leaf(t)).sum().backward()

    def dirty_leaf(t):
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2)

        function(t, forward).apply(leaf(t))

    def pack(t):
        with t.autograd.graph.saved_tensors_hooks(fail, lambda p: p):
            leaf(t).exp() * leaf(t)

    def unpack(t):
        with t.autograd.graph.saved_tensors_hooks(lambda s: (s, leaf(t)), fail):
            y = leaf(t).exp() * leaf(t)
        y.sum().backward()

    def unpack_to_what_is_no_tensor(t):
        with t.autograd.graph.saved_tensors_hooks(lambda s: s, lambda p: 1):
            y = leaf(t).exp() * leaf(t)
        y.sum().backward()

    def checkpoint(t):
        calls = []

        def body(x):
            calls.append(x.exp().sin())
            if len(calls) > 1:
                fail()
            return calls[-1] * x

        checkpoint = import_module(f"{t.__name__}.utils.checkpoint").checkpoint
        checkpoint(body, leaf(t), use_reentrant=False).sum().backward()

    def checkpoint_reentrant(t):
        def body(x):
            if t.is_grad_enabled():
                fail()
            return x.exp().sin()

        checkpoint = import_module(f"{t.__name__}.utils.checkpoint").checkpoint
        checkpoint(body, leaf(t), use_reentrant=True).sum().backward()

    def nested(t):
        def backward(ctx, g):
            with t.enable_grad():
                y = leaf(t).exp()
                y.register_hook(fail)
                (y * y).sum().backward()

        function(t, lambda ctx, x: x * 2, backward).apply(leaf(t)).sum().backward()

    def nested_far(t):
        def backward(ctx, g):
            if ctx.depth == 0:
                fail()
            with t.enable_grad():
                deep.apply(leaf(t), ctx.depth - 1).sum().backward()

        def forward(ctx, x, depth):
            ctx.depth = depth
            return x * 2

        deep = function(t, forward, backward)
        deep.apply(leaf(t), 130).sum().backward()

    def half_finished(t):
        x = leaf(t)
        a, b, c = x.exp(), x.sin(), x * 3
        b.register_hook(fail)
        t.autograd.backward([(a * c).sum(), (b * c).sum()], create_graph=True)

    def anomaly(t):
        with t.autograd.detect_anomaly(check_nan=True):
            (leaf(t) * 0).sqrt().mul(0).sum().backward()

    def twice(t):
        y = leaf(t).exp().sum()
        y.backward()
        y.backward()

    def unused(t):
        t.autograd.grad(leaf(t).exp().sum(), [leaf(t)])

    def saved_and_written(t):
        y = leaf(t).exp()
        z = y * y
        y.add_(1)
        z.sum().backward()

    def leaf_written(t):
        leaf(t).mul_(leaf(t))

    def inplace_broadcast(t):
        y = leaf(t).exp()
        y.add_(t.ones(3, 2))

    def views(t):
        y = leaf(t).exp()
        v = y[0]
        y.unbind(0)[0].mul_(v)

    def index_put(t):
        y = leaf(t).exp()
        y[t.tensor([0, 5])] = leaf(t)

    def index_put_shape(t):
        y = leaf(t).exp()
        y[[0, 1]] = t.ones(3, requires_grad=True)

    def parser(t):
        t.cat([leaf(t), leaf(t) * 2, "x"])

    def parser_keyword(t):
        t.add(leaf(t), leaf(t) * 2, alpha=leaf(t), other=3)

    def parser_value(t):
        leaf(t).exp().sum(dim=7)

    def stacked(t):
        t.stack([leaf(t), t.ones(3)])

    def dual_level(t):
        ad = t.autograd.forward_ad
        with ad.dual_level():
            ad.make_dual(leaf(t), t.ones(2)).exp().mul(t.ones(3))

    def vmap(t):
        t.func.vmap(lambda x: fail(x.exp()))(leaf(t))

    def func_grad(t):
        t.func.grad(lambda x: fail(x.exp().sum()))(leaf(t))

    def func_nested(t):
        t.func.vmap(t.func.grad(lambda x: fail((x * x).sum())))(t.ones(3, 2))

    def func_jvp(t):
        t.func.jvp(lambda x: fail(x.exp()), (t.ones(2),), (t.ones(2),))

    def hessian(t):
        t.autograd.functional.hessian(lambda x: fail(x.exp()), t.ones(2))

    def jacobian(t):
        t.autograd.functional.jacobian(lambda x: x.exp() if x.requires_grad else 1, t.ones(2))

    def a_warning_that_raises(t):
        warnings.simplefilter("error")
        x = leaf(t)
        (x * x).sum().backward(create_graph=True)
        x.grad = None

    def grad_of_grad(t):
        x = leaf(t)
        (g,) = t.autograd.grad(x.exp().sum(), x, create_graph=True)
        g.register_hook(fail)
        (g * g).sum().backward()

    def printing(t):
        y = leaf(t).exp()
        repr(y), str(y.grad_fn), repr(y.detach())

    def retained(t):
        y = leaf(t).exp()
        y.retain_grad()
        (y * y).sum().backward()

    def hook_that_drops_its_tensor(t):
        kept = [leaf(t).exp()]
        kept[0].retain_grad()
        kept[0].register_hook(lambda g: kept.clear())
        (kept[0] * 3).sum().backward()

    def subclass(t):
        class Named(t.Tensor):
            pass

        y = t.ones(2).as_subclass(Named).requires_grad_()
        y.name = "y"
        (y * 2).sum().backward()

    def attributes(t):
        y = leaf(t).exp()
        y.name = "y"
        z = y * y
        del y
        z.grad_fn.next_functions[0][0].metadata["z"] = 1

    def removed(t):
        x = leaf(t)
        handles = [x.register_hook(fail) for _ in range(3)]
        [handle.remove() for handle in handles]
        (x * 2).sum().backward()

    def data(t):
        x = leaf(t).exp()
        x.data = t.zeros(3)
        x.data.mul_(2)

    def numpy(t):
        x = t.ones(2)
        t.from_numpy(x.numpy()).add_(x)


ENDS = {name: f for name, f in vars(Ends).items() if not name.startswith("_")}


@pytest.mark.parametrize("name", ENDS)
def test_nothing_is_left(wt, name):
    """Counting alone frees everything: there is no cycle."""

    def story():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                ENDS[name](wt)
            except (Exception, KeyboardInterrupt) as error:
                error.__traceback__ = None

    story()
    gc.collect()
    before = alive(wt)
    for _ in range(3):
        story()
    if name not in BY_THE_COLLECTOR | NOT_AT_ALL:
        assert alive(wt) == before
    gc.collect()
    if name not in NOT_AT_ALL:
        assert alive(wt) == before
    x = leaf(wt)
    (x * x).sum().backward()
    assert x.grad.tolist() == [2, 2] and wt.is_grad_enabled()


# Cycles of the program's own, through a context that holds its output; and those that PyTorch's
# collector does not see either.
BY_THE_COLLECTOR = {"backward"}
NOT_AT_ALL = {"checkpoint", "multi_grad_hook"}
if candidate is torch:
    NOT_AT_ALL |= {"unpack", "unpack_to_what_is_no_tensor", "nested_far"}


# --- Many times over ------------------------------------------------------------------------------


def shapes(t):
    for wrong in (lambda: t.ones(2) + t.ones(3), lambda: t.ones(2).view(3), lambda: t.ones(2)[5]):
        with pytest.raises((RuntimeError, IndexError)):
            wrong()


def arguments(t):
    for wrong in (lambda: t.add("a", 1), lambda: t.sum(t.ones(2), dim="x"), lambda: t.ones("a")):
        with pytest.raises((TypeError, ValueError)):
            wrong()


def hooks(t):
    x = KEPT.setdefault(t.__name__, leaf(t))
    x.register_hook(lambda g: g).remove()
    x.register_post_accumulate_grad_hook(lambda p: None).remove()
    (x * 2).sum().backward()


def views(t):
    x = leaf(t) * 1
    x[0].mul_(2)
    x[[0, 1]] = t.ones(2)
    x.view(1, 2).expand(3, 2).sum().backward()


def forward_mode(t):
    with t.autograd.forward_ad.dual_level():
        t.autograd.forward_ad.make_dual(t.ones(2), t.ones(2)).exp()


def batched(t):
    t.func.vmap(t.func.grad(lambda x: (x * x).sum()))(t.ones(3, 2))


def failed_passes(t):
    try:
        Ends.half_finished(t)
    except ZeroDivisionError:
        pass


def text(t):
    repr(leaf(t).exp())


def modes(t):
    with t.autograd.graph.saved_tensors_hooks(lambda s: s, lambda p: p), t.no_grad():
        with t.enable_grad():
            leaf(t).exp().sum().backward()


def written_and_dropped(t):
    x = leaf(t) * 1
    x.add_(x.exp())
    x.sum().backward()


KEPT = {}
MANY = (
    [shapes, arguments, hooks, views, forward_mode, batched, failed_passes, text, modes]
    + [written_and_dropped]
)  # fmt: skip


@pytest.mark.wengert_only
@pytest.mark.parametrize("story", MANY, ids=lambda f: f.__name__)
@pytest.mark.filterwarnings("ignore:Using backward")
def test_memory_does_not_grow(wt, story):
    """Thousands of times over: neither what is counted nor the process's memory grows."""
    for _ in range(300):
        story(wt)
    gc.collect()
    before, size = alive(wt), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3000):
        story(wt)
    gc.collect()
    assert alive(wt) == before
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - size
    assert grown < 3000, f"{grown} KiB, a byte a round and more"


@pytest.mark.wengert_only
def test_random_programs(wt):
    """What a random program leaves behind, PyTorch leaves behind, too."""
    import programs

    def left(module, program):
        gc.collect()
        before = alive(module)
        programs.run(module, program)
        gc.collect()
        return alive(module) != before

    # What PyTorch imports when it is first needed.
    for seed in range(20):
        programs.run(torch, programs.random_program(seed, 14))
    gc.collect()
    gc.freeze()
    for seed in range(100):
        program = programs.random_program(seed, 14)
        if left(candidate, program):
            assert left(torch, program), seed
