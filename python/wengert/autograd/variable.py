"""The old name of a tensor that can require gradients (`torch.autograd.variable`)."""

import warnings

from .. import _wengert
from .._wengert import Tensor

__all__ = ["Variable"]


class _Engine:
    """What `Variable._execution_engine` is asked for."""

    @staticmethod
    def queue_callback(callback):
        """Calls `callback` when the running backward pass ends."""
        _wengert._queue_callback(callback)

    @staticmethod
    def is_checkpoint_valid():
        """False while a pass runs that computes the gradients of some inputs only."""
        return not _wengert._inputs_given()


class _VariableMeta(type):
    def __instancecheck__(cls, other):
        return isinstance(other, Tensor)


class Variable(metaclass=_VariableMeta):
    """The old name of a tensor that can require gradients; gives a plain tensor.

    >>> torch.autograd.Variable(torch.ones(1), requires_grad=True)
    tensor([1.], requires_grad=True)
    """

    _execution_engine = _Engine()

    def __new__(cls, data=None, requires_grad=False, volatile=None):
        if data is None:
            data = _wengert.empty(0)
        if volatile:
            warnings.warn(
                "volatile was removed and now has no effect. Use `with torch.no_grad():` instead.",
                stacklevel=2,
            )
            if requires_grad:
                raise ValueError("Variable can't be volatile and require_grad at the same time!")
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        if requires_grad and not (data.is_floating_point() or data.is_complex()):
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients"
            )
        return _wengert._requiring(data.detach()) if requires_grad else data.detach()
