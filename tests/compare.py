"""Runs the same lines under torch and under the candidate, and compares what comes out.

`check` is for one function of tensors: values, dtypes, gradients, second gradients, errors.
`scenario` is for a story of several lines: each value it yields is compared.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import re
import warnings

import numpy as np
import pytest

try:
    import torch
except ImportError:  # the comparison is what these tests are for: say so once per test
    torch = None

candidate = importlib.import_module(os.environ.get("WENGERT_CANDIDATE", "wengert"))
if torch is not None:
    torch.set_num_threads(1)

#: How many results of torch were compared with the candidate's so far.
comparisons = 0

# As torch.testing.assert_close: (relative, absolute).
TOLERANCE = {"float16": (1e-3, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}
# Beyond the tolerance, float32 may still be this many times as far from float64 as torch is.
SLACK = 4.0


def count():
    """Notes that one thing is being compared with torch, which must be there."""
    global comparisons
    if torch is None:
        pytest.fail("torch is not installed, and it is what these tests compare with")
    comparisons += 1


# --- Values --------------------------------------------------------------------------------------


def is_tensor(value):
    return type(value).__name__ in ("Tensor", "Parameter") and hasattr(value, "grad_fn")


def to_numpy(tensor):
    """A copy of the tensor's numbers; bfloat16, which NumPy lacks, as float32."""
    tensor = tensor.detach()
    if isinstance(tensor, torch.Tensor) and tensor._is_zerotensor():
        tensor = tensor.clone()
    return np.array((tensor.float() if "bfloat16" in str(tensor.dtype) else tensor).numpy())


def flatten(result):
    """Tensors and plain values of a nested result, in order."""
    if isinstance(result, (tuple, list)) and type(result).__name__ != "Size":
        return [leaf for part in result for leaf in flatten(part)]
    return [result]


def describe(value):
    """What of a value must be the same under both libraries, its numbers excepted."""
    if is_tensor(value):
        node = value.grad_fn.name() if value.grad_fn is not None else None
        return ("tensor", str(value.dtype), tuple(value.shape), value.requires_grad, node)
    if type(value).__name__ == "Size":
        return ("Size", tuple(value))
    if type(value).__name__ in ("dtype", "device", "layout"):
        return str(value)
    return (type(value).__name__, value)


def same_numbers(ours, theirs, exact, what, reference=None, sums=False):
    """Fails unless two arrays agree; `reference()` gives the same result in float64.

    An element of float32 may be `SLACK` times as far from that as torch's. Where the elements are
    long `sums` of terms that cancel, torch's own may be near by chance: its farthest counts.
    """
    if exact or ours.dtype.kind not in "fc":
        np.testing.assert_array_equal(ours, theirs, err_msg=what)
        return
    rtol, atol = TOLERANCE.get(ours.dtype.name, (1e-6, 1e-6))
    close = np.isclose(ours, theirs, rtol=rtol, atol=atol, equal_nan=True)
    if close.all():
        return
    if reference is not None and ours.dtype == np.float32:
        with np.errstate(all="ignore"):
            true = reference()
            error = np.abs(ours - true)
            allowed = np.abs(theirs - true)
            close |= error <= SLACK * (allowed.max() if sums else allowed) + 1e-30
        if close.all():
            return
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol, err_msg=what)
    raise AssertionError(f"{what}: {ours} is not {theirs}")


# --- Errors --------------------------------------------------------------------------------------


def first_sentence(error):
    """The error's type and first sentence, which is what must agree."""
    text = str(error).strip().split("\n")[0]
    text = re.split(r"(?<=[^.][.!?]) (?=[A-Z])", text)[0]
    # Python's own words for a wrong call carry the name of the module or class.
    text = re.sub(r"\bwengert(\._\w+)*", "torch", text)
    return f"{type(error).__name__}: {text.rstrip('.')}"


def caught(function, *args, **kwargs):
    """The error that a call ends with, as `first_sentence` gives it, or None."""
    try:
        function(*args, **kwargs)
    except Exception as error:
        return first_sentence(error)
    return None


def warned(function, *args, **kwargs):
    """The result of a call, and the first sentence of each warning it gave."""
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        result = function(*args, **kwargs)
    return result, [first_sentence(w.message) for w in given]


# --- One function --------------------------------------------------------------------------------


class Arg:
    """A NumPy array and the layout it has as a tensor: see `LAYOUTS`."""

    def __init__(self, array, layout="contiguous", grad=True):
        self.shape = np.shape(array)
        self.base, self.view = LAYOUTS[layout](np.asarray(array))
        self.layout = layout
        self.grad = grad and self.base.dtype.kind in "fc"

    def __repr__(self):
        return f"{self.layout}({self.base.dtype.name}, {self.base.tolist()!r})"

    def leaf(self, module, widen=False):
        """The tensor that owns the memory."""
        base = (
            self.base.astype(np.float64) if widen and self.base.dtype == np.float32 else self.base
        )
        tensor = module.tensor(base.copy())
        return tensor.requires_grad_() if self.grad else tensor


def _contiguous(a):
    return a, lambda t: t


def _sliced(a):
    """Every second element of each dimension of a larger tensor."""
    base = np.full([2 * n + 1 for n in a.shape], 7, dtype=a.dtype)
    index = tuple(slice(1, None, 2) for _ in a.shape)
    base[index] = a
    return base, lambda t: t[index] if index else t


def _permuted(a):
    if not a.ndim:
        return _contiguous(a)
    return np.array(a.T, order="C"), lambda t: t.permute(*range(t.ndim - 1, -1, -1))


def _expanded(a):
    """The first row, seen as often as there are rows (this changes the values)."""
    if not a.ndim or not a.shape[0]:
        return _contiguous(a)
    return np.ascontiguousarray(a[:1]), lambda t: t.expand(a.shape)


def _negative(a):
    """Read backwards. torch has no negative strides: it gets the flipped copy."""
    if not a.ndim:
        return _contiguous(a)
    dims = tuple(range(a.ndim))
    index = tuple(slice(None, None, -1) for _ in dims)

    def view(t):
        return t.flip(dims) if isinstance(t, torch.Tensor) else t[index]

    return np.array(a[index], order="C"), view


LAYOUTS = {
    "contiguous": _contiguous,
    "sliced": _sliced,
    "permuted": _permuted,
    "expanded": _expanded,
    "negative": _negative,
}


class Run:
    """What one library made of `fn(module, *tensors)`: results, derivatives, or an error."""

    def __init__(self, module, fn, args, orders, widen=False):
        self.module = module
        self.error, self.outputs, self.grads, self.seconds = None, [], [], []
        leaves = [arg.leaf(module, widen) for arg in args]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.outputs = flatten(fn(module, *[a.view(x) for a, x in zip(args, leaves)]))
                self.differentiate([leaf for leaf in leaves if leaf.requires_grad], orders)
        except Exception as error:
            self.error = first_sentence(error)

    def differentiate(self, leaves, orders):
        roots = [t for t in self.outputs if is_tensor(t) and t.requires_grad]
        if not (orders and roots and leaves):
            return
        cotangents = [self.cotangent(i, t) for i, t in enumerate(roots)]
        self.grads = self.derive(roots, leaves, cotangents, orders > 1)
        firsts = [g for g in self.grads if g is not None and g.requires_grad]
        if orders < 2 or not firsts:
            return
        again = [self.cotangent(100 + i, t) for i, t in enumerate(firsts)]
        inputs = leaves + cotangents
        # Whether a second derivative is absent or zero depends on the form of the formula.
        self.seconds = [
            self.module.zeros_like(x) if g is None else g
            for g, x in zip(self.derive(firsts, inputs, again, False), inputs)
        ]

    def cotangent(self, seed, output):
        """Random numbers shaped like an output, requiring a gradient themselves."""
        values = np.random.default_rng(seed).uniform(0.5, 1.5, tuple(output.shape))
        return self.module.tensor(values, dtype=output.dtype).requires_grad_()

    def derive(self, roots, inputs, cotangents, create_graph):
        return self.module.autograd.grad(
            roots, inputs, cotangents, create_graph=create_graph, retain_graph=True,
            allow_unused=True,
        )  # fmt: skip


def check(fn, *args, orders=2, exact=False, names=True, sums=False):
    """`fn(module, *tensors)` must give the same under torch and the candidate.

    `args` are arrays or `Arg`s; `orders` is how many derivatives are compared; `exact` asks for
    equal bits of the results; `names` includes the name of each result's `grad_fn`; `sums` says
    that the elements of all results are long sums.
    """
    count()
    args = [arg if isinstance(arg, Arg) else Arg(arg) for arg in args]
    # Where torch has a flipped copy, copies and views change places.
    names = names and all(arg.layout != "negative" for arg in args)
    ours, theirs = (Run(module, fn, args, orders) for module in (candidate, torch))
    assert ours.error == theirs.error, f"error {ours.error!r}, torch's {theirs.error!r}"
    wide = functools.lru_cache(None)(lambda: Run(torch, fn, args, orders, widen=True))
    for part in ("outputs", "grads", "seconds"):
        mine, other = getattr(ours, part), getattr(theirs, part)
        assert len(mine) == len(other), f"{len(mine)} {part}, torch's {len(other)}"
        for i, (a, b) in enumerate(zip(mine, other)):
            what = f"{part}[{i}]"
            described = [describe(a), describe(b)]
            if is_tensor(a) and (not names or part != "outputs"):
                described = [d[:3] for d in described]
            if isinstance(b, float):
                np.testing.assert_allclose(a, b, rtol=1e-6, err_msg=what)
            else:
                assert described[0] == described[1], what
            if is_tensor(a):
                bits = exact and part == "outputs"
                same_numbers(to_numpy(a), to_numpy(b), bits, what, reference(wide, part, i), sums)


def reference(wide, part, index):
    """The same result computed by torch in float64, where it exists there."""

    def values():
        found = getattr(wide(), part)
        return to_numpy(found[index]) if index < len(found) and is_tensor(found[index]) else np.nan

    return values


# --- A story -------------------------------------------------------------------------------------


def scenario(story):
    """Makes a test of a generator `story(t, ...)`: what it yields under torch, it must yield under
    the candidate. Tensors are compared by flags, numbers and node; the rest by equality."""

    @functools.wraps(story)
    def test(**kwargs):
        count()
        theirs, ours = told(story, torch, kwargs), told(story, candidate, kwargs)
        for (line, expected), (_, found) in zip(theirs, ours):
            where = f"{story.__code__.co_filename}:{line}"
            assert len(found) == len(expected), f"{where}: {found} is not {expected}"
            for mine, other in zip(found, expected):
                assert mine[0] == other[0], f"{where}: {mine[0]}, torch's {other[0]}"
                same_numbers(mine[1], other[1], False, where)
        assert len(ours) == len(theirs)

    signature = inspect.signature(story)
    test.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])
    del test.__wrapped__
    return test


def told(story, module, kwargs):
    """What a story yields, each with its line: a later line may change a tensor in place."""
    telling = story(module, **kwargs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            (telling.gi_frame.f_lineno, [snapshot(value) for value in flatten(values)])
            for values in telling
        ]


def snapshot(value):
    """`(what must be equal, numbers that must be close)` of a value as it is now."""
    if is_tensor(value):
        facts = (*describe(value), value.is_leaf)
        return facts, to_numpy(value)
    if isinstance(value, (float, np.ndarray)):
        return type(value).__name__, np.array(value)
    return describe(value), np.zeros(0)
