"""`gradcheck`: what it finds, and what it says of every operation of the table."""

import pytest

import compare
import op_samples
from compare import caught, scenario

SAMPLES = [s for s in op_samples.samples() if op_samples.differentiable(s)]


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_every_operation(wt, sample):
    inputs = [wt.tensor(a, requires_grad=True) for a in sample.arrays]
    call = lambda *tensors: sample(wt, *tensors)  # noqa: E731
    try:
        assert wt.autograd.gradcheck(call, inputs, check_forward_ad=True)
    except RuntimeError as error:
        # `floor_divide` refuses a gradient, as torch's does.
        if "is not implemented" not in str(error):
            raise
        return
    outputs = [t for t in compare.flatten(call(*inputs)) if compare.is_tensor(t)]
    first = wt.autograd.grad(
        [t.sum() * 1.0 for t in outputs if t.requires_grad], inputs, create_graph=True,
        allow_unused=True,
    )  # fmt: skip
    assert any(g is not None for g in first)
    assert wt.autograd.gradgradcheck(call, inputs, check_fwd_over_rev=True)


@scenario
def test_good_functions(t):
    x = t.tensor([1.0, 2.0], dtype=t.float64, requires_grad=True)
    y = t.tensor([0.5, 0.3], dtype=t.float64, requires_grad=True)
    yield t.autograd.gradcheck(lambda x: x * x, x)
    yield t.autograd.gradcheck(lambda x, y: (x * y, y.exp()), (x, y), check_forward_ad=True)
    yield t.autograd.gradcheck(lambda x, y: x * y.detach() + y, (x, y.detach()), fast_mode=True)
    yield t.autograd.gradcheck(lambda x: x * x, x, check_batched_grad=True)
    yield t.autograd.gradgradcheck(lambda x, y: x.exp() * y, (x, y))
    yield t.autograd.gradgradcheck(lambda x: x**3, x, grad_outputs=t.ones_like(x))
    yield t.autograd.gradgradcheck(lambda x: x**3, x, gen_non_contig_grad_outputs=True)
    yield t.autograd.gradcheck(lambda x: (x > 0).double(), x)


@scenario
def test_wrong_derivatives(t):
    x = t.tensor([1.0, 2.0], dtype=t.float64, requires_grad=True)

    def wrong(x):
        return x.detach() * x

    yield caught(t.autograd.gradcheck, wrong, x)
    yield t.autograd.gradcheck(wrong, x, raise_exception=False)
    yield caught(t.autograd.gradcheck, lambda x: x.detach(), x)
    yield caught(t.autograd.gradcheck, lambda x: x * 2, x.detach())
    yield caught(t.autograd.gradcheck, lambda x: x, x, check_backward_ad=False)
    yield caught(
        t.autograd.gradcheck, lambda x: x, x, check_backward_ad=False, check_batched_grad=True
    )
    yield t.autograd.gradgradcheck(lambda x: x.detach() * x * x, x, raise_exception=False)
