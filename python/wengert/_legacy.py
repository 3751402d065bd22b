"""`torch.FloatTensor` and the others: names of (type, dtype) pairs from before dtypes."""

from __future__ import annotations

from . import _tensor
from ._wengert import Tensor


class _TensorType(type):
    """A class whose instances are the tensors of one dtype."""

    dtype: object

    def __instancecheck__(cls, obj) -> bool:
        return isinstance(obj, Tensor) and obj.dtype == cls.dtype

    def __call__(cls, *args, **kwargs):
        return _tensor._legacy_new(Tensor, args, kwargs, cls.dtype)


def _make(name: str, dtype) -> _TensorType:
    doc = f"""Tensors of {dtype!r}; calling it makes one, from sizes or from a sequence.

    >>> torch.{name}([0, 1]).dtype
    {dtype!r}
    """
    body = {"__doc__": doc, "__module__": "torch", "dtype": dtype, "is_cuda": False}
    return _TensorType(name, (), body)


_types: dict = {}


def find(name: str) -> _TensorType | None:
    """The type of a name, or None."""
    if not _types:
        _types.update({n: _make(n, d) for d, n in _tensor.TYPE_NAMES.items()})
    return _types.get(name)
