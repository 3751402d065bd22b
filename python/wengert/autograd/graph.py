"""The recorded graph (`torch.autograd.graph`): nodes, edges, hooks, saved tensors."""

import contextlib
import functools
from typing import NamedTuple as _NamedTuple

from .. import _wengert
from .._tensor import RemovableHandle
from .._wengert import Node, Tensor

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
    "set_warn_on_accumulate_grad_stream_mismatch",
]


class GradientEdge(_NamedTuple):
    """Where a gradient goes: an output of a node.

    >>> x = torch.ones(1, requires_grad=True)
    >>> torch.autograd.graph.GradientEdge((x * 2).grad_fn, 0).output_nr
    0
    """

    node: Node
    output_nr: int
    ownership_token: Node | None = None


def get_gradient_edge(tensor):
    """Where the gradient of `tensor` goes.

    Raises RuntimeError if it does not require a gradient.

    >>> x = torch.ones(1, requires_grad=True)
    >>> torch.autograd.graph.get_gradient_edge(x * 2).output_nr
    0
    """
    if not tensor.requires_grad:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require "
            "gradients"
        )
    return GradientEdge(*_wengert._gradient_edge(tensor))


def increment_version(tensor):
    """Counts a write to a tensor, or to each of several.

    >>> x = torch.ones(1)
    >>> torch.autograd.graph.increment_version(x)
    >>> x._version
    1
    """
    if isinstance(tensor, Tensor):
        tensor = [tensor]
    elif not hasattr(tensor, "__iter__"):
        raise RuntimeError("increment_version expect a Iterable[Tensor] as input")
    tensors = list(tensor)
    if not all(isinstance(t, Tensor) for t in tensors):
        raise RuntimeError("increment_version expects each element of the iterable to be a tensor")
    _wengert._increment_version(tensors)


def set_warn_on_accumulate_grad_stream_mismatch(enabled):
    """Does nothing: there are no streams.

    >>> torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
    """


class _Metadata(_NamedTuple):
    shape: tuple
    dtype: object
    device: object


def _metadata(facts):
    from .._types import Size, device

    return tuple(_Metadata(Size(shape), kind, device("cpu")) for shape, kind in facts)


class saved_tensors_hooks:
    """Tensors that a node saves pass through `pack_hook`, and back through `unpack_hook`.

    >>> x = torch.ones(2, requires_grad=True)
    >>> def pack(t):
    ...     print("saved", t.tolist())
    ...     return t.numpy(force=True)
    >>> with torch.autograd.graph.saved_tensors_hooks(pack, torch.tensor):
    ...     y = x.exp()
    saved [2.7182817459106445, 2.7182817459106445]
    """

    def __init__(self, pack_hook, unpack_hook):
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self):
        _wengert._push_saved_tensors_hooks(self.pack_hook, self.unpack_hook)

    def __exit__(self, *exc):
        _wengert._pop_saved_tensors_hooks()


class save_on_cpu(saved_tensors_hooks):
    """Keeps saved tensors in the memory of the CPU, where all tensors are.

    >>> x = torch.ones(1, requires_grad=True)
    >>> with torch.autograd.graph.save_on_cpu():
    ...     (x * x).backward()
    >>> x.grad
    tensor([2.])
    """

    def __init__(self, pin_memory=False, device_type="cuda"):
        super().__init__(lambda t: (t.device, t.cpu()), lambda packed: packed[1].to(packed[0]))


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message):
    """Makes `saved_tensors_hooks` raise RuntimeError with this message.

    >>> with torch.autograd.graph.disable_saved_tensors_hooks("not here"):
    ...     with torch.autograd.graph.save_on_cpu():
    ...         pass
    Traceback (most recent call last):
    RuntimeError: not here
    """
    before = _wengert._disable_saved_tensors_hooks(error_message)
    try:
        yield
    finally:
        _wengert._disable_saved_tensors_hooks(before)


@contextlib.contextmanager
def allow_mutation_on_saved_tensors():
    """Saved tensors may be written to: backward uses the values they had.

    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.autograd.graph.allow_mutation_on_saved_tensors():
    ...     y = x.clone()
    ...     z = y * y
    ...     _ = y.add_(1)
    ...     z.sum().backward()
    >>> x.grad
    tensor([2., 2.])
    """
    values = _wengert._Preserve()
    try:
        yield values
    finally:
        values.close()


class _MultiHandle(RemovableHandle):
    """Takes several hooks away at once."""

    def __init__(self, handles):
        super().__init__(None)
        self.handles = tuple(handles)

    def remove(self):
        """Takes the hooks away; a second call does nothing."""
        for handle in self.handles:
            handle.remove()


def register_multi_grad_hook(tensors, fn, *, mode="all"):
    """Calls `fn` once per backward pass with the gradients of `tensors`.

    `mode="all"`: with a list, when the last of those that the pass reaches is there (None for the
    others); `mode="any"`: with the first gradient.

    >>> a, b = (torch.ones(1, requires_grad=True) for _ in range(2))
    >>> handle = torch.autograd.graph.register_multi_grad_hook([a, b], print)
    >>> (a + 2 * b).backward()
    [tensor([1.]), tensor([2.])]
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    tensors = tuple(tensors)
    hook = _all(tensors, fn) if mode == "all" else _any(fn)
    return _MultiHandle(t.register_hook(functools.partial(hook, i)) for i, t in enumerate(tensors))


def _all(tensors, fn):
    edges = [get_gradient_edge(t) for t in tensors]
    # Per running pass: how many gradients are still to come, and those that came.
    passes = {}

    def hook(i, grad):
        key = _wengert._current_pass()
        if key not in passes:
            passes[key] = [sum(_wengert._will_run(edges)), [None] * len(edges)]
            # A gradient on the way may turn out to be undefined: then nothing is called.
            _wengert._queue_callback(lambda: passes.pop(key, None))
        waiting = passes[key]
        waiting[0] -= 1
        waiting[1][i] = grad
        if waiting[0] <= 0:
            fn(waiting[1])

    return hook


def _any(fn):
    last = []

    def hook(_, grad):
        key = _wengert._current_pass()
        if last != [key]:
            last[:] = [key]
            fn(grad)

    return hook


class set_multithreading_enabled:
    """Accepted for PyTorch's sake: a pass runs in the thread that asked for it.

    >>> with torch.autograd.set_multithreading_enabled(False):
    ...     pass
    """

    _enabled = True

    def __init__(self, mode):
        self.before = set_multithreading_enabled._enabled
        set_multithreading_enabled._enabled = bool(mode)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        set_multithreading_enabled._enabled = self.before
