"""Tensors and automatic differentiation with PyTorch's names and semantics.

>>> import wengert as torch
>>> x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
tensor([2., 4., 6.])
"""

from math import e, inf, nan, pi

from . import _types, _wengert
from ._types import (
    Size,
    channels_last,
    contiguous_format,
    device,
    finfo,
    iinfo,
    preserve_format,
    strided,
)
from ._wengert import Tensor, dtype, get_default_dtype, initial_seed, set_default_dtype

_wengert._set_size_class(Size)
globals().update({k: v for k, v in vars(_wengert).items() if not k.startswith("_")})

from . import _tensor, autograd, config, linalg, nn, special
from ._functions import *
from ._functions import (
    as_tensor,
    from_numpy,
    manual_seed,
    set_printoptions,
    tensor,
)
from ._indexing import *
from .autograd import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)

__version__ = "0.1.0"

newaxis = None


def is_tensor(obj):
    """True if `obj` is a tensor.

    >>> torch.is_tensor(torch.ones(1))
    True
    """
    return isinstance(obj, Tensor)


def is_floating_point(input):
    """True if the dtype of `input` is a floating one."""
    return input.is_floating_point()


def is_complex(input):
    """True if the dtype of `input` is complex."""
    return input.is_complex()


def numel(input):
    """The number of elements of `input`."""
    return input.numel()


def __getattr__(name):
    if name in _LAZY:
        import importlib

        module = importlib.import_module("." + name, __name__)
        globals()[name] = module
        return module
    raise AttributeError(f"module 'torch' has no attribute '{name}'")


_LAZY = {"return_types", "utils"}
