"""Functions of neural networks (`torch.nn.functional`)."""

from .. import _wengert
from .._wengert import _nn

globals().update({name: f for name, f in vars(_nn).items() if not name.startswith("_")})


def _in_place(name, arguments, result):
    act = getattr(_nn, name)

    def act_(input, *args, **kwargs):
        return act(input, *args, inplace=True, **kwargs)

    act_.__name__ = name + "_"
    act_.__doc__ = (
        f"`{name}`, written into `input`.\n\n"
        f">>> F.{name}_(torch.tensor([-2.0, 0.5]){arguments})\ntensor([{result}])"
    )
    return act_


for _name, _arguments, _result in (
    ("celu", "", "-0.8647,  0.5000"),
    ("elu", "", "-0.8647,  0.5000"),
    ("hardtanh", "", "-1.0000,  0.5000"),
    ("leaky_relu", "", "-0.0200,  0.5000"),
    ("relu", "", "0.0000, 0.5000"),
    ("selu", "", "-1.5202,  0.5254"),
    ("threshold", ", 0.1, 0.0", "0.0000, 0.5000"),
):
    globals()[_name + "_"] = _in_place(_name, _arguments, _result)

tanh = _wengert.tanh
sigmoid = _wengert.sigmoid
