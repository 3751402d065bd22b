"""Linear algebra (`torch.linalg`)."""

from ._wengert import _linalg, matmul
from ._wengert import _LinAlgError as LinAlgError

_table = {name: f for name, f in vars(_linalg).items() if not name.startswith("_")}
globals().update(_table)

__all__ = ["LinAlgError", "matmul"]
__all__ += _table
