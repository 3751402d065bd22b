"""What the tape knows about itself. This module is not PyTorch's."""

from __future__ import annotations

from typing import NamedTuple

from . import _wengert
from ._wengert import Node, Tensor

__all__ = ["CallSite", "call_site", "record_call_sites"]


class CallSite(NamedTuple):
    """A line of a program."""

    filename: str
    lineno: int | None
    function: str


class record_call_sites:
    """From now on each recorded operation remembers the line that called it; False ends that.

    Also a context manager. Off by default; on, it costs an operation about 40 ns.

    >>> import wengert.inspect
    >>> x = torch.ones(2, requires_grad=True)
    >>> with wengert.inspect.record_call_sites():
    ...     y = x * 3
    >>> wengert.inspect.call_site(y).function
    '<module>'
    """

    _on = False

    def __init__(self, on: bool = True):
        self.before = record_call_sites._on
        self._set(on)

    @staticmethod
    def _set(on: bool):
        record_call_sites._on = bool(on)
        _wengert._record_call_sites(bool(on))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._set(self.before)


def call_site(of: Tensor | Node) -> CallSite | None:
    """The line that recorded a tensor's (or a node's) operation; None if it was not remembered.

    >>> wengert.inspect.call_site(torch.ones(2)) is None
    True
    """
    node = of.grad_fn if isinstance(of, Tensor) else of
    found = _wengert._call_site(node) if node is not None else None
    if found is None:
        return None
    code, instruction = found
    line = None
    for start, end, number in code.co_lines():
        if start <= instruction < end:
            line = number
    return CallSite(code.co_filename, line, code.co_name)
