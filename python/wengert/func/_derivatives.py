"""`grad`, `vjp`, `jvp` and what is made of them.

A transform gives its function tensors of its own: leaves over the caller's memory, or (where the
caller's tensors have a history, as they do inside another transform) recorded aliases of them. So
a result is connected to what the caller knows, and to nothing else: see `_released`.
"""

import functools

from .. import _wengert
from .._pytree import flatten, map_leaves, unflatten
from .._wengert import Tensor, is_grad_enabled
from ..autograd.forward_ad import check_floating
from ..autograd.functional import basis, for_each
from . import _custom

__all__ = ["grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize", "vjp"]


def _own(t):
    """The tensor that a function gets for `t`."""
    if not isinstance(t, Tensor):
        raise ValueError(f"Thing passed to transform API must be Tensor, got {type(t)}")
    if t.requires_grad and is_grad_enabled():
        return _wengert._private_alias(t)
    return _wengert._private_leaf(t)


#: The tensors of the transforms whose functions are running, the innermost last.
_running = []


def _outer():
    """Leaves that results of the innermost transform may depend on."""
    return [t for leaves in _running for t in leaves if t.is_leaf] if _running else []


class _inside:
    """The function of a transform runs."""

    __slots__ = ("leaves", "modes")

    def __init__(self, leaves):
        self.leaves = leaves

    def __enter__(self):
        _running.append(self.leaves)
        _custom.enter()
        self.modes = _wengert._enter_transform(True)

    def __exit__(self, *exc):
        _wengert._exit_transform(*self.modes)
        _custom.leave()
        _running.pop()


def _released(tree):
    """Tensors whose history ends at leaves of transforms that are over lose it."""
    outer = _outer()
    one = lambda t: _wengert._released(t, outer) if isinstance(t, Tensor) else t  # noqa: E731
    return map_leaves(one, tree)


def _leads_out(t):
    return t.requires_grad and _wengert._leads_out(t, _outer())


def _selected(args, argnums):
    """Checked positions of the arguments that count, as a tuple."""
    if not isinstance(argnums, (int, tuple)) or isinstance(argnums, bool):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    numbers = (argnums,) if isinstance(argnums, int) else argnums
    if not numbers:
        raise RuntimeError("argnums must be non-empty")
    for n in numbers:
        if not -len(args) <= n < len(args):
            raise RuntimeError(f"Got argnum={n}, but only {len(args)} positional inputs")
    places = tuple(n % len(args) for n in numbers)
    if len(set(places)) != len(places):
        raise RuntimeError(f"argnums elements must be unique, got {argnums}")
    return places


class _Inputs:
    """The arguments that count (all of them if `argnums` is None), as a function gets them."""

    def __init__(self, args, argnums):
        self.single = argnums is not None and not isinstance(argnums, tuple)
        self.places = range(len(args)) if argnums is None else _selected(args, argnums)
        self.given, self.spec = flatten(tuple(args[n] for n in self.places))
        self.args = args

    def own(self):
        """Makes the leaves; returns all arguments."""
        self.leaves = [_own(t) for t in self.given]
        return self.with_leaves(self.leaves)

    def with_leaves(self, leaves):
        args = list(self.args)
        for n, part in zip(self.places, unflatten(leaves, self.spec)):
            args[n] = part
        return args

    def shaped(self, leaves):
        """Values of the leaves in the form of the arguments that count."""
        parts = unflatten(leaves, self.spec)
        return parts[0] if self.single else parts


def _backward(outputs, inputs, grads, create_graph, retain_graph=None):
    """Gradients, zero where there is no path."""
    live = [(o, g) for o, g in zip(outputs, grads) if o.requires_grad]
    if not live:
        return [_wengert.zeros_like(t) for t in inputs]
    roots, grads = map(list, zip(*live))
    keep = create_graph if retain_graph is None else retain_graph
    found = _wengert._grad(roots, inputs, grads, keep, create_graph)
    return [_wengert.zeros_like(t) if g is None else g for g, t in zip(found, inputs)]


def grad_and_value(func, argnums=0, has_aux=False):
    """A function that returns the gradient of `func` and its value.

    >>> torch.func.grad_and_value(lambda x: x * x)(torch.tensor(3.0))
    (tensor(6.), tensor(9.))
    """

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        outer = is_grad_enabled()
        inputs = _Inputs(args, argnums)
        prepared = inputs.own()
        with _inside(inputs.leaves):
            value = func(*prepared, **kwargs)
            aux = None
            if has_aux:
                if not (isinstance(value, tuple) and len(value) == 2):
                    raise RuntimeError(
                        "grad_and_value(f)(*args): output of function f should be a tuple: "
                        "(output, aux) if has_aux is True"
                    )
                value, aux = value
            if not isinstance(value, Tensor):
                raise RuntimeError(
                    "grad_and_value(f)(*args): Expected f(*args) to return a Tensor, got "
                    f"{type(value)}"
                )
            if value.dim() != 0:
                raise RuntimeError(
                    "grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, got "
                    f"tensor with {value.dim()} dims. Maybe you wanted to use the vjp or jacrev "
                    "APIs instead?"
                )
        record = outer and _leads_out(value)
        # An aux value or the value itself may be differentiated further.
        found = _backward([value], inputs.leaves, [_wengert.ones_like(value)], record, True)
        found, value, aux = _released((found, value, aux))
        found = inputs.shaped(found)
        return (found, (value, aux)) if has_aux else (found, value)

    return wrapped


def grad(func, argnums=0, has_aux=False):
    """A function that returns the gradient of `func`, which must return one number.

    Raises RuntimeError for other results, and for `argnums` that do not fit.

    >>> torch.func.grad(torch.sin)(torch.tensor(0.0))
    tensor(1.)
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return wrapped


def _tensors_only(leaves, what):
    if not leaves or (len(leaves) == 1 and leaves[0] is None):
        raise RuntimeError(
            f"{what}: Expected f to be a function that has non-empty output (got output = {leaves})"
        )
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise RuntimeError(
                f"{what}: expected f(*primals) to return only tensors, got unsupported type "
                f"{type(leaf)}"
            )


def _with_aux(result, has_aux, what):
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        raise RuntimeError(
            f"{what}: output of function f should be a tuple: (output, aux) if has_aux is True"
        )
    return result


class _Pullback:
    """A function called once, and its backward pass, which may run again and again."""

    def __init__(self, func, inputs, has_aux):
        self.inputs = inputs
        prepared = inputs.own()
        with _inside(inputs.leaves):
            result = func(*prepared)
        result, aux = _with_aux(result, has_aux, "vjp(f, *primals)")
        self.outputs, self.spec = flatten(result)
        _tensors_only(self.outputs, "vjp(f, *primals)")
        for t in self.outputs:
            if not (t.is_floating_point() or t.is_complex()):
                raise RuntimeError(
                    "vjp(f, ...): All outputs of f must be floating-point or complex Tensors, got "
                    f"Tensor with dtype {t.dtype}"
                )
        self.tracked = any(_leads_out(t) for t in self.outputs)
        released = _released((self.outputs, aux))
        self.result, self.aux = unflatten(released[0], self.spec), released[1]

    def __call__(self, cotangents, create_graph=None):
        if create_graph is None:
            tracked = self.tracked or any(g.requires_grad for g in cotangents)
            create_graph = is_grad_enabled() and tracked
        for i, (g, out) in enumerate(zip(cotangents, self.outputs)):
            if g.shape != out.shape:
                raise RuntimeError(
                    f"Mismatch in shape: grad_output[{i}] has a shape of {g.shape} and "
                    f"output[{i}] has a shape of {out.shape}."
                )
        found = _backward(self.outputs, self.inputs.leaves, cotangents, create_graph, True)
        return _released(found)


def vjp(func, *primals, has_aux=False):
    """The value of `func`, and a function from cotangents of the value to those of the arguments.

    Raises RuntimeError if `func` returns something else than tensors.

    >>> value, back = torch.func.vjp(torch.sin, torch.tensor(0.0))
    >>> back(torch.tensor(2.0))
    (tensor(2.),)
    """
    inputs = _Inputs(primals, None)
    pull = _Pullback(func, inputs, has_aux)

    def back(cotangents, retain_graph=True, create_graph=None):
        given, spec = flatten(cotangents)
        if spec != pull.spec:
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of "
                f"outputs to the function. cotangents: {spec}, primal output: {pull.spec}"
            )
        return inputs.shaped(pull(given, create_graph))

    return (pull.result, back, pull.aux) if has_aux else (pull.result, back)


class _Level:
    """A forward-mode level of a transform."""

    def __enter__(self):
        self.modes = _wengert._enter_transform(is_grad_enabled())
        self.level = _wengert._enter_dual_level()
        _custom.enter()
        return self

    def __exit__(self, *exc):
        _custom.leave()
        _wengert._exit_dual_level(self.level)
        _wengert._exit_transform(*self.modes)

    def dual(self, primal, tangent):
        check_floating(primal, tangent)
        return _wengert._make_dual(primal, tangent, self.level)

    def unpack(self, t):
        """The value and its tangent, zero if it has none."""
        primal, tangent = _wengert._unpack_dual(t, self.level)
        return primal, _wengert.zeros_like(primal) if tangent is None else tangent


def _push_forward(func, leaves, tangents, rebuilt, has_aux=False, what="jvp(f, primals, tangents)"):
    """`(values, tangents, form, aux)` of a call with dual tensors."""
    with _Level() as level:
        duals = [level.dual(p, t) for p, t in zip(leaves, tangents)]
        result, aux = _with_aux(func(*rebuilt(duals)), has_aux, what)
        outputs, spec = flatten(result)
        _tensors_only(outputs, what)
        pairs = [level.unpack(t) for t in outputs]
        strip = lambda t: level.unpack(t)[0] if isinstance(t, Tensor) else t  # noqa: E731
        aux = map_leaves(strip, aux)
        return [p for p, _ in pairs], [t for _, t in pairs], spec, aux


def jvp(func, primals, tangents, *, strict=False, has_aux=False):
    """The value of `func` and its derivative in the direction of `tangents`, in one pass.

    Raises RuntimeError for tangents that do not match the primals.

    >>> torch.func.jvp(torch.sin, (torch.tensor(0.0),), (torch.tensor(2.0),))
    (tensor(0.), tensor(2.))
    """
    what = "jvp(f, primals, tangents)"
    if not isinstance(primals, tuple):
        raise RuntimeError(
            f"{what}: Expected primals to be a tuple. E.g. it should be valid to call f(*primals)."
        )
    leaves, spec = flatten(primals)
    directions, other = flatten(tangents)
    if spec != other:
        raise RuntimeError(
            f"{what}: Expected primals and tangents to have the same python structure. For "
            "example, if primals is a tuple of 3 tensors, tangents also must be. Got primals with "
            f"structure {spec!r} and tangents with structure {other!r}"
        )
    for name, values in (("primals", leaves), ("tangents", directions)):
        if not values:
            raise RuntimeError(f"{what}: Expected {name} to contain at least one Tensor.")
        for v in values:
            if not isinstance(v, Tensor):
                raise RuntimeError(
                    f"{what}: Expected {name} to only contain Tensors, got {type(v)}"
                )
    rebuilt = lambda duals: unflatten(duals, spec)  # noqa: E731
    values, slopes, form, aux = _push_forward(func, leaves, directions, rebuilt, has_aux)
    values, slopes = unflatten(values, form), unflatten(slopes, form)
    return (values, slopes, aux) if has_aux else (values, slopes)


def jacrev(func, argnums=0, *, has_aux=False, chunk_size=None, _preallocate_and_copy=False):
    """A function that returns the Jacobian of `func`, by one backward pass for all elements of the
    result, or as many as `chunk_size` asks for.

    >>> torch.func.jacrev(lambda x: x * x)(torch.ones(2))
    tensor([[2., 0.],
            [0., 2.]])
    """
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        inputs = _Inputs(args, argnums)
        pull = _Pullback(lambda *a: func(*a, **kwargs), inputs, has_aux)
        sizes = [o.numel() for o in pull.outputs]
        total = sum(sizes)
        columns = [[t.new_zeros((0, *t.shape))] for t in inputs.given]
        cotangents = basis(pull.outputs)
        step = min(chunk_size or total, total)
        for start in range(0, total, step or 1):
            part = [c[start : start + step] for c in cotangents] if step < total else cotangents
            rows = _wengert._vmap_call(lambda *g: pull(g), part, len(part[0]))
            columns = [[*c, row] for c, row in zip(columns, rows)]
        parts = [_parts(c[1:] or c, sizes) for c in columns]
        blocks = [
            inputs.shaped(p[k].reshape(*out.shape, *t.shape) for p, t in zip(parts, inputs.given))
            for k, out in enumerate(pull.outputs)
        ]
        result = unflatten(blocks, pull.spec)
        return (result, pull.aux) if has_aux else result

    return wrapped


def _parts(chunks, sizes):
    """The rows in `chunks` together, then apart by what they belong to."""
    whole = chunks[0] if len(chunks) == 1 else _wengert.cat(chunks)
    return [whole] if len(sizes) == 1 else whole.split(sizes)


def jacfwd(func, argnums=0, has_aux=False, *, randomness="error"):
    """A function that returns the Jacobian of `func`, by one forward pass for all elements of the
    arguments.

    >>> torch.func.jacfwd(lambda x: x * x)(torch.ones(2))
    tensor([[2., 0.],
            [0., 2.]])
    """

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        inputs = _Inputs(args, argnums)
        call = lambda *a: func(*a, **kwargs)  # noqa: E731
        what = "jvp(f, primals, tangents)"
        made = []

        def slopes(*tangents):
            _, found, spec, aux = _push_forward(
                call, inputs.given, tangents, inputs.with_leaves, has_aux, what
            )
            extra, form = flatten(aux)
            tensors = [t for t in extra if isinstance(t, Tensor)]
            made[:] = [len(found), spec, extra, form]
            return [*found, *tensors]

        sizes = [t.numel() for t in inputs.given]
        columns = for_each(slopes, basis(inputs.given), sum(sizes), randomness)
        count, spec, extra, form = made
        blocks = []
        for column in columns[:count]:
            last = column.movedim(0, -1)
            parts = [last] if len(sizes) == 1 else last.split(sizes, -1)
            shapes = ((*p.shape[:-1], *t.shape) for p, t in zip(parts, inputs.given))
            blocks.append(inputs.shaped(p.reshape(shape) for p, shape in zip(parts, shapes)))
        result = unflatten(blocks, spec)
        if not has_aux:
            return result
        # The same for all directions.
        rest = iter(columns[count:])
        aux = [next(rest)[0] if isinstance(t, Tensor) else t for t in extra]
        return result, unflatten(aux, form)

    return wrapped


def hessian(func, argnums=0):
    """A function that returns the second derivatives of `func`: all rows of the gradient's
    Jacobian by one backward pass.

    >>> torch.func.hessian(lambda x: (x ** 3).sum())(torch.ones(2))
    tensor([[6., 0.],
            [0., 6.]])
    """

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        off = 0

        def watched(*args, **kwargs):
            nonlocal off
            before = _wengert._times_off()
            with _wengert._NoRandom():
                value = func(*args, **kwargs)
            off += _wengert._times_off() - before
            return value

        found = jacrev(jacrev(watched, argnums), argnums)(*args, **kwargs)
        if not off:
            return found
        # What is not recorded in there is no constant for the outer derivative.
        return jacfwd(jacrev(func, argnums), argnums)(*args, **kwargs)

    return wrapped


def linearize(func, *primals):
    """The value of `func`, and its derivative at `primals` as a function of tangents.

    Raises RuntimeError for tangents that do not match the primals.

    >>> value, slope = torch.func.linearize(torch.sin, torch.tensor(0.0))
    >>> slope(torch.tensor(2.0))
    tensor(2.)
    """
    inputs = _Inputs(primals, None)
    pull = _Pullback(func, inputs, False)
    # The backward pass is linear in the cotangents: recorded once, its transpose is the slope.
    with _inside(inputs.leaves):
        dummies = [_wengert._requiring(_wengert.ones_like(o)) for o in pull.outputs]
        rows = _backward(pull.outputs, inputs.leaves, dummies, True)

    def slope(*tangents):
        given, spec = flatten(tangents)
        if spec != inputs.spec:
            raise RuntimeError(
                f"Expected the tangents {spec!r} to have the same argspec as the primals "
                f"{inputs.spec!r}"
            )
        for i, (t, p) in enumerate(zip(given, inputs.given)):
            if t.shape != p.shape:
                raise RuntimeError(
                    f"tangent:{i} with shape {t.shape} in flattened pytree doesn't match the shape "
                    f"{p.shape} of the corresponding primal."
                )
            if t.dtype != p.dtype:
                raise RuntimeError(
                    f"tangent:{i} with dtype {t.dtype} in flattened pytree doesn't match the dtype "
                    f"{p.dtype} of the corresponding primal."
                )
        return unflatten(_backward(rows, dummies, given, False, True), pull.spec)

    return pull.result, slope
