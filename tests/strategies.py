"""What hypothesis draws: shapes, partners that broadcast, dtypes, numbers, layouts."""

from __future__ import annotations

import numpy as np
from compare import LAYOUTS, Arg
from hypothesis import strategies as st

FLOATS = ("float32", "float64")
INTEGERS = ("int64", "int32")
DTYPES = (*FLOATS, *INTEGERS, "bool")

seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from(DTYPES)
floats = st.sampled_from(FLOATS)
layouts = st.sampled_from(sorted(LAYOUTS))
# Long enough now and then for every vector width, with a tail.
sizes = st.one_of(st.integers(0, 5), st.sampled_from([7, 16, 17, 33, 67]))


def shapes(min_dims=0, max_dims=4, limit=600):
    """Shapes with a bounded number of elements, empty and 0-d ones among them."""
    drawn = st.lists(sizes, min_size=min_dims, max_size=max_dims).map(tuple)
    return drawn.filter(lambda shape: np.prod(shape) <= limit)


@st.composite
def broadcast_pair(draw, shape=None):
    """Two shapes that broadcast together: some sizes made 1, some leading ones dropped."""
    shape = draw(shapes()) if shape is None else shape
    pair = []
    for _ in range(2):
        dropped = draw(st.integers(0, len(shape)))
        kept = shape[dropped:] if draw(st.booleans()) else shape
        pair.append(tuple(1 if draw(st.integers(0, 3)) == 0 else n for n in kept))
    return tuple(pair)


# --- Numbers -------------------------------------------------------------------------------------


def special(dtype):
    """Numbers at the edges of a floating-point type."""
    info = np.finfo(dtype)
    edges = [0.0, np.inf, np.nan, info.max, info.tiny, info.smallest_subnormal, 1.0, 0.5, 2.0]
    return np.array(edges + [-x for x in edges], dtype=dtype)


def numbers(seed, shape, dtype, domain=(-4.0, 4.0), specials=False):
    """An array of random numbers; `domain` bounds the ordinary ones."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    low, high = domain
    if dtype.kind in "iu":
        low, high = int(np.ceil(max(low, -100))), int(min(high, 100))
        return rng.integers(low, max(low, high) + 1, shape).astype(dtype)
    values = rng.uniform(low, high, shape).astype(dtype)
    if specials:
        edge = rng.random(shape) < 0.3
        values = np.where(edge, rng.choice(special(dtype), shape), values).astype(dtype)
    return values


@st.composite
def args(draw, shape=None, dtype=None, domain=(-4.0, 4.0), specials=False, layout=None):
    """One tensor's array and layout."""
    shape = draw(shapes()) if shape is None else shape
    dtype = draw(dtypes) if dtype is None else dtype
    array = numbers(draw(seeds), shape, dtype, domain, specials and draw(st.booleans()))
    return Arg(array, draw(layouts) if layout is None else layout)


def dims_of(draw, ndim, one=False):
    """A dim, a tuple of distinct dims or None, counted from either end; now and then a wrong one."""
    if draw(st.integers(0, 19)) == 0:
        return ndim + 1
    if not ndim:
        return draw(st.sampled_from([0, -1] if one else [None, 0, -1]))
    if one or draw(st.booleans()):
        return draw(st.integers(-ndim, ndim - 1))
    if draw(st.integers(0, 3)) == 0:
        return None
    dims = draw(st.sets(st.integers(0, ndim - 1), min_size=1))
    return tuple(d - ndim if draw(st.booleans()) else d for d in sorted(dims))
