"""Cycles through hooks, contexts, attributes: the collector frees what PyTorch's frees."""

from __future__ import annotations

import gc
import weakref
from importlib import import_module

import pytest

from compare import count, torch
from test_leaks import alive, fail, few_objects, function, leaf  # noqa: F401


class Held:
    """What holds tensors and is held by what belongs to them."""


class Cycles:
    """Each returns something that is part of a cycle."""

    def hook(t, w):
        w.x = leaf(t)
        w.x.register_hook(lambda g: w)

    def hook_after_backward(t, w):
        w.x = leaf(t)
        w.x.register_hook(lambda g: w and None)
        (w.x * 2).sum().backward()

    def hook_and_handle(t, w):
        w.handle = leaf(t).register_hook(lambda g: w)

    def hook_of_a_node(t, w):
        w.node = leaf(t).exp().grad_fn
        w.node.register_hook(lambda gi, go: w)

    def hook_of_an_accumulator(t, w):
        w.node = t.autograd.graph.get_gradient_edge(leaf(t)).node
        w.node.register_hook(lambda gi, go: w)

    def hook_of_several(t, w):
        w.x = leaf(t)
        hook = t.autograd.graph.register_multi_grad_hook
        hook([w.x, leaf(t)], lambda gs: w, mode="any")

    def attribute(t, w):
        w.x = leaf(t)
        w.x.w = w

    def attribute_of_a_result(t, w):
        w.x = leaf(t).exp()
        w.x.w = w

    def attribute_of_a_gradient(t, w):
        w.x = leaf(t)
        w.x.grad = t.ones(2)
        w.x.w = w

    def context(t, w):
        def forward(ctx, x):
            ctx.w = w
            return x * 2

        w.y = function(t, forward).apply(leaf(t))

    def context_and_output(t, w):
        def forward(ctx, x):
            ctx.y = w.y = x * 2
            return ctx.y

        function(t, forward).apply(leaf(t)).w = w

    def context_and_input(t, w):
        def forward(ctx, x):
            ctx.w, ctx.x = w, x
            return x * 2

        w.x = leaf(t).exp()
        w.y = function(t, forward).apply(w.x)

    def context_kept(t, w):
        def forward(ctx, x):
            w.ctx, ctx.w = ctx, w
            return x * 2

        function(t, forward).apply(leaf(t))

    def context_that_saves(t, w):
        def forward(ctx, x):
            w.ctx, x.w = ctx, w
            ctx.save_for_backward(x)
            return x * 2

        function(t, forward).apply(t.ones(2))

    def context_that_failed(t, w):
        def forward(ctx, x):
            w.ctx, ctx.w = ctx, w
            fail()

        try:
            function(t, forward).apply(leaf(t))
        except ZeroDivisionError as error:
            w.error = error

    def one_of_two_outputs(t, w):
        def forward(ctx, x):
            ctx.w = w
            return x * 2, x * 3

        w.y = function(t, forward).apply(leaf(t))[1]

    def dirty(t, w):
        def forward(ctx, x):
            ctx.mark_dirty(x)
            ctx.save_for_backward(x)
            ctx.w, ctx.x = w, x
            return x.mul_(2)

        w.y = function(t, forward).apply(leaf(t).exp())

    def class_of_a_function(t, w):
        def forward(ctx, x):
            return x * 2 if w else x

        w.y = function(t, forward).apply(leaf(t))

    def retained_gradient(t, w):
        w.x = leaf(t).exp()
        w.x.w = w
        w.x.retain_grad()
        w.x.sum().backward()

    def gradient_with_history(t, w):
        x = leaf(t)
        x.w = w
        (x * 2).sum().backward(create_graph=True)

    def written_by_its_own_result(t, w):
        x = leaf(t).exp()
        x.w = w
        x.mul_(x.exp())

    def written_and_run(t, w):
        x = leaf(t) * 1
        x.w = w
        x.add_(x * 2)
        x.sum().backward()

    def written_by_itself(t, w):
        x = leaf(t).exp()
        x.w = w
        x.mul_(2).add_(x)

    def written_view(t, w):
        x = leaf(t).exp()
        v = x[0]
        v.w = w
        v.mul_(2)
        w.x = x[1]

    def view_of_a_base_with_attributes(t, w):
        w.x = leaf(t).exp()
        v = w.x[0]
        v.w = w

    def subclass(t, w):
        class Named(t.Tensor):
            pass

        w.x = t.ones(2).as_subclass(Named).requires_grad_()
        w.x.register_hook(lambda g: w)
        w.x.w = w

    def checkpoint(t, w):
        def body(x):
            w.seen = True
            return x.sin().cos()

        checkpoint = import_module(f"{t.__name__}.utils.checkpoint").checkpoint
        w.y = checkpoint(body, leaf(t), use_reentrant=True)

    def dual(t, w):
        ad = t.autograd.forward_ad
        with ad.dual_level():
            w.x = ad.make_dual(t.ones(2), t.ones(2))
            w.x.w = w

    def array(t, w):
        w.x = t.ones(2)
        w.x.w = w
        w.array = w.x.numpy()

    def nodes(t, w):
        w.x = leaf(t).exp()
        w.nodes = [w.x.grad_fn, w.x.grad_fn.next_functions]
        w.x.w = w


CYCLES = {name: f for name, f in vars(Cycles).items() if not name.startswith("_")}


@pytest.mark.filterwarnings("ignore:Using backward")
@pytest.mark.parametrize("name", CYCLES)
def test_cycles_are_collected(wt, name):
    """All of these PyTorch collects."""
    count()
    for module in (torch, wt):

        def story():
            w = Held()
            CYCLES[name](module, w)
            return weakref.ref(w)

        gc.collect()
        before = alive(module)
        seen = story()
        gc.collect()
        assert seen() is None, module.__name__
        assert alive(module) == before


@pytest.mark.wengert_only
def test_where_torch_does_not(wt):
    """Cycles that PyTorch's collector does not see."""

    def hook_of_a_result(w):
        w.x = leaf(wt).exp()
        w.x.register_hook(lambda g: w)

    def hook_after_accumulation(w):
        w.x = leaf(wt)
        w.x.register_post_accumulate_grad_hook(lambda p: w)

    def used(w):
        w.x = leaf(wt)
        w.x.w = w
        w.y = w.x * w.x

    def itself(w):
        x = leaf(wt).exp()
        x.w = w
        x.mul_(x)

    for story in (hook_of_a_result, hook_after_accumulation, used, itself):
        w = Held()
        story(w)
        seen = weakref.ref(w)
        del w
        gc.collect()
        assert seen() is None


def test_a_tensor_written_by_what_saved_it(wt):
    """Holds itself until backward runs, in PyTorch as well; not beyond."""
    for module in (torch, wt):
        gc.collect()
        before = alive(module)
        x = leaf(module).exp()
        y = x * x
        x.add_(y)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            x.sum().backward()
        x.detach_()
        del x, y
        gc.collect()
        assert alive(module) == before


def test_a_hook_goes_with_its_tensor(wt):
    """At once: the handle does not keep it."""
    for module in (torch, wt):
        seen = []
        for x in (leaf(module), leaf(module).exp()):

            def hook(g):
                return None

            handle = x.register_hook(hook)
            seen.append((weakref.ref(hook), handle))
            del hook, x
        assert [ref() for ref, _ in seen] == [None, None], module.__name__
        [handle.remove() for _, handle in seen]
