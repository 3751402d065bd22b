"""Functions of neural networks (`torch.nn.functional`)."""

from .. import _wengert
from .._wengert import _nn

globals().update({name: f for name, f in vars(_nn).items() if not name.startswith("_")})

relu_ = _wengert.Tensor.relu_
tanh = _wengert.tanh
sigmoid = _wengert.sigmoid
