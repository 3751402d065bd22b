"""Functions of the top-level namespace that are not operations of the table."""

from . import _wengert
from ._types import _check_device
from ._wengert import Tensor

__all__ = [
    "as_tensor",
    "asarray",
    "broadcast_shapes",
    "broadcast_tensors",
    "broadcast_to",
    "can_cast",
    "default_generator",
    "from_dlpack",
    "from_numpy",
    "frombuffer",
    "get_rng_state",
    "is_nonzero",
    "manual_seed",
    "normal",
    "promote_types",
    "result_type",
    "seed",
    "set_printoptions",
    "set_rng_state",
    "tensor",
    "tensordot",
    "typename",
]


def tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False):
    """A new tensor with a copy of `data`: numbers, nested lists, arrays.

    Raises ValueError for ragged lists, TypeError or RuntimeError for data that is no number.

    >>> torch.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    if device is not None:
        _check_device(device)
    if isinstance(data, Tensor):
        import warnings

        warnings.warn(
            "To copy construct from a tensor, it is recommended to use "
            "sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than "
            "torch.tensor(sourceTensor).",
            stacklevel=2,
        )
    elif not isinstance(data, (list, tuple, float, int)) and hasattr(data, "__array__"):
        data = _plain_array(data.__array__())
    elif isinstance(data, (list, tuple)) and data and hasattr(data[0], "__array__"):
        data = _from_arrays(data)
    return _wengert._make_tensor(data, dtype, requires_grad)


def _plain_array(array):
    """The array in the machine's byte order."""
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype == object:
        raise TypeError(
            "can't convert np.ndarray of type numpy.object_. The only supported types are: "
            "float64, float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, "
            "uint32, uint16, uint8, and bool."
        )
    return array


def _from_arrays(data):
    if any(isinstance(item, Tensor) for item in data):
        return data
    import numpy

    return _plain_array(numpy.array(data))


def as_tensor(data, dtype=None, device=None):
    """`data` as a tensor, sharing memory where possible.

    >>> torch.as_tensor([1, 2])
    tensor([1, 2])
    """
    if device is not None:
        _check_device(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    if type(data).__module__ == "numpy" and hasattr(data, "strides") and data.ndim >= 0:
        if hasattr(data, "flags"):
            t = from_numpy(data) if data.__class__.__name__ == "ndarray" else tensor(data)
            return t if dtype is None else t.to(dtype)
    return tensor(data, dtype=dtype)


def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False):
    """`obj` as a tensor; `copy=True` forces a copy."""
    t = tensor(obj) if copy and not isinstance(obj, Tensor) else as_tensor(obj)
    if copy and isinstance(obj, Tensor):
        t = t.clone()
    if dtype is not None:
        t = t.to(dtype)
    return t.detach().requires_grad_() if requires_grad else t


def from_numpy(ndarray):
    """A tensor over the memory of a NumPy array: writes to either are seen by both.

    Raises TypeError for other objects and for dtypes PyTorch does not know.
    """
    if type(ndarray).__name__ != "ndarray":
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
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


def frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False):
    """A one-dimensional tensor over the memory of an object that has a buffer."""
    view = memoryview(buffer).cast("B")
    size = dtype.itemsize
    if len(view) == 0 and count == -1:
        raise ValueError("both buffer length (0) and count (-1) must not be 0")
    if offset < 0 or offset >= len(view):
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length "
            f"({len(view)} bytes) minus 1"
        )
    if count == -1:
        if (len(view) - offset) % size:
            raise ValueError(
                f"buffer length ({len(view) - offset} bytes) after offset ({offset} bytes) must be "
                f"a multiple of element size ({size})"
            )
        count = (len(view) - offset) // size
    if offset + count * size > len(view):
        raise ValueError(
            f"requested buffer length ({count} * {size} bytes) after offset ({offset} bytes) must "
            f"not be greater than actual buffer length ({len(view)} bytes)"
        )
    codes = {"bool": "?", "float16": "e", "float32": "f", "float64": "d"}
    ints = {1: "b", 2: "h", 4: "i", 8: "q"}
    name = repr(dtype).removeprefix("torch.")
    code = codes.get(name) or (ints[size].upper() if name.startswith("u") else ints[size])
    part = view[offset : offset + count * size].cast(code)
    t, _ = _wengert._from_buffer(part)
    return t.requires_grad_() if requires_grad else t


def from_dlpack(ext_tensor):
    """A tensor over memory that another library hands over by DLPack, without a copy."""
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


def manual_seed(seed):
    """Seeds the random generator; returns it."""
    seed = int(seed)
    if not -0x8000_0000_0000_0000 <= seed <= 0xFFFF_FFFF_FFFF_FFFF:
        raise RuntimeError(f"Overflow when unpacking long long: {seed}")
    _wengert._manual_seed(seed & 0xFFFF_FFFF_FFFF_FFFF)
    return default_generator


def seed():
    """Seeds the random generator from the operating system; returns the seed."""
    return _wengert._seed()


def get_rng_state():
    """The state of the random generator, as a tensor of bytes."""
    return tensor(list(_wengert._get_rng_state()), dtype=_wengert.uint8)


def set_rng_state(new_state):
    """Restores a state that `get_rng_state` gave."""
    _wengert._set_rng_state(bytes(new_state.tolist()))


class Generator:
    """The random generator of the CPU; there is one for the process."""

    def manual_seed(self, seed):
        return manual_seed(seed)

    def seed(self):
        return seed()

    def initial_seed(self):
        return _wengert.initial_seed()

    def get_state(self):
        return get_rng_state()

    def set_state(self, new_state):
        set_rng_state(new_state)


default_generator = Generator()


def normal(mean, std=1.0, size=None, *, generator=None, out=None, dtype=None, requires_grad=False):
    """Normal random numbers; `mean` and `std` may be tensors.

    >>> torch.normal(0.0, 1.0, (2,)).shape
    torch.Size([2])
    """
    if size is not None:
        t = _wengert.empty(size, dtype=dtype)
        _wengert._fill_random(t, "normal", float(mean), float(std))
        return t.requires_grad_() if requires_grad else t
    shape = broadcast_shapes(getattr(mean, "shape", ()), getattr(std, "shape", ()))
    kind = mean if isinstance(mean, Tensor) else std
    t = _wengert.empty(shape, dtype=kind.dtype)
    _wengert._fill_random(t, "normal", 0.0, 1.0)
    return (t * std + mean).detach()


def set_printoptions(
    precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None
):
    """Sets how tensors are printed; what is None keeps its value.

    `profile` is "default", "short" or "full".
    """
    now = list(_wengert._get_print_options())
    profiles = {
        "default": (4, 1000.0, 3, 80),
        "short": (2, 1000.0, 2, 80),
        "full": (4, float("inf"), 3, 80),
    }
    if profile is not None:
        now[:4] = profiles[profile]
    for i, value in enumerate((precision, threshold, edgeitems, linewidth)):
        if value is not None:
            now[i] = value
    now[4] = sci_mode
    _wengert._set_print_options(int(now[0]), float(now[1]), int(now[2]), int(now[3]), now[4])


def is_nonzero(input):
    """The truth of a one-element tensor."""
    return bool(input)


def broadcast_shapes(*shapes):
    """The shape that all shapes broadcast to."""
    from ._types import Size

    out = []
    shapes = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    for i in range(max((len(s) for s in shapes), default=0)):
        sizes = {s[-1 - i] for s in shapes if i < len(s)} - {1}
        if len(sizes) > 1:
            raise RuntimeError("Shape mismatch: objects cannot be broadcast to a single shape")
        out.append(sizes.pop() if sizes else 1)
    return Size(reversed(out))


def broadcast_tensors(*tensors):
    """Views of all tensors with the shape they broadcast to."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tensors[0]
    shape = broadcast_shapes(*(t.shape for t in tensors))
    return tuple(t.expand(shape) for t in tensors)


def broadcast_to(input, size):
    """A view of `input` expanded to `size`."""
    return input.expand(size)


def result_type(a, b):
    """The dtype of an operation on both (tensors or numbers)."""

    def sample(v):
        return (
            v.detach().flatten()[:1].reshape([1] * v.dim() if v.numel() else v.shape)
            if isinstance(v, Tensor)
            else v
        )

    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        return (tensor(a) + b).dtype
    return (sample(a) * sample(b)).dtype


def promote_types(type1, type2):
    """The smallest dtype that holds both."""
    return (_wengert.zeros(1, dtype=type1) * _wengert.zeros(1, dtype=type2)).dtype


def can_cast(from_, to):
    """True if a result of dtype `from_` may be stored in `to`."""

    def rank(d):
        if d.is_complex:
            return 3
        if d.is_floating_point:
            return 2
        return 0 if repr(d) == "torch.bool" else 1

    return rank(from_) <= rank(to)


def typename(obj):
    """The name of an object's type, with its module."""
    kind = type(obj)
    return f"{kind.__module__}.{kind.__qualname__}"


def tensordot(a, b, dims=2, out=None):
    """Sums of products over the last `dims` dimensions of `a` and the first of `b`, or over those
    of two lists.

    >>> torch.tensordot(torch.ones(2, 3), torch.ones(3, 4), dims=([1], [0])).shape
    torch.Size([2, 4])
    """
    if isinstance(dims, Tensor):
        dims = dims.tolist() if dims.numel() > 1 else dims.item()
    if isinstance(dims, (tuple, list)):
        first, second = dims
    elif not isinstance(dims, int):
        raise RuntimeError(
            "tensordot expects dims to be int or tuple[list[int], list[int]] or list[list[int]] "
            f"containing two lists, but got dims={dims}"
        )
    elif dims < 0:
        raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
    elif dims > min(a.dim(), b.dim()):
        raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
    else:
        first, second = list(range(-dims, 0)), list(range(dims))
    return _wengert.tensordot(a, b, first, second, out=out)


def einsum(*args):
    """Sums of products along labelled dimensions (Einstein's convention).

    Takes an equation and the operands, or each operand with its list of numbers, and at the end
    that of the result.

    >>> torch.einsum("ij,jk->ik", torch.ones(2, 3), torch.ones(3, 1))
    tensor([[3.],
            [3.]])
    """
    if len(args) < 2:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, or at least one "
            "operand and its subscripts list"
        )
    if isinstance(args[0], Tensor):
        equation = ",".join(map(_subscripts, args[1::2]))
        if len(args) % 2:
            equation += "->" + _subscripts(args[-1])
        operands = args[:-1:2] if len(args) % 2 else args[::2]
    else:
        equation, *operands = args
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = operands[0]
    return _wengert.einsum(equation, operands)


def _subscripts(numbers):
    """A list of numbers, an Ellipsis among them, as letters of an equation."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    if any(n is not Ellipsis and not 0 <= n < len(letters) for n in numbers):
        raise ValueError(
            "einsum(): subscript in subscript list is not within the valid range [0, 52)"
        )
    return "".join("..." if n is Ellipsis else letters[n] for n in numbers)
