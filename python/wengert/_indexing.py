"""Searching for places and distinct elements: what has a result that depends on flags."""

from . import _wengert
from ._wengert import Tensor

__all__ = ["nonzero", "nonzero_static", "unique", "unique_consecutive"]

_places = _wengert.nonzero
_where = _wengert.where


def nonzero(input, *, out=None, as_tuple=False):
    """The places of the elements that are not zero: a row of indices each, or, with `as_tuple`, a
    tensor of indices for each dimension.

    >>> torch.nonzero(torch.tensor([0., 2., 3.]))
    tensor([[1],
            [2]])
    """
    if as_tuple:
        return _where(input)
    return _places(input) if out is None else _places(input, out=out)


def nonzero_static(input, *, size, fill_value=-1, out=None):
    """As `nonzero`, cut or filled up to `size` rows.

    >>> torch.nonzero_static(torch.tensor([0., 2.]), size=2)
    tensor([[ 1],
            [-1]])
    """
    if size < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")
    found = _places(input)[:size]
    rows = _wengert.full((size, found.shape[1]), fill_value, dtype=_wengert.int64)
    rows[: len(found)] = found
    return rows if out is None else out.copy_(rows)


def _chosen(found, return_inverse, return_counts):
    values, inverse, counts = found
    result = (
        values,
        *((inverse,) if return_inverse else ()),
        *((counts,) if return_counts else ()),
    )
    return result if len(result) > 1 else values


def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The distinct elements (or slices along `dim`), always in order.

    `return_inverse` also gives which of them each element is, `return_counts` how often each is
    there.

    >>> torch.unique(torch.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    found = _wengert._unique2(input) if dim is None else _wengert._unique_dim(input, dim)
    return _chosen(found, return_inverse, return_counts)


def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """The first element of each run of equals (or of equal slices along `dim`).

    >>> torch.unique_consecutive(torch.tensor([1, 1, 2, 1]))
    tensor([1, 2, 1])
    """
    if dim is None:
        found = _wengert._unique_consecutive(input)
    else:
        found = _wengert._unique_dim_consecutive(input, dim)
    return _chosen(found, return_inverse, return_counts)


def where(self, condition, other):
    """This tensor where the condition holds, `other` elsewhere.

    >>> torch.tensor([1, 2]).where(torch.tensor([True, False]), 0)
    tensor([1, 0])
    """
    return _where(condition, self, other)


for _method in (nonzero, nonzero_static, unique, unique_consecutive, where):
    setattr(Tensor, _method.__name__, _method)
