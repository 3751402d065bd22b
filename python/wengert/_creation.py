"""Tensors from what other libraries, or Python, hold."""

from __future__ import annotations

from . import _wengert
from ._types import _check_device
from ._wengert import Tensor

__all__ = [
    "as_tensor",
    "asarray",
    "from_dlpack",
    "from_numpy",
    "frombuffer",
    "meshgrid",
    "range",
]


def as_tensor(*args, **kwargs) -> Tensor:
    """`data` as a tensor: itself if it is one of that dtype, over the memory of a NumPy array,
    else a copy as `torch.tensor` makes it.

    >>> torch.as_tensor([1, 2])
    tensor([1, 2])
    """
    if not args and "data" not in kwargs:
        raise TypeError('as_tensor() missing 1 required positional arguments: "data"')
    return _as_tensor(*args, **kwargs)


def _as_tensor(data, dtype=None, device=None) -> Tensor:
    _check_device(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    if type(data).__name__ == "ndarray" and type(data).__module__ == "numpy":
        t, _ = _wengert._from_buffer(data)
        return t if dtype is None else t.to(dtype)
    return _wengert._copied(data, dtype)


def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False) -> Tensor:
    """`obj` as a tensor, over the same memory if it is a tensor, an array or a buffer.

    `copy=True` forces a copy, `copy=False` forbids one. Raises ValueError if one is needed then.

    >>> torch.asarray(bytearray(b"ab"), dtype=torch.uint8)
    tensor([97, 98], dtype=torch.uint8)
    """
    _check_device(device)
    shares = isinstance(obj, Tensor) or hasattr(obj, "__dlpack__")
    if shares:
        t = obj if isinstance(obj, Tensor) else _as_tensor(obj)
    elif isinstance(obj, (bytes, bytearray, memoryview)):
        shares, t = True, frombuffer(obj, dtype=dtype or _wengert.get_default_dtype())
    else:
        t = _wengert._copied(obj, dtype)
    if copy is False and (not shares or (dtype is not None and dtype != t.dtype)):
        if not shares:
            raise ValueError("can't alias arbitrary sequence into a tensor.")
        raise ValueError(f"can't alias tensor with dtype '{t.dtype}' into dtype '{dtype}'.")
    if dtype is not None and dtype != t.dtype:
        t = t.to(dtype)
    elif copy and shares:
        t = t.clone()
    if requires_grad and not t.requires_grad:
        return _wengert._requiring(t.detach())
    return t if requires_grad or not t.requires_grad or isinstance(obj, Tensor) else t.detach()


def from_numpy(ndarray) -> Tensor:
    """A tensor over the memory of a NumPy array: writes to either are seen by both.

    Raises TypeError for other objects and for dtypes PyTorch does not know.

    >>> import numpy
    >>> torch.from_numpy(numpy.array([1, 2]))
    tensor([1, 2])
    """
    kinds = type(ndarray).__mro__
    if not any(kind.__name__ == "ndarray" and kind.__module__ == "numpy" for kind in kinds):
        kind = type(ndarray)
        name = kind.__name__ if kind.__module__ == "builtins" else _full_name(kind)
        raise TypeError(f"expected np.ndarray (got {name})")
    t, writable = _wengert._from_buffer(ndarray)
    if not writable:
        import warnings

        warnings.warn(
            "The given NumPy array is not writable, and PyTorch does not support non-writable "
            "tensors. This means writing to this tensor will result in undefined behavior. You may "
            "want to copy the array to protect its data or make it writable before converting it "
            "to a tensor.",
            stacklevel=2,
        )
    return t


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False) -> Tensor:
    """A one-dimensional tensor over the memory of an object that has a buffer.

    `count` elements (all, if it is -1) from byte `offset` on. Raises ValueError where the buffer
    does not hold them.

    >>> torch.frombuffer(bytearray(b"abcd"), dtype=torch.int16)
    tensor([25185, 25699], dtype=torch.int16)
    """
    try:
        view = memoryview(buffer).cast("B")
    except TypeError:
        raise ValueError("object does not implement Python buffer protocol.") from None
    size, total = dtype.itemsize, len(view)
    if total == 0 or count == 0:
        raise ValueError(f"both buffer length ({total}) and count ({count}) must not be 0")
    if not 0 <= offset < total:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length "
            f"({total} bytes) minus 1"
        )
    if count < 0:
        if (total - offset) % size:
            raise ValueError(
                f"buffer length ({total - offset} bytes) after offset ({offset} bytes) must be "
                f"a multiple of element size ({size})"
            )
        count = (total - offset) // size
    if offset + count * size > total:
        raise ValueError(
            f"requested buffer length ({count} * {size} bytes) after offset ({offset} bytes) must "
            f"not be greater than actual buffer length ({total} bytes)"
        )
    raw, _ = _wengert._from_buffer(view[offset : offset + count * size])
    t = _wengert._over_storage(raw, dtype, 0, (count,), (1,))
    return _wengert._requiring(t) if requires_grad else t


def from_dlpack(ext_tensor) -> Tensor:
    """A tensor over memory that another library hands over by DLPack, without a copy.

    Raises TypeError for an object that hands over nothing.

    >>> torch.from_dlpack(torch.ones(2))
    tensor([1., 1.])
    """
    import numpy

    if not hasattr(ext_tensor, "__dlpack__"):
        ext_tensor = _Capsule(ext_tensor)
    t, _ = _wengert._from_buffer(numpy.from_dlpack(ext_tensor))
    return t


class _Capsule:
    """A bare DLPack capsule as an object that hands it over, once."""

    def __init__(self, capsule):
        if type(capsule).__name__ != "PyCapsule":
            raise TypeError(f"expected a DLPack capsule, got {type(capsule).__name__}")
        self.capsule = capsule

    def __dlpack__(self, **options):
        return self.capsule

    def __dlpack_device__(self):
        return (1, 0)


def meshgrid(*tensors, indexing: str | None = None) -> tuple[Tensor, ...]:
    """The coordinates of a grid: of each vector a view in which only its own dimension varies.

    With `indexing="xy"` the first two dimensions are exchanged. Raises RuntimeError for tensors of
    different dtypes or more than one dimension.

    >>> x, y = torch.meshgrid(torch.tensor([1, 2]), torch.tensor([3, 4]), indexing="ij")
    >>> x
    tensor([[1, 1],
            [2, 2]])
    """
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    if not tensors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if any(t.dtype != tensors[0].dtype for t in tensors):
        raise RuntimeError("meshgrid expects all tensors to have the same dtype")
    for t in tensors:
        if t.dim() > 1:
            raise RuntimeError(
                "torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: "
                f"{_wengert._tensor_str(t, 0)}"
            )
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    swap = indexing == "xy" and len(tensors) > 1
    order = list(tensors)
    if swap:
        order[:2] = order[1::-1]
    shape = tuple(t.numel() for t in order)
    ones = (1,) * len(shape)
    alone = [(*ones[:i], -1, *ones[i + 1 :]) for i, _ in enumerate(order)]
    grids = [t.view(one).expand(shape) for t, one in zip(order, alone)]
    if swap:
        grids[:2] = grids[1::-1]
    return tuple(grids)


def range(start, end=None, step=1, *, dtype=None, requires_grad=False, **options) -> Tensor:
    """As `arange`, with `end` included and a floating dtype. Deprecated.

    >>> torch.range(0, 2)
    tensor([0., 1., 2.])
    """
    if end is None:
        start, end = 0, start
    import warnings

    warnings.warn(
        "torch.range is deprecated and will be removed in a future release because its behavior is "
        "inconsistent with Python's range builtin. Instead, use torch.arange, which produces "
        "values in [start, end).",
        stacklevel=2,
    )
    kind = _wengert.get_default_dtype() if dtype is None else dtype
    count = int((end - start) / step) + 1
    t = _wengert.arange(count, dtype=_wengert.float64) * step + start
    t = t.to(kind)
    return _wengert._requiring(t) if requires_grad else t
