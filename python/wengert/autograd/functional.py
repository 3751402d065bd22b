"""Products with Jacobians and Hessians, and these themselves, of a Python function."""

from .. import _wengert
from .._wengert import Tensor, is_grad_enabled
from . import forward_ad, grad
from .grad_mode import enable_grad, set_grad_enabled

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

NOT_STRICT = " This is not allowed in strict mode."


class Tensors(tuple):
    """Several tensors; `single` if they stand for one that was not in a tuple."""

    single = False

    @classmethod
    def of(cls, value, what, name):
        """What the user gave or returned, checked."""
        several = isinstance(value, tuple)
        made = cls(value if several else (value,))
        made.single = not several
        for i, item in enumerate(made):
            if not isinstance(item, Tensor):
                where = f"value at index {i}" if several else f"given {what}"
                raise TypeError(
                    f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but "
                    f"the {where} has type {type(item)}."
                )
        return made

    def like(self, items):
        """Others in the same form."""
        items = tuple(items)
        return items[0] if self.single else items


def _prepared(tensors, create_graph, requires_grad):
    """New tensors, so that the ones a function captured are told from its arguments."""

    def one(t):
        if create_graph and t.requires_grad:
            return t.view_as(t)
        return t.detach().requires_grad_(requires_grad)

    made = Tensors(one(t) for t in tensors)
    made.single = tensors.single
    return made


def _checked_v(v, like, create_graph, name, missing):
    """The vector of a product, or None where it may be left out."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(f"The vector v can only be None if {missing}.")
        return None
    v = _prepared(Tensors.of(v, "v", name), create_graph, False)
    if len(v) != len(like):
        if like.single:
            raise RuntimeError("The given v should contain a single Tensor.")
        raise RuntimeError(
            f"v is a tuple of invalid length: should be {len(like)} but got {len(v)}."
        )
    for i, (a, b) in enumerate(zip(v, like)):
        if a.shape != b.shape:
            where = "" if like.single else f"Entry {i} in "
            raise RuntimeError(f"{where}v has invalid size: should be {b.shape} but got {a.shape}.")
    return v


def _called(func, inputs, name, strict):
    outputs = Tensors.of(func(*inputs), "outputs of the user-provided function", name)
    if strict:
        for i, t in enumerate(outputs):
            if not t.requires_grad:
                raise RuntimeError(
                    f"Output {i} of the user-provided function does not require gradients. The "
                    "outputs must be computed in a differentiable manner from the input when "
                    "running in strict mode."
                )
    return outputs


def _grads(outputs, inputs, grads=None, **options):
    """`autograd.grad` where outputs may be missing or constant."""
    grads = grads or [None] * len(outputs)
    live = [(o, g) for o, g in zip(outputs, grads) if o is not None and o.requires_grad]
    if not live:
        return (None,) * len(inputs)
    roots, grads = zip(*live)
    return grad(roots, inputs, grads, allow_unused=True, **options)


def _whole(grads, like, strict, create_graph, absent, constant):
    """Zeros in place of missing gradients, which strict mode does not allow."""
    found = []
    for i, (g, t) in enumerate(zip(grads, like)):
        if strict and g is None:
            raise RuntimeError(absent.format(i=i))
        if strict and create_graph and not g.requires_grad:
            raise RuntimeError(
                f"The {constant} of the user-provided function is independent of input {i}. This "
                "is not allowed in strict mode when create_graph=True."
            )
        found.append(_wengert.zeros_like(t) if g is None else g)
    return found


def _depends(grads, strict, why):
    """Strict mode wants gradients that depend on the inputs."""
    for i, g in enumerate(grads if strict else ()):
        if g is None:
            raise RuntimeError(
                f"The output of the user-provided function is independent of input {i}.{NOT_STRICT}"
            )
        if not g.requires_grad:
            raise RuntimeError(why.format(i=i))


def _released(result, create_graph):
    if isinstance(result, Tensor):
        return result if create_graph else result.detach()
    return tuple(_released(r, create_graph) for r in result)


def vjp(func, inputs, v=None, create_graph=False, strict=False):
    """`(func(inputs), v^T J)` with J the Jacobian at `inputs`.

    Raises RuntimeError for a `v` of the wrong form, TypeError for what is no tensor, and
    RuntimeError in `strict` mode if an output does not depend on an input.

    >>> torch.autograd.functional.vjp(lambda x: x * x, torch.ones(2), torch.ones(2))
    (tensor([1., 1.]), tensor([2., 2.]))
    """
    with enable_grad():
        inputs = _prepared(Tensors.of(inputs, "inputs", "vjp"), create_graph, True)
        outputs = _called(func, inputs, "vjp", strict)
        missing = "the user-provided function returns a single Tensor with a single element"
        v = _checked_v(v, outputs, create_graph, "vjp", missing)
    with set_grad_enabled(create_graph or is_grad_enabled()):
        found = _grads(outputs, inputs, v, create_graph=create_graph)
        absent = "The output of the user-provided function is independent of input {i}."
        found = _whole(found, inputs, strict, create_graph, absent + NOT_STRICT, "jacobian")
    return (
        outputs.like(_released(outputs, create_graph)),
        inputs.like(_released(found, create_graph)),
    )


def jvp(func, inputs, v=None, create_graph=False, strict=False):
    """`(func(inputs), J v)` with J the Jacobian at `inputs`, by two backward passes.

    Raises as `vjp`.

    >>> torch.autograd.functional.jvp(lambda x: x * x, torch.ones(2), torch.ones(2))
    (tensor([1., 1.]), tensor([2., 2.]))
    """
    with enable_grad():
        inputs = _prepared(Tensors.of(inputs, "inputs", "jvp"), create_graph, True)
        missing = "the input to the user-provided function is a single Tensor with a single element"
        v = _checked_v(v, inputs, create_graph, "jvp", missing)
        outputs = _called(func, inputs, "jvp", strict)
        # v^T J is linear in v: its derivative there is the Jacobian.
        dummies = [_wengert.zeros_like(t).requires_grad_() for t in outputs]
        rows = _grads(outputs, inputs, dummies, create_graph=True)
        _depends(
            rows, strict,
            "The gradient with respect to input {i} is independent of the inputs of the "
            "user-provided function." + NOT_STRICT,
        )  # fmt: skip
    with set_grad_enabled(create_graph or is_grad_enabled()):
        found = _grads(rows, dummies, v, create_graph=create_graph)
        absent = (
            "The gradient with respect to the input is independent of entry {i} in the "
            "grad_outputs when using the double backward trick to compute forward mode gradients."
        )
        found = _whole(found, outputs, strict, create_graph, absent + NOT_STRICT, "jacobian")
    return (
        outputs.like(_released(outputs, create_graph)),
        outputs.like(_released(found, create_graph)),
    )


def jacobian(
    func, inputs, create_graph=False, strict=False, vectorize=False, strategy="reverse-mode"
):
    """The Jacobian of `func` at `inputs`: for each output and each input a tensor of the shapes
    of both, one after the other.

    Raises TypeError for what is no tensor, RuntimeError in `strict` mode if an output does not
    depend on an input, NotImplementedError for combinations that PyTorch does not have.

    >>> torch.autograd.functional.jacobian(lambda x: x * x, torch.ones(2))
    tensor([[2., 0.],
            [0., 2.]])
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your '
            'function has more outputs than inputs, "forward-mode" tends to be more performant. '
            'Otherwise, prefer to use "reverse-mode".'
        )
    if strategy == "forward-mode":
        return _forward_jacobian(func, inputs, create_graph, strict, vectorize)
    with enable_grad():
        inputs = _prepared(Tensors.of(inputs, "inputs", "jacobian"), create_graph, True)
        outputs = _called(func, inputs, "jacobian", strict)
        if vectorize and strict:
            raise RuntimeError(
                "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not "
                "supported together. Please either set `strict=False` or `vectorize=False`."
            )
        if vectorize:
            blocks = _all_rows(outputs, inputs, create_graph)
        else:
            blocks = [
                inputs.like(_rows(i, out, inputs, create_graph, strict))
                for i, out in enumerate(outputs)
            ]
        return outputs.like(_released(blocks, create_graph))


def basis(tensors):
    """For all elements of all tensors together a direction: as many parts as there are tensors,
    whose first dimension counts the elements."""
    sizes = [t.numel() for t in tensors]
    total, start, parts = sum(sizes), 0, []
    for t, n in zip(tensors, sizes):
        part = _wengert.eye(total, dtype=t.dtype)
        if n != total:
            part = part.narrow(1, start, n)
        parts.append(part.reshape(total, *t.shape))
        start += n
    return parts


def _all_rows(outputs, inputs, create_graph):
    """All blocks of the Jacobian by one backward pass."""
    flat = [o.reshape(-1) for o in outputs]
    sizes = [len(o) for o in flat]
    total = sum(sizes)
    found = [None] * len(inputs)
    live = [i for i, o in enumerate(flat) if o.requires_grad]
    if live and total:
        roots, directions = [flat[i] for i in live], basis(flat)
        found = grad(
            roots, inputs, [directions[i] for i in live],
            create_graph=create_graph, allow_unused=True, is_grads_batched=True,
        )  # fmt: skip
    columns = [
        (t.new_zeros(t.shape).expand(total, *t.shape) if g is None else g).split(sizes)
        for g, t in zip(found, inputs)
    ]
    return [
        inputs.like(c[k].reshape(out.shape + t.shape) for c, t in zip(columns, inputs))
        for k, out in enumerate(outputs)
    ]


#: So many elements of a batch of rows are worth less than a pass for each row.
WORTH = 1 << 16


def _rows(i, out, inputs, create_graph, strict):
    """The blocks of the Jacobian for output `i`: a backward pass for each of its elements, or one
    for many of them where nobody can tell."""
    absent = f"Output {i} of the user-provided function is independent of input {{i}}." + NOT_STRICT
    options = {"retain_graph": True, "create_graph": create_graph}
    flat, count = out.reshape(-1), out.numel()
    step = WORTH // max(t.numel() for t in (out, *inputs)) if count > 1 else 1
    parts = [[] for _ in inputs]
    if step > 1 and _wengert._is_plain(out):
        directions = _wengert.eye(count, dtype=out.dtype)
        for start in range(0, count, step):
            part = directions[start : start + step]
            found = _grads([flat], inputs, [part], is_grads_batched=True, **options)
            found = _whole(found, inputs, strict, create_graph, absent, "jacobian")
            for block, g, t in zip(parts, found, inputs):
                block.append(g if g.dim() > t.dim() else g.expand(len(part), *t.shape))
    else:
        for k in range(count):
            row = _grads([flat[k]], inputs, **options)
            row = _whole(row, inputs, strict, create_graph, absent, "jacobian")
            for block, g in zip(parts, row):
                block.append(g.unsqueeze(0))
    for block, t in zip(parts, inputs):
        shape = out.shape + t.shape
        yield _wengert.cat(block).view(shape) if block else t.new_zeros(shape)


def _forward_jacobian(func, inputs, create_graph, strict, vectorize):
    for flag, on in (("create_graph", create_graph), ("strict", strict)):
        if on:
            kind = NotImplementedError if flag == "create_graph" else RuntimeError
            raise kind(
                f'torch.autograd.functional.jacobian: `{flag}=True` and `strategy="forward-mode"` '
                f"are not supported together (yet). Please either set `{flag}=False` or "
                '`strategy="reverse-mode"`.'
            )
    inputs = Tensors.of(inputs, "inputs", "jacobian")
    if not vectorize:
        raise NotImplementedError(
            "Computing Jacobian using forward-AD or forward-over-reverse Hessian isonly "
            "implemented for `vectorize=True`."
        )
    made = []

    def slopes(*directions):
        with forward_ad.dual_level():
            duals = (forward_ad.make_dual(t, d) for t, d in zip(inputs, directions))
            outputs = Tensors.of(func(*duals), "outputs of the user-provided function", "jacobian")
            pairs = [forward_ad.unpack_dual(out) for out in outputs]
            made.append(outputs)
            return [_wengert.zeros_like(p) if t is None else t for p, t in pairs]

    sizes = [t.numel() for t in inputs]
    columns = for_each(slopes, basis(inputs), sum(sizes))
    return made[0].like(
        inputs.like(
            part.permute(*range(1, part.dim()), 0).reshape(part.shape[1:] + t.shape)
            for part, t in zip(column.split(sizes), inputs)
        )
        for column in columns
    )


#: How errors begin that are due to the batch alone.
ONLY_BATCHED = ("vmap: It looks like you're", "vmap: inplace arithmetic")


def for_each(slopes, directions, total, randomness="error"):
    """Derivatives in all directions at once; or one after the other, where the function cannot be
    called with a batch because it looks at its values."""
    try:
        return _wengert._vmap_call(slopes, directions, total, randomness)
    except RuntimeError as error:
        if not str(error).startswith(ONLY_BATCHED):
            raise
    rows = [slopes(*(d[k] for d in directions)) for k in range(total)]
    return [_wengert.stack(column) for column in zip(*rows)]


def _scalar(func, inputs, name, strict):
    """Calls a function that must return one tensor with one element."""
    outputs = _called(func, inputs, name, strict)
    if not outputs.single:
        raise RuntimeError(f"The function given to {name} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise RuntimeError(
            f"The Tensor returned by the function given to {name} should contain a single element"
        )
    return outputs


INDEPENDENT_JACOBIAN = (
    "While computing the hessian, found that the jacobian of the user-provided function with "
    "respect to input {i} is independent of the input. This is not allowed in strict mode. You "
    "should ensure that your function is twice differentiable and that the jacobian depends on the "
    "inputs (this would be violated by a linear function for example)."
)


def hessian(
    func,
    inputs,
    create_graph=False,
    strict=False,
    vectorize=False,
    outer_jacobian_strategy="reverse-mode",
):
    """The matrix of second derivatives of a scalar function.

    Raises RuntimeError if `func` does not return one element, and as `jacobian`.

    >>> torch.autograd.functional.hessian(lambda x: (x ** 3).sum(), torch.ones(2))
    tensor([[6., 0.],
            [0., 6.]])
    """
    inputs = Tensors.of(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def scalar(*args):
        return _scalar(func, args, "hessian", strict)[0].squeeze()

    def gradient(*args):
        if outer_jacobian_strategy == "forward-mode":
            args = tuple(t.requires_grad_(True) for t in args)
        rows = jacobian(scalar, args, create_graph=True)
        _depends(rows, strict, INDEPENDENT_JACOBIAN)
        return rows

    blocks = jacobian(
        gradient, tuple(inputs), create_graph, strict, vectorize, outer_jacobian_strategy
    )
    return inputs.like(inputs.like(row) for row in blocks)


def _second(func, inputs, v, name, create_graph, strict):
    """What `vhp` and `hvp` begin with: inputs, vector, output and gradient."""
    inputs = _prepared(Tensors.of(inputs, "inputs", name), create_graph, True)
    missing = "the input to the user-provided function is a single Tensor with a single element"
    v = _checked_v(v, inputs, create_graph, name, missing)
    outputs = _scalar(func, inputs, name, strict)
    gradient = _grads(outputs, inputs, create_graph=True)
    _depends(gradient, strict, INDEPENDENT_JACOBIAN)
    return inputs, v, outputs, gradient


def vhp(func, inputs, v=None, create_graph=False, strict=False):
    """`(func(inputs), v^T H)` with H the Hessian at `inputs`; cheaper than `hvp`.

    Raises as `hessian`.

    >>> torch.autograd.functional.vhp(lambda x: (x ** 3).sum(), torch.ones(2), torch.ones(2))
    (tensor(2.), tensor([6., 6.]))
    """
    with enable_grad():
        inputs, v, outputs, gradient = _second(func, inputs, v, "vhp", create_graph, strict)
    with set_grad_enabled(create_graph or is_grad_enabled()):
        found = _grads(gradient, inputs, v, create_graph=create_graph)
        absent = "The jacobian of the user-provided function is independent of input {i}."
        found = _whole(found, inputs, strict, create_graph, absent + NOT_STRICT, "hessian")
    return (
        outputs.like(_released(outputs, create_graph)),
        inputs.like(_released(found, create_graph)),
    )


def hvp(func, inputs, v=None, create_graph=False, strict=False):
    """`(func(inputs), H v)` with H the Hessian at `inputs`.

    Raises as `hessian`.

    >>> torch.autograd.functional.hvp(lambda x: (x ** 3).sum(), torch.ones(2), torch.ones(2))
    (tensor(2.), tensor([6., 6.]))
    """
    with enable_grad():
        inputs, v, outputs, gradient = _second(func, inputs, v, "hvp", create_graph, strict)
        dummies = [_wengert.zeros_like(t).requires_grad_() for t in inputs]
        rows = _grads(gradient, inputs, dummies, create_graph=True)
        _depends(gradient, strict, INDEPENDENT_JACOBIAN)
    with set_grad_enabled(create_graph or is_grad_enabled()):
        found = _grads(rows, dummies, v, create_graph=create_graph)
        absent = (
            "The hessian of the user-provided function is independent of entry {i} in the "
            "grad_jacobian. This is not allowed in strict mode as it prevents from using the "
            "double backward trick to replace forward mode AD."
        )
        found = _whole(found, inputs, strict, create_graph, absent, "hessian")
    return (
        outputs.like(_released(outputs, create_graph)),
        inputs.like(_released(found, create_graph)),
    )
