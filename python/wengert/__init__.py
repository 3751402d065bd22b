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
    channels_last_3d,
    contiguous_format,
    device,
    finfo,
    iinfo,
    layout,
    memory_format,
    preserve_format,
    sparse_coo,
    strided,
)
from ._wengert import Tensor, dtype

_wengert._set_size_class(Size)
# In-place forms that PyTorch has as methods only.
_METHODS = (
    "absolute_ bitwise_not_ cumprod_ cumsum_ float_power_ logical_not_ pow_ sign_ squeeze_ "
    "swapaxes_ swapdims_ t_ transpose_ tril_ triu_ unsqueeze_"
).split()
globals().update(
    {k: v for k, v in vars(_wengert).items() if not k.startswith("_") and k not in _METHODS}
)

from . import _plain, _random, _storage, _tensor, autograd, config, linalg, nn, special
from ._creation import *
from ._functions import *
from ._indexing import *
from ._random import *
from .autograd import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)

__version__ = "0.1.0"

newaxis = None


def __getattr__(name: str):
    import importlib

    if name in _LAZY:
        module = importlib.import_module("." + name, __name__)
        globals()[name] = module
        return module
    if name.endswith("Tensor"):
        from . import _legacy

        found = _legacy.find(name)
        if found is not None:
            return found
    raise AttributeError(f"module 'torch' has no attribute '{name}'")


# Loaded when first asked for.
_LAZY = {"backends", "cpu", "cuda", "inspect", "random", "return_types", "storage", "version"}
