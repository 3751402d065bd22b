"""cat and stack."""

from hypothesis import given
from hypothesis import strategies as st

from compare import check, scenario
from strategies import args, dims_of, dtypes, shapes


@given(data=st.data())
def test_cat(data):
    shape = data.draw(shapes(1, 3))
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    parts = []
    for _ in range(data.draw(st.integers(1, 4))):
        size = list(shape)
        size[dim] = data.draw(st.integers(0, 4))
        parts.append(data.draw(args(tuple(size), dtype=data.draw(dtypes))))
    check(lambda t, *parts: t.cat(parts, dim), *parts, exact=True)
    check(lambda t, *parts: t.concat(list(parts), dim=dim), *parts, exact=True)


@given(data=st.data())
def test_stack(data):
    shape = data.draw(shapes(0, 3))
    dim = dims_of(data.draw, len(shape) + 1, one=True)
    parts = [data.draw(args(shape)) for _ in range(data.draw(st.integers(1, 4)))]
    check(lambda t, *parts: t.stack(parts, dim=dim), *parts, exact=True)


@scenario
def test_odd_cases(t):
    x = t.ones(2, 3, requires_grad=True)
    yield t.cat([x, t.zeros(0), x]), t.cat((x, x.detach()), axis=1), t.stack([x, x])
    y = t.cat([x, x * 2, x])
    yield y
    (y * y).sum().backward()
    yield x.grad
