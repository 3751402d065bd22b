"""What the tape knows about itself. This module is not PyTorch's."""

from __future__ import annotations

from typing import NamedTuple

from . import _wengert
from ._wengert import Node, Tensor

__all__ = ["CallSite", "call_site", "freed_at", "record_call_sites", "written_at"]


class CallSite(NamedTuple):
    """A line of a program."""

    filename: str
    lineno: int | None
    function: str


class record_call_sites:
    """From now on operations, writes and backward passes remember the line that called them; False
    ends that.

    Errors about saved tensors then say where these were written to or freed. Also a context
    manager. Off by default; on, it costs an operation about 50 ns.

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
    return _ask(_wengert._call_site, of)


def freed_at(of: Tensor | Node) -> CallSite | None:
    """The line of the backward call that freed what a tensor's node saved; None if nothing did.

    >>> x = torch.ones(2, requires_grad=True)
    >>> y = x.exp()
    >>> with wengert.inspect.record_call_sites():
    ...     y.sum().backward()
    >>> wengert.inspect.freed_at(y).lineno
    2
    """
    return _ask(_wengert._freed_site, of)


def written_at(of: Tensor | Node) -> CallSite | None:
    """The line that wrote to a tensor which a tensor's node had saved; None if none did.

    The latest 16,384 writes are remembered.

    >>> x = torch.ones(2, requires_grad=True)
    >>> y = x.exp()
    >>> with wengert.inspect.record_call_sites():
    ...     _ = y.mul_(2)
    >>> wengert.inspect.written_at(y.grad_fn.next_functions[0][0]).lineno
    2
    """
    return _ask(_wengert._write_site, of)


def _ask(question, of):
    node = of.grad_fn if isinstance(of, Tensor) else of
    found = question(node) if node is not None else None
    return None if found is None else _site(*found)


def _site(code, instruction):
    line = None
    for start, end, number in code.co_lines():
        if start <= instruction < end:
            line = number
    return CallSite(code.co_filename, line, code.co_name)


def _place(code, instruction):
    site = _site(code, instruction)
    return f"{site.filename}:{site.lineno}"
