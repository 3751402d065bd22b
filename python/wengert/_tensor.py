"""Methods of `Tensor` where speed does not matter, attached to the class on import."""

from . import _wengert
from ._types import Size, _check_device, contiguous_format, device
from ._wengert import Tensor, dtype


def _attach(f):
    f.__qualname__ = f"Tensor.{f.__name__}"
    setattr(Tensor, f.__name__, f)
    return f


def _repr(t):
    prefix = "tensor(" if type(t) is Tensor else f"{type(t).__name__}("
    return _wengert._tensor_repr(t, prefix)


@_attach
def __format__(self, spec):
    if self.dim() == 0 and type(self) is Tensor:
        return format(self.item(), spec)
    if spec:
        kind = type(self).__name__
        raise TypeError(f"unsupported format string passed to {kind}.__format__")
    return str(self)


@_attach
def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    """Adds the gradients of this tensor to the `.grad` of the graph's leaves.

    Raises RuntimeError if the tensor is not a scalar and `gradient` is None, or has no history.

    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> (x * x).backward()
    >>> x.grad
    tensor(6.)
    """
    if gradient is None and not retain_graph and not create_graph and inputs is None:
        return _wengert._backward_one(self)
    from .autograd import backward

    return backward(self, gradient, retain_graph, create_graph, inputs=inputs)


class RemovableHandle:
    """What a hook's registration returns: `remove()` takes the hook away.

    >>> x = torch.ones(1, requires_grad=True)
    >>> x.register_hook(print).remove()
    """

    next_id = 0

    def __init__(self, hook):
        self.hook = hook
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1

    def remove(self):
        """Takes the hook away; a second call does nothing."""
        self.hook.remove()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()


@_attach
def register_hook(self, hook):
    """Calls `hook(grad)` whenever the gradient of this tensor is computed; it may replace it.

    Raises RuntimeError if the tensor does not require a gradient.

    >>> x = torch.ones(2, requires_grad=True)
    >>> handle = x.register_hook(lambda grad: grad * 10)
    >>> (x * 3).sum().backward()
    >>> x.grad
    tensor([30., 30.])
    """
    return RemovableHandle(_wengert._register_hook(self, hook))


@_attach
def register_post_accumulate_grad_hook(self, hook):
    """Calls `hook(self)` after the gradient of this leaf was accumulated.

    Raises RuntimeError if the tensor is not a leaf that requires a gradient.

    >>> x = torch.ones(2, requires_grad=True)
    >>> handle = x.register_post_accumulate_grad_hook(lambda leaf: print(leaf.grad))
    >>> (x * 3).sum().backward()
    tensor([3., 3.])
    """
    return RemovableHandle(_wengert._register_post_accumulate_grad_hook(self, hook))


def _to_error(args, kwargs):
    names = ", ".join(type(x).__name__ for x in args)
    if kwargs:
        named = ", ".join(f"{k}={type(v).__name__}" for k, v in kwargs.items())
        names = ", ".join(filter(None, (names, named))) + ", "
    return TypeError(
        f"to() received an invalid combination of arguments - got ({names}), but expected one of:\n"
        " * (torch.device device = None, torch.dtype dtype = None, bool non_blocking = False, "
        "bool copy = False, *, torch.memory_format memory_format = None)\n"
        " * (torch.dtype dtype, bool non_blocking = False, bool copy = False, *, "
        "torch.memory_format memory_format = None)\n"
        " * (Tensor tensor, bool non_blocking = False, bool copy = False, *, "
        "torch.memory_format memory_format = None)\n"
    )


@_attach
def to(self, *args, **kwargs):
    """The tensor in another dtype: `to(dtype)`, `to(other)`, `to(device, dtype)`.

    Itself if nothing changes, unless `copy=True`. Raises TypeError for other arguments.

    >>> torch.tensor([1, 2]).to(torch.float32)
    tensor([1., 2.])
    """
    given = {**kwargs}
    kind, where = given.pop("dtype", None), given.pop("device", None)
    copy, order = given.pop("copy", False), given.pop("memory_format", None)
    flags = [given.pop("non_blocking", False)]
    other = given.pop("other", None)
    if given:
        raise _to_error(args, kwargs)
    rest = list(args)
    if rest and isinstance(rest[0], Tensor):
        other = rest.pop(0)
    elif rest and isinstance(rest[0], dtype):
        kind = rest.pop(0)
    elif rest and isinstance(rest[0], (bool, float)):
        # PyTorch takes a number for a tensor here.
        kind = _wengert.bool if isinstance(rest.pop(0), bool) else _wengert.float64
    elif rest and (rest[0] is None or isinstance(rest[0], (device, str))):
        where = rest.pop(0)
        if rest and (rest[0] is None or isinstance(rest[0], dtype)):
            kind = rest.pop(0)
    if len(rest) > 2 or not all(isinstance(flag, bool) for flag in [*rest, *flags, copy]):
        raise _to_error(args, kwargs)
    if len(rest) == 2:
        copy = rest[1]
    if other is not None:
        kind = other.dtype
    if kind is not None and not isinstance(kind, dtype):
        raise _to_error(args, kwargs)
    if where is not None:
        _check_device(where)
    new = self
    if kind is not None and kind != self.dtype:
        new = _wengert._to_dtype(self, kind)
    elif copy:
        new = self.clone()
    return new.contiguous() if order is contiguous_format else new


def _conversion(name, kind):
    def convert(self, memory_format=None):
        return self.to(kind, memory_format=memory_format)

    convert.__name__ = name
    convert.__doc__ = (
        f"The tensor as {kind!r}; itself if it is that already.\n\n"
        f">>> torch.tensor([0, 1]).{name}().dtype\n{kind!r}"
    )
    return _attach(convert)


for _name, _kind in {
    "float": _wengert.float32,
    "double": _wengert.float64,
    "half": _wengert.float16,
    "bfloat16": _wengert.bfloat16,
    "long": _wengert.int64,
    "int": _wengert.int32,
    "short": _wengert.int16,
    "char": _wengert.int8,
    "byte": _wengert.uint8,
    "bool": _wengert.bool,
}.items():
    _conversion(_name, _kind)


@_attach
def cpu(self, memory_format=None):
    """The tensor itself: it is on the CPU.

    >>> torch.ones(2).cpu()
    tensor([1., 1.])
    """
    return self


@_attach
def cuda(self, device=None, non_blocking=False, memory_format=None):
    """Raises AssertionError: there is no GPU.

    >>> torch.ones(2).cuda()
    Traceback (most recent call last):
    AssertionError: Torch not compiled with CUDA enabled
    """
    raise AssertionError("Torch not compiled with CUDA enabled")


@_attach
def get_device(self):
    """The number of the tensor's GPU; -1 on the CPU.

    >>> torch.ones(2).get_device()
    -1
    """
    return -1


def _type(self, dtype=None, non_blocking=False):
    """The name of the tensor's type, or the tensor in another dtype.

    Raises ValueError for a name that is no type's.

    >>> torch.ones(2).type()
    'torch.FloatTensor'
    >>> torch.ones(2).type(torch.int64)
    tensor([1, 1])
    """
    if dtype is None:
        return "torch." + TYPE_NAMES[self.dtype]
    if isinstance(dtype, str):
        kinds = {"torch." + name: kind for kind, name in TYPE_NAMES.items()}
        if dtype not in kinds:
            raise ValueError(f"invalid type: '{dtype}'")
        dtype = kinds[dtype]
    return self.to(getattr(dtype, "dtype", dtype))


_type.__name__ = "type"
_attach(_type)

TYPE_NAMES = {
    _wengert.float32: "FloatTensor",
    _wengert.float64: "DoubleTensor",
    _wengert.float16: "HalfTensor",
    _wengert.bfloat16: "BFloat16Tensor",
    _wengert.int64: "LongTensor",
    _wengert.int32: "IntTensor",
    _wengert.int16: "ShortTensor",
    _wengert.int8: "CharTensor",
    _wengert.uint8: "ByteTensor",
    _wengert.bool: "BoolTensor",
    _wengert.uint16: "UInt16Tensor",
    _wengert.uint32: "UInt32Tensor",
    _wengert.uint64: "UInt64Tensor",
}


@_attach
def resize_(self, *size, memory_format=None):
    """Changes the shape in place; new elements are uninitialised.

    Raises RuntimeError if the tensor requires a gradient.

    >>> torch.ones(4).resize_(2, 2)
    tensor([[1., 1.],
            [1., 1.]])
    """
    if not size:
        raise TypeError('resize_() missing 1 required positional arguments: "size"')
    size = size[0] if len(size) == 1 and not hasattr(size[0], "__index__") else size
    if not isinstance(size, (tuple, list)):
        got = type(size).__name__
        raise TypeError(f"resize_(): argument 'size' (position 1) must be tuple of ints, not {got}")
    if any(n < 0 for n in size):
        raise RuntimeError("numel: integer multiplication overflow")
    _wengert._resize(self, list(size))
    return self


@_attach
def resize_as_(self, the_template, *, memory_format=None):
    """Changes the shape in place to that of another tensor.

    Raises RuntimeError if the tensor requires a gradient.

    >>> torch.ones(4).resize_as_(torch.zeros(2, 2)).shape
    torch.Size([2, 2])
    """
    return self.resize_(the_template.shape)


@_attach
def set_(self, source=None, storage_offset=0, size=None, stride=None):
    """Takes over the memory and the layout of another tensor; without one, becomes empty.

    Raises RuntimeError for another dtype.

    >>> torch.zeros(1).set_(torch.arange(3.0))
    tensor([0., 1., 2.])
    """
    if source is None:
        source = _wengert.empty(0, dtype=self.dtype)
    if size is not None:
        source = source.detach().as_strided(size, stride or _rows(size), storage_offset)
    _wengert._set(self, source)
    return self


def _rows(size):
    strides = [1]
    for n in reversed(size[1:]):
        strides.append(strides[-1] * max(n, 1))
    return strides[::-1]


@_attach
def type_as(self, other):
    """The tensor in the dtype of another.

    >>> torch.tensor([1, 2]).type_as(torch.ones(1))
    tensor([1., 2.])
    """
    return self.to(other.dtype)


@_attach
def numpy(self, *, force=False):
    """A NumPy array over the same memory.

    Raises RuntimeError if the tensor requires a gradient (unless `force`), TypeError for bfloat16.

    >>> torch.tensor([1.0, 2.0]).numpy()
    array([1., 2.], dtype=float32)
    """
    if self.requires_grad:
        if not force:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() "
                "instead."
            )
    import numpy

    if self.dtype == _wengert.bfloat16:
        raise TypeError("Got unsupported ScalarType BFloat16")
    # Not this object itself, which may have the array for an attribute: arrays hide cycles.
    return numpy.asarray(memoryview(self.detach()))


@_attach
def __array__(self, dtype=None, copy=None):
    array = numpy(self)
    if dtype is not None and array.dtype != dtype:
        return array.astype(dtype)
    return array.copy() if copy else array


@_attach
def __array_wrap__(self, array, *context):
    from ._creation import from_numpy

    return from_numpy(array) if getattr(array, "shape", ()) else _wengert.tensor(array)


Tensor.__array_priority__ = 1000  # type: ignore


@_attach
def __contains__(self, element):
    if not isinstance(element, (Tensor, int, float, bool)):
        raise RuntimeError(
            "Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
            f"{element.__class__}."
        )
    return bool((self == element).any().item())


@_attach
def __reversed__(self):
    return self if self.dim() == 0 else self[::-1].clone()


@_attach
def as_subclass(self, cls):
    """An instance of a subclass over the same memory.

    >>> class Named(torch.Tensor): pass
    >>> type(torch.ones(1).as_subclass(Named)).__name__
    'Named'
    """
    return _wengert._as_subclass(self, cls, False)


@staticmethod
def _make_subclass(cls, data, require_grad=False):
    return _wengert._as_subclass(data.detach(), cls, bool(require_grad))


Tensor._make_subclass = _make_subclass


def _legacy_new(cls, args, kwargs, kind=None):
    """`torch.Tensor(...)`: sizes make an uninitialised tensor, a sequence its values."""
    legacy = kind is not None
    kind = kind or _wengert.get_default_dtype()
    args = list(args)
    if kwargs:
        for name in ("data", "size"):
            if name in kwargs:
                args.append(kwargs[name])
        _check_device(kwargs.get("device"))
    first = args[0] if args else None
    if not args:
        data = _wengert.empty(0, dtype=kind)
    elif len(args) == 1 and isinstance(first, Tensor):
        if cls is Tensor and legacy and first.dtype != kind:
            raise TypeError(
                f"expected {TYPE_NAMES[kind].removesuffix('Tensor')} (got "
                f"{TYPE_NAMES[first.dtype].removesuffix('Tensor')})"
            )
        data = first.detach()
    elif len(args) == 1 and not isinstance(first, (int, Size)):
        if isinstance(first, float) or first is None:
            raise TypeError(f"new(): data must be a sequence (got {type(first).__name__})")
        data = _wengert.tensor(first, dtype=kind)
    else:
        data = _wengert.empty(*args, dtype=kind)
    return data if cls is Tensor else _wengert._as_subclass(data, cls, False)


def as_index(sequence):
    """A sequence in an index, as a tensor of indices or a mask."""
    if isinstance(sequence, str):
        raise TypeError("new(): invalid data type 'str'")
    # Lists and arrays are read fast; any other sequence as a list.
    known = isinstance(sequence, (list, tuple)) or hasattr(sequence, "__array__")
    index = _wengert.tensor(sequence if known else list(sequence))
    return index if index.dtype in (_wengert.bool, _wengert.uint8) else index.long()


def _new(name, example):
    make = getattr(_wengert, name)

    def new(self, *args, **kwargs):
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = self.dtype
        return _wengert._vmap_fresh(make(*args, **kwargs), self)

    new.__name__ = "new_" + name
    new.__doc__ = f"`torch.{name}` with the dtype of this tensor.\n\n{example}"
    return _attach(new)


for _name, _example in {
    "zeros": ">>> torch.ones(1).new_zeros(2)\ntensor([0., 0.])",
    "ones": ">>> torch.ones(1).new_ones(2)\ntensor([1., 1.])",
    "empty": ">>> torch.ones(1).new_empty(2).shape\ntorch.Size([2])",
    "full": ">>> torch.ones(1).new_full((2,), 3)\ntensor([3., 3.])",
    "empty_strided": ">>> torch.ones(1).new_empty_strided((2, 3), (1, 2)).stride()\n(1, 2)",
}.items():
    _new(_name, _example)


@_attach
def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False, pin_memory=False):
    """`torch.tensor` with the dtype of this tensor.

    >>> torch.ones(1).new_tensor([1, 2])
    tensor([1., 2.])
    """
    kind = self.dtype if dtype is None else dtype
    return _wengert.tensor(data, dtype=kind, device=device, requires_grad=requires_grad)


@_attach
def new(self, *args, **kwargs):
    """`torch.Tensor(...)` with the dtype of this tensor.

    >>> torch.ones(1).new([1, 2])
    tensor([1., 2.])
    """
    return _legacy_new(Tensor, args, kwargs, self.dtype)


@_attach
def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
    if self.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    return numpy(self).__dlpack__()


@_attach
def __dlpack_device__(self):
    return (1, 0)


@_attach
def is_same_size(self, other):
    """True if both have the same shape.

    >>> torch.ones(2).is_same_size(torch.zeros(2))
    True
    """
    return self.shape == other.shape


@_attach
def is_nonzero(self):
    """The truth of a one-element tensor. Raises RuntimeError for other sizes.

    >>> torch.tensor([2.0]).is_nonzero()
    True
    """
    from ._functions import is_nonzero

    return is_nonzero(self)


@_attach
def __complex__(self):
    return complex(float(self))


@_attach
def dim_order(self):
    """The dimensions from the one with the largest step to the one with the smallest.

    >>> torch.ones(2, 3).t().dim_order()
    (1, 0)
    """
    return tuple(sorted(range(self.dim()), key=lambda d: -self.stride(d)))


@_attach
def __dir__(self):
    return sorted(set(object.__dir__(self)))


# The names that division had in Python 2, which PyTorch has kept.
Tensor.__div__ = Tensor.__truediv__  # type: ignore
Tensor.__idiv__ = Tensor.__itruediv__  # type: ignore


@_attach
def __rdiv__(self, other):
    return self.reciprocal().__mul__(other)
