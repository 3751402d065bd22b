"""What `repr`, `str`, `format` give, to the character."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from compare import Arg, candidate, check, count, scenario, torch
from strategies import DTYPES, args, dtypes, numbers, seeds, shapes

OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "precision": st.integers(0, 9),
        "threshold": st.sampled_from([0, 3, 10, 1000]),
        "edgeitems": st.integers(1, 4),
        "linewidth": st.sampled_from([20, 40, 80, 120]),
        "sci_mode": st.sampled_from([None, True, False]),
        "profile": st.sampled_from(["default", "short", "full"]),
    },
)


def same_text(array, options=None, prepare=lambda t, x: x):
    """`repr` and `str` under the same printing options."""
    texts = []
    for t in (candidate, torch):
        t.set_printoptions(profile="default")
        if options:
            t.set_printoptions(**options)
        x = prepare(t, t.tensor(array))
        texts.append([repr(x), str(x)])
    count()
    assert texts[0] == texts[1]


@st.composite
def printed_numbers(draw):
    """Numbers of mixed magnitude: what decides between fixed and scientific notation."""
    shape = draw(shapes(limit=300))
    dtype = draw(dtypes)
    rng = np.random.default_rng(draw(seeds))
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype.startswith("int"):
        top = 10 ** draw(st.integers(0, 9))
        return rng.integers(-top, top + 1, shape).astype(dtype)
    low = draw(st.integers(-12, 12))
    high = low + draw(st.integers(0, 9))
    values = rng.choice([-1, 1], shape) * 10.0 ** rng.uniform(low, high, shape)
    if draw(st.booleans()):
        values = np.round(values)
    if draw(st.integers(0, 2)) == 0:
        odd = rng.choice([0.0, -0.0, np.nan, np.inf, -np.inf, 1.0], shape)
        values = np.where(rng.random(shape) < 0.3, odd, values)
    with np.errstate(over="ignore"):
        return np.asarray(values).astype(dtype)


@given(printed_numbers())
def test_numbers(array):
    same_text(array)


@given(printed_numbers(), OPTIONS)
def test_options(array, options):
    same_text(array, options)


@given(st.floats(allow_nan=True, width=32), st.floats(width=64))
def test_any_float(a, b):
    """Any bit pattern, alone and together."""
    same_text(np.float32(a))
    same_text(np.float64(b))
    same_text(np.array([a, a, 1], dtype=np.float32))
    same_text(np.array([a, b]))


@given(st.lists(st.floats(0.0, 1e6, width=32), min_size=1, max_size=9), st.integers(0, 8))
def test_rounding_at_the_last_digit(values, precision):
    """Halves at the last printed digit round as C's printf does."""
    values = [np.round(v * 16) / 16 for v in values]
    same_text(np.array(values, dtype=np.float32), {"precision": precision})


@given(seeds, st.sampled_from([(1001,), (40, 30), (7, 200), (2000, 1), (3, 20, 30), (2, 3, 400),
                               (11, 12, 13), (1500, 2, 1), (0, 2000), (4, 5, 6, 10)]),
       st.sampled_from(DTYPES), st.integers(1, 4))  # fmt: skip
def test_summarised(seed, shape, dtype, edgeitems):
    same_text(numbers(seed, shape, dtype, (-1000, 1000)), {"edgeitems": edgeitems})


@given(args(specials=True))
def test_layouts(x):
    check(lambda t, x: (repr(x.detach()), str(x.detach() if x.ndim else x)), Arg(x.base))
    check(lambda t, x: repr(x.detach()), x)


@scenario
def test_suffixes(t):
    x = t.tensor([1.0, 2.5], requires_grad=True)
    yield repr(x), repr(x * 2), repr(x.sum()), repr(x.detach()), repr([x, x]), repr({"a": x})
    yield repr(x.double()), repr(t.zeros(2, dtype=t.int32)), repr(t.tensor([True]))
    yield repr(t.zeros(0)), repr(t.zeros(2, 0, 3)), repr(t.zeros(0, dtype=t.int64))
    yield repr(t.zeros(0, 3, requires_grad=True)), repr(t.zeros(0, dtype=t.float64) * 1)
    yield repr(t.tensor(1.5)), repr(t.tensor(7)), repr(t.tensor(True)), repr(t.tensor(1e-9))
    yield repr(t.arange(30.0).reshape(2, 15) * 1e5), repr(x.expand(3, 2)), str(x), f"{x}"
    y = t.arange(24.0).reshape(2, 3, 4).requires_grad_()
    for z in (y, y * 1, y + 1, -y, y.sum(0), y.view(-1), y.t() if y.ndim < 3 else y.mT, y[0], y**2):
        yield repr(z)
    yield repr(y.max(0)), repr(y.unbind(0)), repr(y.exp().log().sqrt()), repr((y @ y.mT).relu())


@scenario
def test_other_objects(t):
    yield repr(t.Size([2, 3])), str(t.Size([])), repr(t.float32), str(t.int64), repr(t.bool)
    yield repr(t.device("cpu")), str(t.device("cpu")), repr(t.zeros(1).device)
    yield repr(t.zeros(2).layout), f"{t.tensor(2.5):.3f}", f"{t.tensor(7):d}", f"{t.tensor(3.0)}"
    yield "%s" % t.tensor([1]), format(t.tensor(1.5), ""), str(t.zeros(2, 2).shape)


@scenario
def test_options_of_several_calls(t):
    x = t.tensor([1 / 3, 1e-5, 12345.678])
    t.set_printoptions(precision=2)
    yield repr(x)
    t.set_printoptions(sci_mode=False)
    yield repr(x)
    t.set_printoptions(sci_mode=True)
    yield repr(x), repr(t.arange(3)), repr(t.arange(3.0))
    t.set_printoptions(profile="short")
    yield repr(x), repr(t.arange(2000.0))
    t.set_printoptions(profile="full")
    yield len(repr(t.arange(2000.0)))
    t.set_printoptions(profile="default")
    yield repr(x)
