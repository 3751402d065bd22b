"""Calls of every operation of the table, made from its schema."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

import compare


@dataclass
class Plain:
    """An argument that is no float tensor: a number, or a list that becomes a tensor."""

    value: object
    tensor: bool = True


# What a parameter gets, by name; a list gives several calls.
BY_NAME = {
    "dim": 1, "dim0": 0, "dim1": 0, "dim2": 1, "dims": [0], "index": 1, "diagonal": 1, "offset": 1,
    "source": 0, "destination": 1, "decimals": 1, "start": 1, "length": 2, "chunks": 2,
    "split_size": 2, "sizes": [1, -1], "repeats": [2, 1], "shifts": [1], "size": [2, 3],
    "stride": [1, 2], "shape": [3, 2], "rounding_mode": None, "exponent": 3, "p": 3, "min": 0.6,
    "max": 1.4, "other": 1.3, "self": 1.3, "value": 0.7, "weight": 0.3, "threshold": 0.9,
    "start_dim": 0, "end_dim": 1, "negative_slope": 0.1, "lambd": 0.5, "alpha": 2, "beta": 3,
    "correction": 0, "storage_offset": 0,
}  # fmt: skip

CLASSES = Plain([2, 0])
SIGNS = Plain([[1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]])
COLUMNS = Plain([[2, 0, 1], [1, 2, 0]])

# What the schema alone does not say: shapes of the tensors, then the other arguments.
SPECIAL = {
    "t": [([(2, 3)], {})],
    "where": [([bool, (2, 3), (2, 3)], {}), ([bool, (2, 1), (3,)], {})],
    "masked_fill.Tensor": [([(2, 3), bool, ()], {})],
    "masked_fill.Scalar": [([(2, 3), bool], {"value": 0.5})],
    "gather": [([(2, 3), 1, int], {})],
    "index_select": [([(2, 3), 1, (int, (4,))], {})],
    "take_along_dim": [([(2, 3), int], {"dim": 1})],
    "split.sizes": [([(2, 3), Plain([1, 2], tensor=False)], {"dim": 1})],
    "split.Tensor": [([(2, 3), 2], {"dim": 1})],
    "unsafe_split.Tensor": [([(2, 3), 2], {"dim": 1})],
    "unsafe_split_with_sizes": [([(2, 3), Plain([1, 2], tensor=False)], {"dim": 1})],
    "pow.Scalar": [([1.3, (2, 3)], {})],
    "xlogy.Scalar_Self": [([1.3, (2, 3)], {})],
    "permute": [([(2, 3)], {"dims": [1, 0]})],
    "expand": [([(2, 1)], {"size": [4, 2, 3]})],
    "expand_as": [([(2, 1), (4, 2, 3)], {})],
    "view_as": [([(2, 3), (3, 2)], {})],
    "reshape_as": [([(2, 3), (3, 2)], {})],
    "movedim.intlist": [([(2, 3)], {"source": [0], "destination": [1]})],
    "unflatten": [([(2, 4)], {"dim": 1, "sizes": [2, 2]})],
    "squeeze": [([(2, 1, 3)], {})],
    "squeeze.dim": [([(2, 1, 3)], {"dim": 1})],
    "squeeze.dims": [([(2, 1, 3)], {"dim": [1]})],
    "norm": [([(2, 3)], {}), ([(2, 3)], {"p": 3, "dim": 1})],
    "norm.name": [([(2, 3)], {})],
    "roll": [([(2, 3)], {"shifts": [1], "dims": [1]})],
    "cat": [([[(2, 3), (1, 3)]], {"dim": 0})],
    "stack": [([[(2, 3), (2, 3)]], {"dim": 1})],
    "matmul": [([(2, 3), (3, 2)], {}), ([(2, 2, 3), (3, 2)], {}), ([(3,), (3,)], {})],
    "mm": [([(2, 3), (3, 2)], {})],
    "bmm": [([(2, 2, 3), (2, 3, 2)], {})],
    "mv": [([(2, 3), (3,)], {})],
    "dot": [([(3,), (3,)], {})],
    "vdot": [([(3,), (3,)], {})],
    "outer": [([(3,), (2,)], {})],
    "addmm": [([(2, 2), (2, 3), (3, 2)], {"beta": 2, "alpha": 3}), ([(2,), (2, 3), (3, 2)], {})],
    "addmv": [([(2,), (2, 3), (3,)], {"beta": 2, "alpha": 3})],
    "addr": [([(2, 3), (2,), (3,)], {"beta": 2, "alpha": 3})],
    "baddbmm": [([(2, 2, 2), (2, 2, 3), (2, 3, 2)], {"beta": 2, "alpha": 3})],
    "linear": [([(2, 3), (2, 3), (2,)], {}), ([(2, 3), (2, 3)], {})],
    "prod.dim_int": [([(2, 3)], {"dim": 1})],
    "as_strided": [([(2, 3)], {"size": [2, 2], "stride": [1, 2], "storage_offset": 0})],
    "clamp": [([(2, 3)], {"min": 0.6, "max": 1.4})],
    "var_mean.correction": [([(2, 3)], {"dim": 1, "correction": 0})],
    "std_mean.correction": [([(2, 3)], {"dim": 1, "correction": 0})],
    "lerp.Scalar": [([(2, 3), (2, 3)], {"weight": 0.3})],
    "aminmax": [([(2, 3)], {"dim": 1})],
    "clamp.Tensor": [([(2, 3), (2, 3), (2, 3)], {})],
    "remainder.Scalar_Tensor": [([1.3, (2, 3)], {})],
    "float_power.Scalar": [([1.3, (2, 3)], {})],
    "index_put": [([(2, 3), [Plain([0, 1]), Plain([2, 0])], (2,)], {})],
    "index_add": [([(2, 3), 1, Plain([2, 0]), (2, 2)], {"alpha": 2})],
    "index_copy": [([(2, 3), 1, Plain([2, 0]), (2, 2)], {})],
    "index_fill.int_Tensor": [([(2, 3), 1, Plain([2, 0]), ()], {})],
    "index_fill.int_Scalar": [([(2, 3), 1, Plain([2, 0]), 0.5], {})],
    "index_reduce": [([(2, 3), 1, Plain([2, 0]), (2, 2), Plain("prod", tensor=False)], {})],
    "scatter.src": [([(2, 3), 1, COLUMNS, (2, 3)], {})],
    "scatter.value": [([(2, 3), 1, COLUMNS, 0.5], {})],
    "scatter.reduce": [([(2, 3), 1, COLUMNS, Plain([[0.5] * 3] * 2)], {"reduce": "add"})],
    "scatter.value_reduce": [([(2, 3), 1, COLUMNS, 0.5], {"reduce": "add"})],
    "scatter_add": [([(2, 3), 1, int, (2, 3)], {})],
    "scatter_reduce": [([(2, 3), 1, int, (2, 3), Plain("sum", tensor=False)], {})],
    "take": [([(2, 3), int], {})],
    "put": [([(2, 3), Plain([2, 0]), (2,)], {})],
    "masked_select": [([(2, 3), bool], {})],
    "masked_scatter": [([(2, 3), bool, (2, 3)], {})],
    "argsort.stable": [([(2, 3)], {"stable": True})],
    "topk": [([(2, 3)], {"k": 2})],
    "kthvalue": [([(2, 3)], {"k": 2})],
    "searchsorted.Tensor": [([(3,), (2,)], {})],
    "searchsorted.Scalar": [([(3,), 0.5], {})],
    "bucketize.Tensor": [([(2,), (3,)], {})],
    "bucketize.Scalar": [([0.5, (3,)], {})],
    "nonzero.tuple": [([(2, 3)], {"as_tuple": True})],
    "addbmm": [([(2, 2), (2, 2, 3), (2, 3, 2)], {"beta": 2, "alpha": 3})],
    "bilinear": [([(2, 3), (2, 2), (2, 3, 2), (2,)], {})],
    "tensordot": [([(2, 3), (3, 2)], {"dims": 1})],
    "einsum": [([Plain("ij,jk->ik", tensor=False), (2, 3), (3, 2)], {})],
    "nll_loss": [([(2, 3), CLASSES], {})],
    "cross_entropy": [([(2, 3), CLASSES], {}), ([(2, 3), (2, 3)], {})],
    "one_hot": [([CLASSES], {})],
    "cosine_embedding_loss": [([(2, 3), (2, 3), Plain([1.0, -1.0])], {})],
    "soft_margin_loss": [([(2, 3), SIGNS], {})],
    "hinge_embedding_loss": [([(2, 3), SIGNS], {})],
    "margin_ranking_loss": [([(2, 3), (2, 3), SIGNS], {})],
    "narrow.Tensor": [([(2, 3), 1, Plain(1), 2], {})],
    "select_scatter": [([(2, 3), (2,), 1, 2], {})],
    "slice_scatter": [([(2, 3), (2, 2)], {"dim": 1, "start": 1})],
    "diagonal_scatter": [([(2, 3), (2,), 1], {})],
    "tensor_split.tensor": [([(2, 3), Plain(2)], {"dim": 1})],
    "tensor_split.sections": [([(2, 3), 2], {"dim": 1})],
    "tensor_split.indices": [([(2, 3), Plain([1, 2], tensor=False)], {"dim": 1})],
    "hsplit.int": [([(2, 4), 2], {})],
    "hsplit.array": [([(2, 3), Plain([1, 2], tensor=False)], {})],
    "vsplit.int": [([(2, 3), 2], {})],
    "vsplit.array": [([(2, 3), Plain([1], tensor=False)], {})],
    "dsplit.int": [([(2, 1, 4), 2], {})],
    "dsplit.array": [([(2, 1, 3), Plain([1, 2], tensor=False)], {})],
    "repeat_interleave.self_int": [([(2, 3), 2], {"dim": 1})],
    "repeat_interleave.self_Tensor": [([(2, 3), Plain([2, 1, 0])], {"dim": 1})],
    "fill.Tensor": [([(2, 3), ()], {})],
    "unfold": [([(2, 3), 1, 2, 1], {})],
    "linalg_norm.ord_str": [([(2, 3)], {"ord": "fro"})],
    "linalg_matrix_norm": [([(2, 3)], {"ord": 1})],
}

# Not sampled, and why.
LEFT_OUT = {
    "svd": "unique up to signs only, which tests/test_linalg.py knows of",
    "linalg_svd": "as svd",
    "view.dtype": "looks at bits: it has no derivative",
}

# Arguments between -0.8 and 0.8 where the usual ones (0.3 to 1.8) are outside the domain.
SMALL = {"asin", "acos", "atanh", "softshrink", "hardtanh", "hardswish", "hardsigmoid", "erf"}
LARGE = {"acosh"}
UNIT = {"binary_cross_entropy", "logit"}


@dataclass
class Sample:
    """One call: arrays of the float arguments in order, and how to make it."""

    kind: str
    name: str
    schema: str
    arrays: list
    keywords: dict
    order: list

    def __str__(self):
        return f"{self.kind}-{self.schema.partition('(')[0]}"

    def __call__(self, module, *tensors):
        """The call under a library, with these tensors in place of the float arguments."""
        tensors = list(tensors)

        def filled(slot):
            if isinstance(slot, list):
                return [filled(part) for part in slot]
            if slot is None:
                return tensors.pop(0)
            if not slot.tensor:
                return slot.value
            t = module.tensor(slot.value)
            return t.double() if t.is_floating_point() else t

        args = [filled(slot) for slot in self.order]
        if self.kind == "method":
            return getattr(args[0], self.name)(*args[1:], **self.keywords)
        name = self.name.removeprefix(self.kind + "_")
        places = {"nn": "nn.functional", "linalg": "linalg", "special": "special"}
        place = module
        for part in places.get(self.kind, "").split(".") if self.kind in places else ():
            place = getattr(place, part)
        return getattr(place, name)(*args, **self.keywords)


def parameters(schema):
    """`(type, name, required)` of each parameter."""
    inside = re.search(r"\((.*)\) ->", schema).group(1)
    for part in re.split(r", (?![^\[]*\])", inside):
        if part == "*":
            continue
        kind, _, rest = part.partition(" ")
        name, _, default = rest.partition("=")
        yield kind, name, not default


def from_schema(key, schema):
    """`(shapes, keywords)` for operations whose tensors all have one shape."""
    shapes, keywords = [], {}
    for kind, name, required in parameters(schema):
        base = kind.rstrip("?")
        if kind == "Tensor?":
            continue
        if base in ("Tensor", "Operand"):
            shapes.append((2, 3))
        elif base == "Tensor[]":
            shapes.append([(2, 3), (2, 3)])
        elif required:
            value = BY_NAME.get(name)
            if base.startswith("int[") and not isinstance(value, list):
                value = [value]
            keywords[name] = value
    return [(shapes, keywords)]


def array(rng, shape, low, high):
    """Distinct numbers in random order: no ties, nothing near a kink."""
    n = int(np.prod(shape))
    steps = low + (high - low) * (np.arange(n) + rng.uniform(0.2, 0.8, n)) / max(n, 1)
    return rng.permutation(steps).reshape(shape)


def built(kind, name, schema, shapes, keywords, seed):
    rng = np.random.default_rng(seed)
    low, high = (0.3, 1.8)
    if name in SMALL:
        low, high = (-0.8, 0.8)
    if name in LARGE:
        low, high = (1.2, 3.0)
    if name in UNIT:
        low, high = (0.1, 0.9)
    arrays = []

    def slot(shape):
        if isinstance(shape, list):
            return [slot(s) for s in shape]
        if shape is bool:
            return Plain([[True, False, True], [False, True, True]])
        if shape is int:
            return Plain([[2, 0, 2], [1, 1, 0]])
        if isinstance(shape, Plain):
            return shape
        if not isinstance(shape, tuple):
            return Plain(shape, tensor=False)
        if shape and shape[0] is int:
            return Plain(rng.integers(0, 3, shape[1]).tolist())
        arrays.append(array(rng, shape, low, high))
        return None

    return Sample(kind, name, schema, arrays, keywords, [slot(s) for s in shapes])


def samples():
    """A call or more of each operation that Python sees, the first name of each schema."""
    module = compare.candidate
    table = module._wengert._op_table() if hasattr(module, "_wengert") else []
    seen = set()
    for kind, name, schema, _ in table:
        if kind == "in_place" or name.startswith("_") or schema in seen:
            continue
        seen.add(schema)
        key = schema.partition("(")[0]
        if key in LEFT_OUT:
            continue
        for i, (shapes, keywords) in enumerate(SPECIAL.get(key) or from_schema(key, schema)):
            yield built(kind, name, schema, shapes, keywords, seed=len(seen) * 10 + i)


def refusal(sample):
    """Why torch cannot make the call, or None. What takes no floats is no matter here."""
    try:
        sample(compare.torch, *map(compare.torch.tensor, sample.arrays))
    except Exception as error:
        return None if "not implemented for 'Double'" in str(error) else f"{sample}: {error}"
    return None


def differentiable(sample):
    """True if torch's result has a derivative."""
    torch = compare.torch
    tensors = [torch.tensor(a, requires_grad=True) for a in sample.arrays]
    try:
        result = sample(torch, *tensors)
    except Exception:
        return False
    return any(compare.is_tensor(t) and t.requires_grad for t in compare.flatten(result))
