"""Small types: `Size`, `device`, layouts, numeric limits."""

import math


class Size(tuple):
    """The sizes of a tensor's dimensions: a tuple of ints.

    >>> torch.Size([2, 3])
    torch.Size([2, 3])
    """

    __slots__ = ()

    def __new__(cls, items=()):
        self = tuple.__new__(cls, items)
        for i, item in enumerate(self):
            if not hasattr(item, "__index__"):
                raise TypeError(
                    f"torch.Size() takes an iterable of 'int' (item {i} is '{_name(item)}')"
                )
        return self

    def __repr__(self):
        return f"torch.Size([{', '.join(map(repr, self))}])"

    def numel(self):
        """The number of elements of a tensor of this size."""
        return math.prod(self)

    def __getitem__(self, index):
        item = tuple.__getitem__(self, index)
        return Size(item) if isinstance(index, slice) else item

    def __add__(self, other):
        if not isinstance(other, tuple):
            return NotImplemented
        return Size(tuple.__add__(self, other))

    def __radd__(self, other):
        if not isinstance(other, tuple):
            return NotImplemented
        return Size(tuple.__add__(other, self))

    def __mul__(self, count):
        return Size(tuple.__mul__(self, count))

    __rmul__ = __mul__

    def __reduce__(self):
        return _size, (tuple(self),)


Size.__module__ = "torch"


# What pickle calls by name: our classes go by the names of PyTorch's.
def _size(items):
    return Size(items)


def _device(name):
    return device(name)


def _dtype(name):
    from . import _wengert

    return getattr(_wengert, name)


class device:
    """Where a tensor lives; only the CPU for now.

    >>> torch.device("cpu")
    device(type='cpu')
    """

    __slots__ = ("index", "type")

    def __init__(self, type, index=None):
        if isinstance(type, device):
            type, index = type.type, type.index
        if isinstance(type, int):
            raise RuntimeError("Cannot access accelerator device when none is available.")
        if not isinstance(type, str):
            raise TypeError(f"device(): argument 'type' must be str, not {_name(type)}")
        kind, colon, number = type.partition(":")
        if not kind.isalpha() or (colon and not number.isdigit()):
            raise RuntimeError(f"Invalid device string: '{type}'")
        if kind not in _KINDS:
            raise RuntimeError(
                f"Expected one of {', '.join(_KINDS)} device type at start of device string: {kind}"
            )
        if number:
            index = int(number)
        self.type, self.index = kind, index

    def __repr__(self):
        tail = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{tail})"

    def __str__(self):
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other):
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self):
        return hash((self.type, self.index))

    def __reduce__(self):
        return _device, (str(self),)


device.__module__ = "torch"
_KINDS = (
    "cpu", "cuda", "ipu", "xpu", "mkldnn", "opengl", "opencl", "ideep", "hip", "ve", "fpga",
    "maia", "xla", "lazy", "vulkan", "mps", "meta", "hpu", "mtia", "privateuseone",
)  # fmt: skip
_CPU = device("cpu")


def _name(obj):
    return type(obj).__name__


def _cpu():
    return _CPU


def _check_device(d):
    """Raises what PyTorch raises for a device that is not there."""
    if d is None:
        return
    d = device(d)
    if d.type == "cuda":
        raise AssertionError("Torch not compiled with CUDA enabled")
    if d.type != "cpu":
        raise NotImplementedError(f"tensors on device '{d}' are not supported")


def _check_layout(kind):
    """Raises for a layout that is not there."""
    if kind is not None and kind is not strided:
        raise NotImplementedError(f"tensors of layout {kind!r} are not supported")


class layout:
    """How the elements of a tensor are stored.

    >>> isinstance(torch.strided, torch.layout)
    True
    """

    __slots__ = ("_name",)

    def __init__(self, name):
        self._name = name

    def __repr__(self):
        return f"torch.{self._name}"


class memory_format(layout):
    """The order of a tensor's dimensions in memory.

    >>> isinstance(torch.contiguous_format, torch.memory_format)
    True
    """

    __slots__ = ()


strided = layout("strided")
sparse_coo = layout("sparse_coo")
contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")


def _strided():
    return strided


# bits, eps, max, tiny, smallest subnormal, resolution (IEEE 754; bfloat16: 8 bits of precision)
_FLOATS = {
    "float16": (16, 2.0**-10, 65504.0, 2.0**-14, 2.0**-24, 0.001),
    "bfloat16": (16, 2.0**-7, 3.3895313892515355e38, 2.0**-126, 2.0**-133, 0.01),
    "float32": (32, 2.0**-23, 3.4028234663852886e38, 2.0**-126, 2.0**-149, 1e-06),
    "float64": (64, 2.0**-52, 1.7976931348623157e308, 2.0**-1022, 2.0**-1074, 1e-15),
}


class finfo:
    """The numeric limits of a floating dtype.

    >>> torch.finfo(torch.float32).eps
    1.1920928955078125e-07
    """

    def __init__(self, type=None):
        from ._wengert import get_default_dtype

        type = get_default_dtype() if type is None else type
        name = repr(type).removeprefix("torch.")
        name = {"complex64": "float32", "complex128": "float64"}.get(name, name)
        if name not in _FLOATS:
            raise TypeError(
                "torch.finfo() requires a floating point input type. Use torch.iinfo to handle "
                "'torch.finfo'"
            )
        self.dtype = name
        limits = _FLOATS[name]
        self.bits, self.eps, self.max, self.tiny, self.smallest_subnormal, self.resolution = limits
        self.smallest_normal, self.min = self.tiny, -self.max

    def __repr__(self):
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.tiny:g}, tiny={self.tiny:g}, "
            f"dtype={self.dtype})"
        )


class iinfo:
    """The numeric limits of an integer dtype.

    >>> torch.iinfo(torch.int32).max
    2147483647
    """

    def __init__(self, type):
        name = repr(type).removeprefix("torch.")
        if name == "bool":
            raise TypeError("torch.bool is not supported by torch.iinfo")
        if "int" not in name:
            raise TypeError(
                "torch.iinfo() requires an integer input type. Use torch.finfo to handle "
                "'torch.iinfo'"
            )
        self.dtype, self.bits = name, type.itemsize * 8
        signed = not name.startswith("u")
        self.max = 2 ** (self.bits - signed) - 1
        self.min = -(2 ** (self.bits - 1)) if signed else 0

    def __repr__(self):
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"
