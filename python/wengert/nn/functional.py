"""Functions of neural networks (`torch.nn.functional`)."""

from .. import _wengert
from .._wengert import _nn

globals().update({name: f for name, f in vars(_nn).items() if not name.startswith("_")})


def _in_place(name):
    act = getattr(_nn, name)

    def act_(input, *args, **kwargs):
        return act(input, *args, inplace=True, **kwargs)

    act_.__name__ = name + "_"
    act_.__doc__ = f"`{name}`, written into `input`."
    return act_


for _name in ("celu", "elu", "hardtanh", "leaky_relu", "relu", "selu", "threshold"):
    globals()[_name + "_"] = _in_place(_name)

tanh = _wengert.tanh
sigmoid = _wengert.sigmoid
