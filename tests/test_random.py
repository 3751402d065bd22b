"""The same seed gives torch's numbers, to the last bit."""

import os
from hashlib import md5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare import candidate, count, scenario, to_numpy, torch

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
# Every size in which a vector loop can end, then coarser; every one of them in deep runs.
SIZES = range(1, 10_001) if DEEP else [*range(1, 300), *range(300, 10_000, 97), 9_999, 10_000]

DRAWS = {
    "rand": lambda t, n, dtype: t.rand(n, dtype=dtype),
    "randn": lambda t, n, dtype: t.randn(n, dtype=dtype),
    "normal": lambda t, n, dtype: t.normal(2.0, 3.0, (n,), dtype=dtype),
    "normal_of_means": lambda t, n, dtype: t.normal(t.arange(n, dtype=dtype), 0.5),
    "normal_of_both": lambda t, n, dtype: t.normal(t.zeros(n, dtype=dtype), t.ones(n, dtype=dtype)),
    "normal_": lambda t, n, dtype: t.empty(n, dtype=dtype).normal_(1, 2),
    "uniform_": lambda t, n, dtype: t.empty(n, dtype=dtype).uniform_(-1, 2),
    "rand_like": lambda t, n, dtype: t.rand_like(t.empty(n, dtype=dtype)),
    "randn_like": lambda t, n, dtype: t.randn_like(t.empty(n, dtype=dtype)),
}
INTEGER_DRAWS = {
    "randint": lambda t, n: t.randint(10, (n,)),
    "randint_low": lambda t, n: t.randint(-5, 1000, (n,)),
    "randint_wide": lambda t, n: t.randint(0, 2**40, (n,)),
    "randint_float": lambda t, n: t.randint(0, 7, (n,), dtype=t.float32),
    "randint_int32": lambda t, n: t.randint(0, 7, (n,), dtype=t.int32),
    "randperm": lambda t, n: t.randperm(n),
}


def drawn(t, seed, draws):
    """dtype, shape and a digest of the bits of each of several draws from one seed."""
    t.manual_seed(seed)
    arrays = (to_numpy(draw(t)) for draw in draws)
    return [(a.dtype.name, a.shape, md5(a.tobytes()).hexdigest()) for a in arrays]


def same_bits(draws, seed=0):
    """The draws follow each other: the state that one leaves is the next one's start."""
    for _ in draws:
        count()
    assert drawn(candidate, seed, draws) == drawn(torch, seed, draws)


def of_sizes(draw, sizes, *more):
    return [lambda t, n=n: draw(t, n, *[getattr(t, name) for name in more]) for n in sizes]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", DRAWS)
def test_every_size(name, dtype):
    same_bits(of_sizes(DRAWS[name], SIZES, dtype))


@pytest.mark.parametrize("name", INTEGER_DRAWS)
def test_every_size_of_integers(name):
    same_bits(of_sizes(INTEGER_DRAWS[name], SIZES))


@pytest.mark.parametrize("size", [0, 1 << 16, 300_001])
def test_large(size):
    for draw in DRAWS.values():
        same_bits(of_sizes(draw, [size], "float32"))
    for draw in INTEGER_DRAWS.values():
        same_bits(of_sizes(draw, [size]))


@given(st.integers(-(2**63), 2**64 - 1), st.data())
def test_mixed_draws(seed, data):
    """Draws of different kinds share one state (and a cached second normal number)."""
    draws = []
    for _ in range(data.draw(st.integers(1, 6))):
        sizes = [data.draw(st.integers(0, 40))]
        name = data.draw(st.sampled_from([*DRAWS, *INTEGER_DRAWS]))
        if name in DRAWS:
            dtype = data.draw(st.sampled_from(["float32", "float64"]))
            draws += of_sizes(DRAWS[name], sizes, dtype)
        else:
            draws += of_sizes(INTEGER_DRAWS[name], sizes)
    same_bits(draws, seed)


@scenario
def test_seeds_and_forms(t):
    generator = t.manual_seed(42)
    yield t.initial_seed(), type(generator).__name__, t.rand(2, 3), t.rand((2, 3)), t.rand([2])
    yield t.rand(()), t.randn(1, 2, 3), t.randint(0, 5, size=(2, 2)), t.randint(high=3, size=(4,))
    yield t.normal(0.0, 1.0, size=(2, 2)), t.randn(3, requires_grad=True), t.randperm(5)
    for seed in (0, 1, -1, 2**31, 2**63, 2**64 - 1):
        t.manual_seed(seed)
        yield t.rand(3), t.randn(20)


@scenario
def test_state(t):
    """The generator's state is saved and restored, in torch's own format."""
    t.manual_seed(7)
    t.randn(5)
    state = t.get_rng_state()
    yield state.dtype, state.shape, state.tolist()
    first = t.randn(3)
    t.set_rng_state(state)
    yield first, t.randn(3)


@scenario
def test_into_views(t):
    """Filling memory that is not dense draws in the order of the elements."""
    t.manual_seed(3)
    x = t.zeros(8, 8)
    x[:, ::2].normal_()
    x.t()[1::2].uniform_(0, 1)
    yield x
    yield t.zeros(5, 7).t().normal_(), t.randn(4, 5).t()
