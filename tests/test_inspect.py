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


def said(function, *args):
    """The text of the error that a call ends with."""
    with pytest.raises(RuntimeError) as error:
        function(*args)
    return str(error.value)


def test_which_write_changed_a_saved_value():
    x = wengert.ones(2, requires_grad=True)
    y = x * 1
    with inspect.record_call_sites():
        z = y.exp() * y
        y.view(2, 1)[1].add_(1), line()
        at = line() - 1
        y.mul_(2)
    text = said(z.sum().backward)
    assert text.startswith("one of the variables needed for gradient computation has been modified")
    assert text.endswith(f"check_nan=False).\nThe write was at {__file__}:{at}.")
    assert inspect.written_at(z) == (__file__, at, "test_which_write_changed_a_saved_value")
    assert inspect.written_at(y) is None
    y = x * 1
    z = y.exp()
    z.mul_(2)
    assert "The write" not in said(z.sum().backward)


def test_writes_to_memory_used_before_are_not_taken_for_its_own():
    with inspect.record_call_sites():
        for _ in range(100):
            wengert.ones(2).add_(1)
    for _ in range(100):
        y = wengert.ones(2, requires_grad=True) * 1
        z = y.exp()
        z.add_(1)
        assert "The write" not in said(z.sum().backward)
        assert inspect.written_at(z.grad_fn.next_functions[0][0]) is None


def test_which_pass_freed_a_node():
    x = wengert.ones(2, requires_grad=True)

    class Double(wengert.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2 * ctx.saved_tensors[0]

    base = x * 1
    base[:1].mul_(x[1:])
    with inspect.record_call_sites():
        for y in (x.exp(), Double.apply(x), base):
            wengert.autograd.grad(y.sum(), x)
            assert inspect.freed_at(y).lineno == line() - 1
            text = said(y.sum().backward)
            assert text.startswith("Trying to backward through the graph a second time")
            assert text.endswith(
                f"after calling backward.\nThe backward call that freed them was at {__file__}:"
                f"{inspect.freed_at(y).lineno}."
            )
        kept = x.exp()
        kept.sum().backward(retain_graph=True)
        assert inspect.freed_at(kept) is None
        kept.sum().backward(), line()
        assert inspect.freed_at(kept).lineno == line() - 1
        assert f":{line() - 2}." in said(lambda: kept.grad_fn._saved_result)
    y = x.exp()
    y.sum().backward()
    assert inspect.freed_at(y) is None
    assert said(y.sum().backward).endswith("after calling backward.")
