"""What the tape tells about itself (`wengert.inspect`, which torch does not have)."""

import inspect as python_inspect

import pytest

wengert = pytest.importorskip("wengert")
from wengert import inspect  # noqa: E402

pytestmark = pytest.mark.wengert_only


def line():
    return python_inspect.currentframe().f_back.f_lineno


def test_call_sites():
    x = wengert.ones(2, 3, requires_grad=True)
    assert inspect.call_site(x * 2) is None
    with inspect.record_call_sites():
        product, at = x * 2, line()
        total, below = product.sum(), line()
        (view, first), there = (x.t(), x[0]), line()
    expected = [(product, at), (total, below), (view, there), (first, there)]
    for tensor, number in expected:
        site = inspect.call_site(tensor)
        assert site == (__file__, number, "test_call_sites")
        assert inspect.call_site(tensor.grad_fn) == site
    assert inspect.call_site(x) is None
    assert inspect.call_site(x + 1) is None
    total.backward()
    assert inspect.call_site(product).lineno == at


def test_the_mode_nests():
    x = wengert.ones(1, requires_grad=True)
    inspect.record_call_sites(True)
    with inspect.record_call_sites(False):
        assert inspect.call_site(x * 1) is None
    assert inspect.call_site(x * 1) is not None
    inspect.record_call_sites(False)
    assert inspect.call_site(x * 1) is None
