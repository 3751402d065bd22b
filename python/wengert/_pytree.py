"""Nested dicts, lists and tuples as a list of leaves and a form."""

from ._wengert import _flatten as flatten
from ._wengert import _Spec as Spec
from ._wengert import _unflatten as unflatten

__all__ = ["Spec", "flatten", "map_leaves", "unflatten"]


def map_leaves(f, tree):
    """The nested value with `f` applied to each leaf."""
    leaves, spec = flatten(tree)
    return unflatten(map(f, leaves), spec)
