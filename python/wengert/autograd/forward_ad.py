"""Forward mode: tensors that carry a tangent through the operations they meet."""

from typing import NamedTuple

from .. import _wengert
from .._wengert import Tensor
from .grad_mode import _Mode

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]

# The levels that this module opened; `torch.func.jvp` opens its own above them.
_open = []


def enter_dual_level():
    """Opens the forward-mode level; returns its number.

    Raises RuntimeError if it is open already.
    """
    if _open:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    _open.append(_wengert._enter_dual_level())
    return _open[-1]


def exit_dual_level(*, level=None):
    """Closes the level: the tangents made in it are gone.

    Raises RuntimeError if `level` is not the open one.
    """
    if level is None and not _open:
        raise RuntimeError("Dual level must be a positive number.")
    if not _open or level not in (None, _open[-1]):
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This is "
            "not supported."
        )
    _wengert._exit_dual_level(_open.pop())


def make_dual(tensor, tangent, *, level=None):
    """A view of `tensor` that carries `tangent`; differentiable in both.

    Raises RuntimeError outside a level and for a tangent of another shape, ValueError for
    tensors that are not floating.

    >>> import wengert.autograd.forward_ad as fwAD
    >>> with fwAD.dual_level():
    ...     x = fwAD.make_dual(torch.tensor(3.0), torch.tensor(1.0))
    ...     fwAD.unpack_dual(x * x).tangent
    tensor(6.)
    """
    level = (_open[-1] if _open else -1) if level is None else level
    if level < 0:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to "
            "enter_dual_level() first."
        )
    check_floating(tensor, tangent)
    return _wengert._make_dual(tensor, tangent, level)


def check_floating(primal, tangent):
    """Fails for tensors that cannot be dual."""
    for what, t in (("primal", primal), ("tangent", tangent)):
        if not (t.is_floating_point() or t.is_complex()):
            raise ValueError(f"Expected {what} to be floating point or complex, but got: {t.dtype}")


class UnpackedDualTensor(NamedTuple):
    """What `unpack_dual` returns: a tensor without its tangent, and the tangent or None."""

    primal: Tensor
    tangent: Tensor | None


def unpack_dual(tensor, *, level=None):
    """The tensor without its tangent, and the tangent, which is None if it carries none."""
    level = (_open[-1] if _open else -1) if level is None else level
    if level < 0:
        return UnpackedDualTensor(tensor, None)
    return UnpackedDualTensor(*_wengert._unpack_dual(tensor, level))


class dual_level(_Mode):
    """The forward-mode level as a context: tangents live inside it only."""

    def __enter__(self):
        return enter_dual_level()

    def __exit__(self, *exc):
        exit_dual_level()
