"""Linear algebra (`torch.linalg`)."""

from . import _wengert

globals().update({k: f for k, f in vars(_wengert._linalg).items() if not k.startswith("_")})

__all__ = [name for name in globals() if not name.startswith("_")]
