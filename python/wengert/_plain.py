"""Methods of `Tensor` whose answer is the same for every real tensor on the CPU."""

from __future__ import annotations

from ._tensor import _attach as attach
from ._wengert import Tensor


@attach
def is_shared(self):
    """False: the memory belongs to this process alone.

    >>> torch.ones(1).is_shared()
    False
    """
    return False


@attach
def is_pinned(self, device=None):
    """False: no memory is pinned.

    >>> torch.ones(1).is_pinned()
    False
    """
    return False


@attach
def resolve_conj(self):
    """The tensor itself: none is conjugated lazily.

    >>> torch.ones(1).resolve_conj()
    tensor([1.])
    """
    return self


@attach
def resolve_neg(self):
    """The tensor itself: none is negated lazily.

    >>> torch.ones(1).resolve_neg()
    tensor([1.])
    """
    return self


@attach
def is_conj(self):
    """False: no tensor is conjugated lazily.

    >>> torch.ones(1).is_conj()
    False
    """
    return False


@attach
def is_neg(self):
    """False: no tensor is negated lazily.

    >>> torch.ones(1).is_neg()
    False
    """
    return False


@attach
def conj(self):
    """The tensor itself: it is real.

    >>> torch.ones(1).conj()
    tensor([1.])
    """
    return self


def _real(self):
    """The tensor itself: it is real.

    >>> torch.ones(1).real
    tensor([1.])
    """
    return self


def _imag(self):
    """Raises RuntimeError: the tensor is real.

    >>> torch.ones(1).imag
    Traceback (most recent call last):
    RuntimeError: imag is not implemented for tensors with non-complex dtypes.
    """
    raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")


def _transposed(self):
    """The view of a matrix with its dimensions exchanged. Raises RuntimeError for other tensors.

    >>> torch.ones(2, 3).H.shape
    torch.Size([3, 2])
    """
    if self.dim() not in (0, 2):
        raise RuntimeError(
            "tensor.H is only supported on matrices (2-D tensors). "
            f"Got {self.dim()}-D tensor." + (" For batches of matrices, consider using tensor.mH"
                                             if self.dim() > 2 else "")
        )  # fmt: skip
    return self.transpose(0, 1) if self.dim() == 2 else self


def _transposed_last(self):
    """`mT`: the tensor is real.

    >>> torch.ones(4, 2, 3).mH.shape
    torch.Size([4, 3, 2])
    """
    return self.mT


for _name, _get in {
    "real": _real, "imag": _imag, "H": _transposed, "mH": _transposed_last,
}.items():  # fmt: skip
    setattr(Tensor, _name, property(_get))
