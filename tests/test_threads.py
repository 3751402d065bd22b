"""Threads, depth, interruption, fork, the interpreter's end. No timing."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading

import pytest

from compare import candidate, caught, scenario


def leaf(t):
    return t.ones(3, requires_grad=True)


def function(t, forward, backward=lambda ctx, *g: g):
    methods = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type("Custom", (t.autograd.Function,), methods)


def in_threads(n, work):
    """Runs `work(k)` in `n` threads at once; what each returned or raised."""
    out = [None] * n
    barrier = threading.Barrier(n)

    def body(k):
        barrier.wait()
        try:
            out[k] = work(k)
        except BaseException as error:
            out[k] = error

    threads = [threading.Thread(target=body, args=(k,)) for k in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return out


class Turns:
    """Hands the interpreter from thread to thread: `pause` returns once another has run."""

    def __init__(self, n):
        self.barrier = threading.Barrier(n)

    def pause(self, *args):
        try:
            self.barrier.wait(timeout=5)
        except threading.BrokenBarrierError:
            pass


def script(body):
    """Runs a script in an interpreter of its own; its output."""
    head = f"import {candidate.__name__} as t\n"
    ran = subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(body)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


# --- Several passes at once -----------------------------------------------------------------------


@scenario
def test_passes_that_take_turns(t):
    """Each stands in the middle of its own graph while the other runs."""
    turns = Turns(2)

    def work(k):
        x = leaf(t)
        y = x * (k + 1)
        y.register_hook(turns.pause)
        z = y.exp()
        z.register_hook(turns.pause)
        (z * y).sum().backward()
        return x.grad

    yield in_threads(2, work)


@scenario
def test_passes_over_one_graph_that_take_turns(t):
    """Nothing is lost of what they add to the same leaves."""
    turns = Turns(3)
    x, w = leaf(t), leaf(t)
    y = x * w
    y.register_hook(turns.pause)
    z = (y * y).sin()
    z.register_hook(turns.pause)
    loss = (z * w).sum()

    def work(k):
        for _ in range(5):
            loss.backward(retain_graph=True)

    assert in_threads(3, work) == [None] * 3
    loss.backward()
    yield x.grad, w.grad


@scenario
def test_one_leaf_of_many_graphs(t):
    x = leaf(t)
    turns = Turns(4)
    pausing = function(t, lambda ctx, x: x * 2, lambda ctx, g: (turns.pause(), g * 2)[1])

    def work(k):
        for _ in range(5):
            (pausing.apply(x) * (k + 1)).sum().backward()

    assert in_threads(4, work) == [None] * 4
    yield x.grad


@scenario
def test_grad_and_backward_at_once(t):
    x = leaf(t)
    turns = Turns(2)
    y = x.exp()
    y.register_hook(turns.pause)
    loss = (y * y).sum()

    def work(k):
        if k:
            return t.autograd.grad(loss, x, retain_graph=True)[0]
        loss.backward(retain_graph=True)
        return None

    yield in_threads(2, work), x.grad


@scenario
def test_double_backward_at_once(t):
    def work(k):
        x = leaf(t)
        (g,) = t.autograd.grad((x * x * x).sum(), x, create_graph=True)
        turns.pause()
        (g * g).sum().backward()
        return x.grad

    turns = Turns(3)
    yield in_threads(3, work)


@scenario
def test_an_error_reaches_its_own_caller(t):
    turns = Turns(3)

    def work(k):
        x = leaf(t)
        y = x * 2

        def hook(g):
            turns.pause()
            if k == 1:
                raise ZeroDivisionError("in one")

        y.register_hook(hook)
        error = caught((y * y).sum().backward)
        return error, x.grad

    yield in_threads(3, work)


@scenario
def test_nested_passes_that_take_turns(t):
    turns = Turns(2)

    def backward(ctx, g):
        turns.pause()
        with t.enable_grad():
            x = leaf(t)
            y = x * ctx.k
            y.register_hook(turns.pause)
            (y * y).sum().backward()
        return g * x.grad, None

    def forward(ctx, x, k):
        ctx.k = k
        return x * 2

    nested = function(t, forward, backward)

    def work(k):
        x = leaf(t)
        nested.apply(x, k + 1).sum().backward()
        return x.grad

    yield in_threads(2, work)


@scenario
def test_deep_nesting_in_two_threads(t):
    def backward(ctx, g):
        x = leaf(t)
        if ctx.depth:
            with t.enable_grad():
                nested.apply(x, ctx.depth - 1).sum().backward()
            return g + x.grad, None
        return g, None

    def forward(ctx, x, depth):
        ctx.depth = depth
        return x * 1

    nested = function(t, forward, backward)

    def work(k):
        x = leaf(t)
        nested.apply(x, 150 + k).sum().backward()
        return x.grad

    yield in_threads(2, work)


# --- Modes are a thread's own ---------------------------------------------------------------------


@scenario
def test_modes_of_other_threads(t):
    graph = t.autograd.graph
    with t.no_grad(), graph.saved_tensors_hooks(lambda s: 1 / 0, lambda p: p):

        def work(k):
            on = t.is_grad_enabled(), t.is_inference_mode_enabled()
            y = leaf(t).exp()
            y.sum().backward()
            return (*on, y.grad_fn.name())

        yield in_threads(2, work)
    with t.inference_mode():
        yield in_threads(2, work), t.is_inference_mode_enabled()
    yield t.is_grad_enabled()


@scenario
def test_a_mode_set_in_a_thread_stays_there(t):
    def work(k):
        t.set_grad_enabled(False)
        return t.is_grad_enabled()

    yield in_threads(2, work), t.is_grad_enabled(), leaf(t).exp().requires_grad


@scenario
def test_disabled_saved_tensors_hooks(t):
    graph = t.autograd.graph

    def work(k):
        with graph.saved_tensors_hooks(lambda s: s, lambda p: p):
            return leaf(t).exp().requires_grad

    with graph.disable_saved_tensors_hooks("not here"):
        yield caught(work, 0), in_threads(1, work)


@scenario
def test_anomaly_mode_is_of_all_threads(t):
    with t.autograd.detect_anomaly():
        yield in_threads(1, lambda k: t.is_anomaly_enabled())


@scenario
def test_the_mode_inside_a_pass(t):
    """A hook sees the modes of the pass, also in a nested one that runs elsewhere."""
    seen = []

    def backward(ctx, g):
        seen.append(t.is_grad_enabled())
        if ctx.depth:
            with t.enable_grad():
                nested.apply(leaf(t), ctx.depth - 1).sum().backward()
        return g, None

    def forward(ctx, x, depth):
        ctx.depth = depth
        return x * 1

    nested = function(t, forward, backward)
    nested.apply(leaf(t), 90).sum().backward()
    yield seen, t.is_grad_enabled()


# --- Callbacks, threads of its own ----------------------------------------------------------------


@scenario
def test_callbacks_of_each_pass(t):
    engine = t.autograd.Variable._execution_engine
    turns = Turns(2)
    log = [[], []]

    def work(k):
        x = leaf(t)
        x.register_hook(lambda g: engine.queue_callback(lambda: log[k].append("end")))
        x.register_hook(turns.pause)
        (x * 2).sum().backward()
        log[k].append("after")

    in_threads(2, work)
    yield log, caught(engine.queue_callback, lambda: None)


@scenario
def test_multithreading_switched_off(t):
    main = threading.get_ident()
    seen = []
    with t.autograd.set_multithreading_enabled(False):
        x = leaf(t)
        x.register_hook(lambda g: seen.append(threading.get_ident() == main))
        (x * 2).sum().backward()
    yield seen, x.grad


def test_number_of_threads(wt):
    """One for all threads of Python, and changed while others work."""
    before = wt.get_num_threads()
    x = wt.ones(400, 400)
    try:

        def work(k):
            for n in (1, 2, 3, 1):
                wt.set_num_threads(n)
                assert (x @ x)[0, 0].item() == 400
                assert (x * 2 + x).sum().item() == 480000

        assert in_threads(4, work) == [None] * 4
    finally:
        wt.set_num_threads(before)


# --- Objects that cross threads -------------------------------------------------------------------


def test_dropped_elsewhere(wt):
    """Graphs with hooks, contexts and packed values end in another thread than they began in."""
    keep = function(wt, lambda ctx, x: (ctx.save_for_backward(x), x * 2)[1])

    def make(k):
        x = leaf(wt)
        with wt.autograd.graph.saved_tensors_hooks(lambda s: [s], lambda p: p[0]):
            y = keep.apply(x.exp()) * x
        y.register_hook(lambda g: (y, None)[1])
        y.tag = k
        return [y.sum(), y[1:], x]

    made = in_threads(4, make)
    made[0][0].backward()
    in_threads(4, lambda k: made[k].clear())
    x = leaf(wt)
    (x * x).sum().backward()
    assert x.grad.tolist() == [2, 2, 2]


@scenario
def test_backward_in_another_thread(t):
    x = leaf(t)
    loss = (x.exp() * x).sum()
    assert in_threads(1, lambda k: loss.backward()) == [None]
    yield x.grad, caught(loss.backward)


# --- Deep, and wide -------------------------------------------------------------------------------


def test_deep_through_functions_views_and_checkpoints(wt):
    same = function(wt, lambda ctx, x: x.clone())
    checkpoint = __import__(f"{wt.__name__}.utils.checkpoint").utils.checkpoint.checkpoint

    def work(k):
        x = leaf(wt)
        y = x
        for _ in range(20_000):
            y = same.apply(y).view(3, 1).t().reshape(3) + 0
        y.sum().backward()
        assert x.grad.tolist() == [1, 1, 1]
        y = x
        for _ in range(1_000):
            y = checkpoint(wt.neg, y, use_reentrant=bool(k))
        y.sum().backward()
        assert x.grad.tolist() == [2, 2, 2]

    before = threading.stack_size(512 * 1024)
    try:
        assert in_threads(2, work) == [None] * 2
    finally:
        threading.stack_size(before)


def test_a_leaf_used_a_hundred_thousand_times(wt):
    x = leaf(wt)
    calls = []
    x.register_hook(lambda g: calls.append(1))
    wt.stack([x * 2 for _ in range(100_000)]).sum().backward()
    assert x.grad.tolist() == [200_000] * 3 and calls == [1]


# --- Interruption ---------------------------------------------------------------------------------


def test_interrupted(wt):
    """By the signal itself: in a hook, far inside, and while a long native pass runs."""
    out = script("""
        import os, signal, sys

        def leaf():
            return t.ones(3, requires_grad=True)

        def hook(g):
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(1000):
                pass

        class Nested(t.autograd.Function):
            @staticmethod
            def forward(ctx, x, depth):
                ctx.depth = depth
                return x * 1

            @staticmethod
            def backward(ctx, g):
                if ctx.depth == 0:
                    os.kill(os.getpid(), signal.SIGINT)
                    return g, None
                with t.enable_grad():
                    Nested.apply(leaf(), ctx.depth - 1).sum().backward()
                return g, None

        class Early(t.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 1

            @staticmethod
            def backward(ctx, g):
                signal.setitimer(signal.ITIMER_REAL, 0.01)
                return g

        def hooked():
            x = leaf() * 2
            x.register_hook(hook)
            (x * x).sum().backward()

        def nested():
            Nested.apply(leaf(), 200).sum().backward()

        def native():
            x = leaf()
            y = x
            for _ in range(100_000):
                y = y * x
            Early.apply(y).sum().backward()

        signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
        for case in hooked, nested, native:
            try:
                case()
                for _ in range(100_000):
                    pass
            except KeyboardInterrupt:
                print(case.__name__, end=" ")
            x = leaf()
            (x * x).sum().backward()
            assert x.grad.tolist() == [2, 2, 2] and t.is_grad_enabled()
    """)
    assert out.split() == ["hooked", "nested", "native"]


# --- Fork, and the end ----------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("threads", [1, 3])
def test_fork_after_threads(wt, threads):
    """A child whose parent has used its workers computes on, forward and backward."""
    out = script(f"""
        import os, sys, threading

        t.set_num_threads({threads})

        def work():
            x = t.ones(600, 600, requires_grad=True)
            ((x @ x).exp() * x + x).sum().backward()
            big = t.ones(2_000_000)
            return (big * 2 + big).sum().item()

        others = [threading.Thread(target=work) for _ in range(3)]
        [o.start() for o in others]
        for _ in range(3):
            work()
            child = os.fork()
            if child == 0:
                ok = work() == 6_000_000
                inner = threading.Thread(target=work)
                inner.start()
                inner.join()
                os._exit(0 if ok else 1)
            print(os.waitpid(child, 0)[1], end=" ")
        [o.join() for o in others]
    """)
    assert out.split() == ["0"] * 3


@pytest.mark.parametrize("daemon", [True, False])
def test_the_interpreter_ends(wt, daemon):
    """With live graphs, hooks, contexts, packed values, and threads that still compute."""
    out = script(f"""
        import threading, time

        class Keeps(t.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x, x * 2)
                ctx.x = x
                return x * 2

            @staticmethod
            def backward(ctx, g):
                return g

        x = t.ones(3, requires_grad=True)
        x.register_hook(lambda g: (x, None)[1])
        graph = t.autograd.graph.saved_tensors_hooks(lambda s: [s], lambda p: p[0])
        graph.__enter__()
        y = Keeps.apply(x.exp()) * x
        y.grad_fn.register_hook(lambda gi, go: (y, None)[1])
        y.grad_fn.metadata["y"] = y
        y.me = y
        y.sum().backward(retain_graph=True)
        big = t.ones(300_000)
        local = threading.local()
        local.y = y

        def work(rounds):
            for _ in range(rounds):
                z = t.ones(200, 200, requires_grad=True)
                # A daemon that is ended inside a hook takes the process with it, as in PyTorch:
                # native frames cannot be unwound by the interpreter's end.
                if not {daemon}:
                    z.register_hook(lambda g: time.sleep(0))
                ((z @ z) * z).sum().backward()
                big * 2 + big

        for _ in range(2):
            rounds = 10**9 if {daemon} else 20
            threading.Thread(target=work, args=(rounds,), daemon={daemon}).start()
        time.sleep(0.2)
        print("end")
    """)
    assert out.split() == ["end"]
