"""Methods of `Tensor` where speed does not matter, attached to the class on import."""

from . import _wengert
from ._types import _check_device, device, memory_format
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
    if self.dim() == 0 and spec:
        return format(self.item(), spec)
    return object.__format__(self, spec)


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
    """What a hook's registration returns: `remove()` takes the hook away."""

    def __init__(self, hook):
        self.hook = hook

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


@_attach
def to(self, *args, **kwargs):
    """The tensor in another dtype; itself if nothing changes (unless `copy=True`)."""
    kind = kwargs.pop("dtype", None)
    where = kwargs.pop("device", None)
    copy = kwargs.pop("copy", False)
    kwargs.pop("non_blocking", None)
    kwargs.pop("memory_format", None)
    if kwargs:
        raise TypeError(f"to() got an unexpected keyword argument '{next(iter(kwargs))}'")
    for a in args:
        if isinstance(a, dtype):
            kind = a
        elif isinstance(a, (device, str)):
            where = a
        elif isinstance(a, Tensor):
            kind = a.dtype
        elif not isinstance(a, (bool, memory_format)) and a is not None:
            raise TypeError(
                "to() received an invalid combination of arguments - got "
                f"({', '.join(type(x).__name__ for x in args)}), but expected one of:"
            )
    if where is not None:
        _check_device(where)
    if kind is None or kind == self.dtype:
        return self.clone() if copy else self
    return _wengert._to_dtype(self, kind)


def _conversion(name, kind):
    def convert(self, memory_format=None):
        return self.to(kind)

    convert.__name__ = name
    convert.__doc__ = f"The tensor as {kind!r}."
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
    """The tensor itself: it is on the CPU."""
    return self


def _type(self, dtype=None, non_blocking=False):
    """The name of the tensor's type, or the tensor in another dtype."""
    if dtype is not None:
        return self.to(_TYPES.get(dtype, dtype))
    return _TYPE_NAMES.get(self.dtype, "torch.Tensor")


Tensor.type = _type


_TYPES = {
    "torch.FloatTensor": _wengert.float32,
    "torch.DoubleTensor": _wengert.float64,
    "torch.HalfTensor": _wengert.float16,
    "torch.BFloat16Tensor": _wengert.bfloat16,
    "torch.LongTensor": _wengert.int64,
    "torch.IntTensor": _wengert.int32,
    "torch.ShortTensor": _wengert.int16,
    "torch.CharTensor": _wengert.int8,
    "torch.ByteTensor": _wengert.uint8,
    "torch.BoolTensor": _wengert.bool,
}
_TYPE_NAMES = {kind: name for name, kind in _TYPES.items()}


@_attach
def type_as(self, other):
    """The tensor in the dtype of another."""
    return self.to(other.dtype)


@_attach
def numpy(self, *, force=False):
    """A NumPy array over the same memory.

    Raises RuntimeError if the tensor requires a gradient (unless `force`).
    """
    if self.requires_grad:
        if not force:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() "
                "instead."
            )
        self = self.detach()
    import numpy

    if self.dtype == _wengert.bfloat16:
        raise TypeError("Got unsupported ScalarType BFloat16")
    return numpy.asarray(memoryview(self))


@_attach
def __array__(self, dtype=None, copy=None):
    array = numpy(self)
    if dtype is not None and array.dtype != dtype:
        return array.astype(dtype)
    return array.copy() if copy else array


@_attach
def __array_wrap__(self, array, *context):
    from ._functions import from_numpy, tensor

    return from_numpy(array) if getattr(array, "shape", ()) else tensor(array)


Tensor.__array_priority__ = 1000


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


def _rebuild(cls, data, requires_grad, state):
    t = data if cls is Tensor else _wengert._as_subclass(data, cls, False)
    if requires_grad:
        t.requires_grad_()
    t.__dict__.update(state)
    return t


class _Bytes:
    """The contents of a tensor as pickle stores them."""

    @staticmethod
    def restore(raw, name, shape):
        kind = getattr(_wengert, name)
        if not raw:
            return _wengert.zeros(shape, dtype=kind)
        from ._functions import frombuffer

        return frombuffer(bytearray(raw), dtype=kind).reshape(shape)


@_attach
def __reduce_ex__(self, protocol):
    if not self.is_leaf:
        raise RuntimeError("Tensors that are not leaves cannot be pickled; use detach() first")
    raw = memoryview(self.detach()).tobytes()
    name = repr(self.dtype).removeprefix("torch.")
    data = _Bytes.restore, (raw, name, tuple(self.shape))
    return _unpickle, (self.__class__, data[1], self.requires_grad, dict(self.__dict__))


def _unpickle(cls, args, requires_grad, state):
    return _rebuild(cls, _Bytes.restore(*args), requires_grad, state)


@_attach
def __deepcopy__(self, memo):
    if not self.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
            "protocol at the moment.  If you were attempting to deepcopy a module, this may be "
            "because of a torch.nn.utils.weight_norm usage, see "
            "https://github.com/pytorch/pytorch/pull/103001"
        )
    if id(self) in memo:
        return memo[id(self)]
    import copy

    data = self.detach().clone()
    new = data if self.__class__ is Tensor else _wengert._as_subclass(data, self.__class__, False)
    if self.requires_grad:
        new.requires_grad_()
    if self.grad is not None:
        new.grad = copy.deepcopy(self.grad, memo)
    memo[id(self)] = new
    new.__dict__.update(copy.deepcopy(self.__dict__, memo))
    return new


@_attach
def as_subclass(self, cls):
    """An instance of a subclass over the same memory."""
    return _wengert._as_subclass(self, cls, False)


@staticmethod
def _make_subclass(cls, data, require_grad=False):
    return _wengert._as_subclass(data.detach(), cls, bool(require_grad))


Tensor._make_subclass = _make_subclass


def _legacy_new(cls, args, kwargs):
    """`torch.Tensor(...)`: sizes make an uninitialised tensor, a sequence its values."""
    from ._functions import tensor

    if len(args) == 0:
        data = _wengert.empty(0)
    elif len(args) == 1 and isinstance(args[0], Tensor):
        data = args[0].detach()
    elif len(args) == 1 and not isinstance(args[0], int):
        data = tensor(args[0], dtype=_wengert.get_default_dtype())
    else:
        data = _wengert.empty(*args)
    return data if cls is Tensor else _wengert._as_subclass(data, cls, False)


def as_index(sequence):
    """A sequence in an index, as a tensor of indices or a mask."""
    from ._functions import tensor

    if isinstance(sequence, str):
        raise TypeError("new(): invalid data type 'str'")
    # Lists and arrays are read fast; any other sequence as a list.
    known = isinstance(sequence, (list, tuple)) or hasattr(sequence, "__array__")
    index = tensor(sequence if known else list(sequence))
    return index if index.dtype in (_wengert.bool, _wengert.uint8) else index.long()


def _new(name):
    make = getattr(_wengert, name)

    def new(self, *args, **kwargs):
        kwargs.setdefault("dtype", self.dtype)
        return make(*args, **kwargs)

    new.__name__ = "new_" + name
    new.__doc__ = f"`torch.{name}` with the dtype of this tensor."
    return _attach(new)


for _name in ("zeros", "ones", "empty", "full"):
    _new(_name)


@_attach
def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False):
    """`torch.tensor` with the dtype of this tensor."""
    from ._functions import tensor

    return tensor(data, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


def _random(name, kind, first, second):
    def fill(self, a=first, b=second, *, generator=None):
        _wengert._fill_random(self, kind, float(a), float(b))
        return self

    fill.__name__ = name
    fill.__doc__ = f"Fills the tensor with {kind} random numbers."
    return _attach(fill)


_random("uniform_", "uniform", 0.0, 1.0)
_random("normal_", "normal", 0.0, 1.0)
_random("bernoulli_", "bernoulli", 0.5, 0.0)


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
    """True if both have the same shape."""
    return self.shape == other.shape


@_attach
def is_nonzero(self):
    """The truth of a one-element tensor."""
    return bool(self)


@_attach
def __dir__(self):
    return sorted(set(object.__dir__(self)))


# The names that division had in Python 2, which PyTorch has kept.
Tensor.__div__ = Tensor.__truediv__
Tensor.__idiv__ = Tensor.__itruediv__


@_attach
def __rdiv__(self, other):
    return self.reciprocal().__mul__(other)
