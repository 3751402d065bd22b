"""Compares derivatives with finite differences."""

from .. import _wengert
from .._wengert import Tensor
from . import forward_ad, grad
from .grad_mode import no_grad

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """A derivative that `gradcheck` or `gradgradcheck` found wrong."""


def _tuple(value):
    if isinstance(value, tuple):
        return value
    return tuple(value) if isinstance(value, list) else (value,)


def _checked(t):
    return isinstance(t, Tensor) and t.requires_grad


def _outputs(result):
    """The outputs that can have derivatives."""
    return tuple(t for t in _tuple(result) if isinstance(t, Tensor) and t.requires_grad)


def gradcheck(
    func,
    inputs,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    raise_exception=True,
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=False,
    check_batched_grad=False,
    check_batched_forward_grad=False,
    check_forward_ad=False,
    check_backward_ad=True,
    fast_mode=False,
    masked=None,
):
    """True if the gradients of `func` agree with finite differences at `inputs`.

    Raises GradcheckError if they do not (returns False without `raise_exception`), ValueError if
    no input requires a gradient. `fast_mode` computes the whole Jacobian all the same.

    >>> x = torch.ones(2, dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradcheck(lambda x: x * x, x)
    True
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError(
            "Expected at least one of check_forward_ad or check_backward_ad to be True"
        )
    if check_batched_grad and not check_backward_ad:
        raise AssertionError(
            "Setting check_batched_grad=True requires check_backward_ad to be True"
        )
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError(
            "Setting check_batched_forward_grad=True requires check_forward_ad to be True"
        )
    check = _Check(func, _tuple(inputs), eps, atol, rtol)
    try:
        check.inputs_fit()
        if not _outputs(func(*check.inputs)):
            check.constant()
            return True
        numbers = check.numerical()
        if check_forward_ad:
            check.compare(numbers, check.forward(), "computed with forward mode ")
        if check_backward_ad:
            # Made only now: the inputs were written to.
            outputs = _outputs(func(*check.inputs))
            check.backward(numbers, nondet_tol, check_grad_dtypes)
            check.multiplied_by_grad(outputs)
            if check_undefined_grad:
                check.undefined_grads(func)
            if check_batched_grad:
                check.batched(outputs)
        return True
    except GradcheckError:
        if raise_exception:
            raise
        return False


class _Check:
    """A function, its inputs, and its Jacobian by several ways: a dict `(output, input)` to a
    matrix of one row per element of the input."""

    def __init__(self, func, inputs, eps, atol, rtol):
        self.func, self.inputs = func, inputs
        self.eps, self.atol, self.rtol = eps, atol, rtol
        self.places = [i for i, t in enumerate(inputs) if _checked(t)]

    def wanted(self):
        return [self.inputs[i] for i in self.places]

    def inputs_fit(self):
        if not self.places:
            raise ValueError(
                "gradcheck expects at least one input tensor to require gradient, but none of "
                "them have requires_grad=True."
            )
        for i in self.places:
            t = self.inputs[i]
            if t.dtype != _wengert.float64:
                import warnings

                warnings.warn(
                    f"Input #{i} requires gradient and is not a double precision floating point or "
                    "complex. This check will likely fail if all the inputs are not of double "
                    "precision floating point or complex. ",
                    stacklevel=4,
                )
            if any(s == 0 and n > 1 for s, n in zip(t.stride(), t.shape)):
                raise RuntimeError(
                    f"The {i}th input has a dimension with stride 0. gradcheck only supports "
                    "inputs that are non-overlapping to be able to compute the numerical gradients "
                    "correctly. You should call .contiguous on the input before passing it to "
                    "gradcheck."
                )

    def values(self):
        """The outputs that count, by number, as they are now."""
        result = _tuple(self.func(*self.inputs))
        return {
            k: t.detach().clone()
            for k, t in enumerate(result)
            if isinstance(t, Tensor) and t.is_floating_point()
        }

    def numerical(self):
        """Central differences."""
        found = {}
        for i in self.places:
            flat = self.inputs[i].data
            for index in _indices(flat.shape):
                before = flat[index].item()
                flat[index] = before + self.eps
                above = self.values()
                flat[index] = before - self.eps
                below = self.values()
                flat[index] = before
                for k in above:
                    row = (above[k] - below[k]).reshape(-1) / (2 * self.eps)
                    found.setdefault((k, i), []).append(row)
        return {key: _wengert.stack(rows) for key, rows in found.items()}

    def constant(self):
        """No output requires a gradient: then none may depend on an input."""
        for matrix in self.numerical().values():
            if not _wengert.allclose(matrix, _wengert.zeros_like(matrix), self.rtol, self.atol):
                raise GradcheckError("Numerical gradient for function expected to be zero")

    def compare(self, numbers, found, how=""):
        for (k, i), matrix in found.items():
            number = numbers.get((k, i))
            if number is None:
                continue
            if not _wengert.allclose(matrix.to(number.dtype), number, self.rtol, self.atol):
                raise GradcheckError(
                    f"Jacobian {how}mismatch for output {k} with respect to input {i},\n"
                    f"numerical:{number}\nanalytical:{matrix}\n"
                )

    def forward(self):
        """By tangents, one element of an input at a time."""
        found = {}
        plain = [t.detach() if _checked(t) else t for t in self.inputs]
        for i in self.places:
            for index in _indices(plain[i].shape):
                basis = _wengert.zeros_like(plain[i])
                basis[index] = 1
                with forward_ad.dual_level():
                    args = list(plain)
                    args[i] = forward_ad.make_dual(plain[i], basis)
                    for k, out in enumerate(_tuple(self.func(*args))):
                        if not isinstance(out, Tensor) or not out.is_floating_point():
                            continue
                        value, t = forward_ad.unpack_dual(out)
                        t = _wengert.zeros_like(value) if t is None else t
                        found.setdefault((k, i), []).append(t.detach().reshape(-1))
        return {key: _wengert.stack(rows) for key, rows in found.items()}

    def backward(self, numbers, nondet_tol, check_dtypes):
        result = _tuple(self.func(*self.inputs))
        found = {}
        for k, out in enumerate(result):
            if not _checked(out):
                continue
            first = self.gradients(out, check_dtypes)
            again = self.gradients(out, check_dtypes)
            for i, a, b in zip(self.places, first, again):
                if a.numel() and (a - b).abs().max().item() > nondet_tol:
                    raise GradcheckError(
                        "Backward is not reentrant, i.e., running backward with same input and "
                        "grad_output multiple times gives different values, although analytical "
                        "gradient matches numerical gradient.The tolerance for nondeterminism was "
                        f"{nondet_tol}."
                    )
                found[k, i] = a
        self.compare(numbers, found)

    def gradients(self, out, check_dtypes=False):
        """One matrix per input, a backward pass for each element of an output."""
        rows = []
        for index in _indices(out.shape):
            g = _wengert.zeros_like(out)
            g[index] = 1
            row = grad(out, self.wanted(), g, retain_graph=True, allow_unused=True)
            for x, t in zip(row, self.wanted()):
                if x is not None and x.shape != t.shape:
                    raise GradcheckError("Analytical gradient has incorrect size")
                if check_dtypes and x is not None and x.dtype != t.dtype:
                    raise GradcheckError("Gradient has dtype mismatch")
            filled = (
                _wengert.zeros_like(t) if x is None else x for x, t in zip(row, self.wanted())
            )
            rows.append([x.detach().reshape(-1) for x in filled])
        if not rows:
            return [_wengert.zeros(t.numel(), 0, dtype=t.dtype) for t in self.wanted()]
        return [_wengert.stack(column, 1) for column in zip(*rows)]

    def multiplied_by_grad(self, outputs):
        zeros = [_wengert.zeros_like(o) for o in outputs]
        found = grad(outputs, self.wanted(), zeros, retain_graph=True, allow_unused=True)
        for g in found:
            if g is not None and not (g == 0).all():
                raise GradcheckError("backward not multiplied by grad_output")

    def undefined_grads(self, func):
        """Outputs without a gradient count as zero."""
        outputs = _outputs(func(*self.inputs))
        total = sum(o.sum() * 0 for o in outputs)
        for g in grad(total, self.wanted(), allow_unused=True):
            if g is not None and not (g == 0).all():
                raise GradcheckError(
                    "Expected all input grads to be undefined or zero when all output grads are "
                    "undefined or zero. "
                )

    def batched(self, outputs):
        """A batch of gradients gives what they give one by one."""
        for out in outputs:
            batch = _wengert.randn(2, *out.shape, dtype=out.dtype)
            options = {"retain_graph": True, "allow_unused": True}
            together = grad(out, self.wanted(), batch, is_grads_batched=True, **options)
            single = [grad(out, self.wanted(), g, **options) for g in batch]
            for all_, ones in zip(together, zip(*single)):
                if all_ is not None and not _wengert.allclose(all_, _wengert.stack(ones)):
                    raise GradcheckError("While computing batched gradients, got another result")


def _indices(shape):
    import itertools

    return itertools.product(*(range(n) for n in shape))


def gradgradcheck(
    func,
    inputs,
    grad_outputs=None,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    gen_non_contig_grad_outputs=False,
    raise_exception=True,
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=False,
    check_batched_grad=False,
    check_fwd_over_rev=False,
    check_rev_over_rev=True,
    fast_mode=False,
    masked=False,
):
    """True if the gradients of the gradients of `func` agree with finite differences.

    Raises as `gradcheck`. `grad_outputs` are random if left out.

    >>> x = torch.ones(2, dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradgradcheck(lambda x: x ** 3, x)
    True
    """
    if not (check_fwd_over_rev or check_rev_over_rev):
        raise AssertionError(
            "Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True"
        )
    for flag, on in (("undefined", check_undefined_grad), ("batched", check_batched_grad)):
        if on and not check_rev_over_rev:
            raise AssertionError(
                f"Setting check_{flag}_grad=True requires check_rev_over_rev to be True"
            )
    inputs = _tuple(inputs)
    if grad_outputs is None:
        outputs = _outputs(func(*inputs))
        like = _random_like
        grad_outputs = tuple(like(t, gen_non_contig_grad_outputs) for t in outputs)  # type: ignore
    grad_outputs = _tuple(grad_outputs)
    n = len(inputs)
    needs = [_checked(t) for t in inputs + grad_outputs]

    def gradient(*args):
        args = [t.requires_grad_() if need else t for t, need in zip(args, needs)]
        wanted = [t for t, need in zip(args[:n], needs) if need]
        outputs = _outputs(func(*args[:n]))
        found = grad(outputs, wanted, args[n:], create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(
        gradient, inputs + grad_outputs, eps=eps, atol=atol, rtol=rtol,
        raise_exception=raise_exception, nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad, check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad, check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
    )  # fmt: skip


@no_grad()
def _random_like(t, apart):
    """Numbers between -1 and 1, their elements apart in memory if asked for."""
    dtype = t.dtype if t.is_floating_point() else _wengert.float64
    values = _wengert.rand(*t.shape, 2, dtype=dtype) * 2 - 1
    part = values.select(-1, 0)
    return (part if apart else part.clone()).detach().requires_grad_()
