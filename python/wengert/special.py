"""Special functions (`torch.special`)."""

from ._wengert import _special

globals().update({name: f for name, f in vars(_special).items() if not name.startswith("_")})
