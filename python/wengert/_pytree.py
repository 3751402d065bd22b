"""Nested dicts, lists and tuples as a list of leaves and a form."""

from collections import OrderedDict

__all__ = ["Spec", "flatten", "map_leaves", "unflatten"]


class Spec:
    """The form of a nested value: type, keys and parts; a leaf has no type."""

    def __init__(self, kind=None, keys=None, parts=()):
        self.kind, self.keys, self.parts = kind, keys, parts

    def __eq__(self, other):
        mine, its = (self.kind, self.keys, self.parts), (other.kind, other.keys, other.parts)
        return mine == its

    def __len__(self):
        return 1 if self.kind is None else sum(map(len, self.parts))

    def __str__(self):
        if self.kind is None:
            return "*"
        parts = [str(p) for p in self.parts]
        if self.keys is not None:
            return "{" + ", ".join(f"{k!r}: {p}" for k, p in zip(self.keys, parts)) + "}"
        if self.kind is list:
            return "[" + ", ".join(parts) + "]"
        return "(" + ", ".join(parts) + ("," if len(parts) == 1 else "") + ")"

    def __repr__(self):
        if self.kind is None:
            return "*"
        parts = ",\n  ".join(repr(p).replace("\n", "\n  ") for p in self.parts)
        return f"TreeSpec({self.kind.__name__}, {self.keys}, [{parts}])"


LEAF = Spec()


def flatten(tree):
    """`(leaves, form)` of a nested value."""
    leaves = []
    return leaves, _flatten(tree, leaves)


def _flatten(tree, leaves):
    kind = type(tree)
    if kind in (dict, OrderedDict):
        keys = sorted(tree) if kind is dict and _sortable(tree) else list(tree)
        return Spec(kind, keys, [_flatten(tree[k], leaves) for k in keys])
    if kind in (list, tuple) or (isinstance(tree, tuple) and hasattr(kind, "_fields")):
        return Spec(kind, None, [_flatten(part, leaves) for part in tree])
    leaves.append(tree)
    return LEAF


def _sortable(keys):
    try:
        sorted(keys)
    except TypeError:
        return False
    return True


def unflatten(leaves, spec):
    """The nested value again, with these leaves."""
    return _unflatten(iter(leaves), spec)


def _unflatten(leaves, spec):
    if spec.kind is None:
        return next(leaves)
    parts = [_unflatten(leaves, part) for part in spec.parts]
    if spec.keys is not None:
        return spec.kind(zip(spec.keys, parts))
    return spec.kind(*parts) if hasattr(spec.kind, "_fields") else spec.kind(parts)


def map_leaves(f, tree):
    """The nested value with `f` applied to each leaf."""
    leaves, spec = flatten(tree)
    return unflatten([f(leaf) for leaf in leaves], spec)
