"""Functions of the top-level namespace that are not operations of the table."""

from __future__ import annotations

from . import _wengert
from ._types import Size
from ._wengert import Tensor

__all__ = [
    "are_deterministic_algorithms_enabled",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "block_diag",
    "broadcast_shapes",
    "broadcast_tensors",
    "can_cast",
    "einsum",
    "get_default_device",
    "get_device_module",
    "get_num_interop_threads",
    "is_complex",
    "is_conj",
    "is_floating_point",
    "is_inference",
    "is_nonzero",
    "is_same_size",
    "is_signed",
    "is_storage",
    "is_tensor",
    "is_warn_always_enabled",
    "numel",
    "promote_types",
    "resize_as_",
    "result_type",
    "set_default_device",
    "set_default_tensor_type",
    "set_printoptions",
    "tensordot",
    "typename",
    "use_deterministic_algorithms",
]


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Sets how tensors are printed; what is None keeps its value.

    `precision` digits follow the point; more than `threshold` elements are summarised by
    `edgeitems` at each end; `sci_mode` forces scientific notation, or forbids it. `profile` is
    "default", "short" or "full".

    >>> torch.set_printoptions(precision=2)
    >>> torch.tensor([1 / 3])
    tensor([0.33])
    >>> torch.set_printoptions(profile="default")
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


def is_tensor(obj) -> bool:
    """True if `obj` is a tensor.

    >>> torch.is_tensor(torch.ones(1))
    True
    """
    return isinstance(obj, Tensor)


def is_storage(obj) -> bool:
    """True if `obj` is a storage.

    >>> torch.is_storage(torch.ones(1).untyped_storage())
    True
    """
    from ._storage import UntypedStorage

    return isinstance(obj, UntypedStorage)


def is_floating_point(input: Tensor) -> bool:
    """True if the dtype of `input` is a floating one.

    >>> torch.is_floating_point(torch.ones(1))
    True
    """
    return _tensor("is_floating_point", input).is_floating_point()


def is_inference(input: Tensor) -> bool:
    """True if `input` was made inside `inference_mode`, or is a view of such a tensor.

    >>> with torch.inference_mode():
    ...     x = torch.ones(1)
    >>> torch.is_inference(x)
    True
    """
    return _tensor("is_inference", input).is_inference()


def is_complex(input: Tensor) -> bool:
    """True if the dtype of `input` is complex.

    >>> torch.is_complex(torch.ones(1))
    False
    """
    return _tensor("is_complex", input).is_complex()


def is_signed(input: Tensor) -> bool:
    """True if the dtype of `input` holds negative numbers.

    >>> torch.is_signed(torch.ones(1))
    True
    """
    return _tensor("is_signed", input).is_signed()


def is_conj(input: Tensor) -> bool:
    """False: no tensor is conjugated lazily.

    >>> torch.is_conj(torch.ones(1))
    False
    """
    return False


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """True if both have the same shape.

    >>> torch.is_same_size(torch.ones(2), torch.zeros(2))
    True
    """
    return input.shape == other.shape


def is_nonzero(input: Tensor) -> bool:
    """The truth of a one-element tensor. Raises RuntimeError for other sizes.

    >>> torch.is_nonzero(torch.tensor([0.0]))
    False
    """
    if input.numel() != 1:
        many = "no values" if input.numel() == 0 else "more than one value"
        raise RuntimeError(f"Boolean value of Tensor with {many} is ambiguous")
    return bool(input)


def numel(input: Tensor) -> int:
    """The number of elements of `input`.

    >>> torch.numel(torch.ones(2, 3))
    6
    """
    return _tensor("numel", input).numel()


def broadcast_shapes(*shapes) -> Size:
    """The shape that all shapes broadcast to. Raises RuntimeError if there is none.

    >>> torch.broadcast_shapes((2, 1), (3,))
    torch.Size([2, 3])
    """
    out: list[int] = []
    for at, shape in enumerate(shapes):
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        out[:0] = [1] * (len(shape) - len(out))
        for back in range(1, len(shape) + 1):
            size = shape[-back]
            if size < 0:
                raise RuntimeError(
                    f"Trying to create tensor with negative dimension ({size}): ({size})"
                )
            if size not in (1, out[-back]):
                if out[-back] != 1:
                    raise RuntimeError(
                        f"Attempting to broadcast a dimension of length {size} at -{back}! "
                        f"Mismatching argument at index {at} had {shape}; but expected shape "
                        f"should be broadcastable to {out}"
                    )
                out[-back] = size
    return Size(out)


def broadcast_tensors(*tensors) -> tuple[Tensor, ...]:
    """All tensors in the shape they broadcast to: views, or themselves where that is theirs.

    Raises RuntimeError if there is none.

    >>> a, b = torch.broadcast_tensors(torch.ones(2, 1), torch.ones(3))
    >>> a.shape
    torch.Size([2, 3])
    """
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    shape: tuple = ()
    for t in tensors:
        for back in range(1, 1 + min(len(shape), t.dim())):
            a, b = shape[-back], t.shape[-back]
            if a != b and 1 not in (a, b):
                raise RuntimeError(
                    f"The size of tensor a ({a}) must match the size of tensor b ({b}) at "
                    f"non-singleton dimension {max(len(shape), t.dim()) - back}"
                )
        shape = broadcast_shapes(shape, t.shape)
    return tuple(t if t.shape == shape else t.expand(shape) for t in tensors)


def broadcast_to(input: Tensor, size) -> Tensor:
    """A view of `input` expanded to `size`. Raises RuntimeError if it does not broadcast.

    >>> torch.broadcast_to(torch.tensor([1, 2]), (2, 2))
    tensor([[1, 2],
            [1, 2]])
    """
    return input.expand(size)


def result_type(tensor1, tensor2):
    """The dtype of an operation on both (tensors or numbers).

    >>> torch.result_type(torch.tensor([1, 2]), 1.0)
    torch.float32
    """
    if not isinstance(tensor1, Tensor) and not isinstance(tensor2, Tensor):
        return (_wengert.tensor(tensor1) * tensor2).dtype
    return (_sample(tensor1) * _sample(tensor2)).dtype


def _sample(value):
    """A small tensor that promotes as `value` does."""
    if not isinstance(value, Tensor):
        return value
    return _wengert.zeros([1] * value.dim(), dtype=value.dtype)


def promote_types(type1, type2):
    """The smallest dtype that holds both.

    >>> torch.promote_types(torch.int32, torch.float16)
    torch.float16
    """
    wide = (_wengert.uint16, _wengert.uint32, _wengert.uint64)
    names = [_kind_name(kind) for kind in (type1, type2)]
    whole = [not (k.is_floating_point or k.is_complex) for k in (type1, type2)]
    if type1 != type2 and all(whole) and (type1 in wide or type2 in wide):
        raise RuntimeError(
            "Promotion for uint16, uint32, uint64 types is not supported, attempted to promote "
            f"{names[0]} and {names[1]}"
        )
    return (_wengert.zeros(1, dtype=type1) * _wengert.zeros(1, dtype=type2)).dtype


def _kind_name(kind) -> str:
    from ._tensor import TYPE_NAMES

    return TYPE_NAMES.get(kind, "Complex").removesuffix("Tensor")


def _tensor(name: str, value) -> Tensor:
    if not isinstance(value, Tensor):
        kind = type(value).__name__
        text = f"{name}(): argument 'input' (position 1) must be Tensor, not {kind}"
        raise TypeError(text)
    return value


def can_cast(from_, to) -> bool:
    """True if a result of dtype `from_` may be stored in `to`.

    >>> torch.can_cast(torch.float32, torch.int64)
    False
    """

    def rank(d):
        if d.is_floating_point or d.is_complex:
            return 2 + d.is_complex
        return 0 if repr(d) == "torch.bool" else 1

    return rank(from_) <= rank(to)


def typename(obj) -> str:
    """The name of an object's type, with its module; of a tensor that of its elements' type.

    >>> torch.typename(torch.ones(1))
    'torch.FloatTensor'
    """
    if isinstance(obj, Tensor):
        return obj.type()
    module = getattr(obj, "__module__", None)
    kind = type(obj).__name__
    name = getattr(obj, "__qualname__", None) or getattr(obj, "__name__", None) or kind
    return name if module in (None, "builtins") else f"{module}.{name}"


def set_default_tensor_type(t) -> None:
    """Sets the default dtype by the name of a tensor type. Deprecated.

    >>> torch.set_default_tensor_type("torch.FloatTensor")
    """
    if isinstance(t, str):
        from . import _legacy

        found = _legacy.find(t.removeprefix("torch."))
        if found is None:
            raise TypeError(f"invalid type: '{t}'")
        t = found
    _wengert.set_default_dtype(t.dtype)


def get_default_device():
    """Where new tensors go: the CPU.

    >>> torch.get_default_device()
    device(type='cpu')
    """
    from ._types import device

    return device("cpu")


def set_default_device(device) -> None:
    """Accepts the CPU; raises for a device that is not there.

    >>> torch.set_default_device("cpu")
    """
    from ._types import _check_device

    _check_device(device)


def get_device_module(device=None):
    """The module of a device: `torch.cpu`.

    >>> torch.get_device_module("cpu").is_available()
    True
    """
    from . import cpu

    return cpu


def _each(tensors, change):
    """`change` of one tensor, or of all of several or of a sequence, as a tuple."""
    if len(tensors) == 1:
        tensors = tensors[0]
    if isinstance(tensors, Tensor):
        return change(tensors)
    return tuple(change(t) for t in tensors)


def atleast_1d(*tensors):
    """Views with at least one dimension.

    >>> torch.atleast_1d(torch.tensor(1))
    tensor([1])
    """
    return _each(tensors, lambda t: t.reshape(1) if t.dim() == 0 else t)


def atleast_2d(*tensors):
    """Views with at least two dimensions: new ones come first.

    >>> torch.atleast_2d(torch.tensor([1, 2]))
    tensor([[1, 2]])
    """

    def change(t):
        if t.dim() == 0:
            return t.reshape(1, 1)
        return t.unsqueeze(0) if t.dim() == 1 else t

    return _each(tensors, change)


def atleast_3d(*tensors):
    """Views with at least three dimensions: a vector becomes the middle one.

    >>> torch.atleast_3d(torch.ones(2, 3)).shape
    torch.Size([2, 3, 1])
    """

    def change(t):
        if t.dim() == 0:
            return t.reshape(1, 1, 1)
        if t.dim() == 1:
            return t.unsqueeze(0).unsqueeze(-1)
        return t.unsqueeze(-1) if t.dim() == 2 else t

    return _each(tensors, change)


def block_diag(*tensors):
    """Matrices along the diagonal of one, zeros elsewhere.

    >>> torch.block_diag(torch.ones(1, 1), torch.tensor([[2.0, 3.0]]))
    tensor([[1., 0., 0.],
            [0., 2., 3.]])
    """
    return _wengert._block_diag(tensors)


def resize_as_(input, the_template, *, memory_format=None):
    """`input`, resized in place to the shape of another tensor.

    Raises RuntimeError if it requires a gradient.

    >>> torch.resize_as_(torch.ones(4), torch.zeros(2, 2)).shape
    torch.Size([2, 2])
    """
    return input.resize_(the_template.shape)


_deterministic = False


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Remembers the choice; all algorithms are deterministic in any case.

    >>> torch.use_deterministic_algorithms(False)
    """
    global _deterministic
    _deterministic = bool(mode)


def are_deterministic_algorithms_enabled() -> bool:
    """What `use_deterministic_algorithms` was last given.

    >>> torch.are_deterministic_algorithms_enabled()
    False
    """
    return _deterministic


def is_warn_always_enabled() -> bool:
    """False: a warning is shown once.

    >>> torch.is_warn_always_enabled()
    False
    """
    return False


def get_num_interop_threads() -> int:
    """How many operations run at the same time: one.

    >>> torch.get_num_interop_threads()
    1
    """
    return 1


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
