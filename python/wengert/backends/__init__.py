"""Switches of libraries that PyTorch may use (`torch.backends`); none of them is used here.

>>> torch.backends.cudnn.is_available()
False
"""

from __future__ import annotations


class _Backend:
    """A library that is not there; its switches may be set, and change nothing."""

    def __init__(self, **switches):
        vars(self).update(switches)

    def is_available(self) -> bool:
        """False: the library is not used.

        >>> torch.backends.mps.is_available()
        False
        """
        return False

    def is_built(self) -> bool:
        """False: the library is not used.

        >>> torch.backends.mps.is_built()
        False
        """
        return False

    def version(self):
        """None: the library is not used.

        >>> torch.backends.cudnn.version()
        """
        return None


class _Matmul:
    allow_tf32 = False


cudnn = _Backend(enabled=True, benchmark=False, deterministic=False, allow_tf32=True)
cuda = _Backend(matmul=_Matmul())
mps, mkl, mkldnn, openmp, quantized = (_Backend() for _ in range(5))
