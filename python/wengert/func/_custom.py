"""Calls of `autograd.Function` with batched tensors.

A function says itself how it is batched: by its `vmap` method, or (`generate_vmap_rule`) because
its methods are made of operations that are. History belongs to the tensors inside all wrappers. So
where the innermost transform is a derivative, or the rule is made up, the call is recorded as one
of another function, `_Inside`, of these tensors: its methods put them into wrappers, and call those
of the user's function.
"""

from typing import NamedTuple

from .. import _wengert
from .._pytree import flatten, unflatten
from .._wengert import Tensor
from ..autograd.function import Function, FunctionCtx
from ._vmap import _spread

__all__ = ["VmapInfo", "apply", "enter", "leave"]

NOTES = "For more details, please see https://pytorch.org/docs/main/notes/extending.func.html"

#: For each derivative whose function is running, how many levels of `vmap` are around it.
_derivatives = []
#: As far as the call being made has left them.
_left = []


class VmapInfo(NamedTuple):
    """What a `vmap` method is told of its level."""

    batch_size: int
    randomness: str


def enter():
    """The function of a derivative begins to run."""
    _derivatives.append(_wengert._transforms(1))


def leave():
    """It has run."""
    _derivatives.pop()
    _wengert._transforms(-1)


def check(cls):
    """Refuses a function that does not say how it is batched."""
    ruled = cls.vmap is not Function.vmap
    tried = f"You tried to vmap over {cls.__name__}, but it "
    if cls.generate_vmap_rule and ruled:
        raise RuntimeError(
            f"{tried}has both generate_vmap_rule=True and an overridden vmap staticmethod. Please "
            "set generate_vmap_rule=False or delete the overridden vmap staticmethod to avoid "
            f"ambiguity. {NOTES}"
        )
    if not (cls.generate_vmap_rule or ruled):
        raise RuntimeError(
            f"{tried}does not have vmap support. Please override and implement the vmap "
            f"staticmethod or set generate_vmap_rule=True. {NOTES}"
        )


def apply(cls, args):
    """Calls `cls` with arguments some of which are batched."""
    check(cls)
    depth = _wengert._vmap_depth()
    if cls.generate_vmap_rule:
        return _recorded(cls, args, cls.forward)
    if depth in _derivatives and depth not in _left:
        return _recorded(cls, args, lambda *args: _below(cls, args, depth))
    return _by_rule(cls, args)


def _below(cls, args, depth):
    """The call as it is outside of the derivative."""
    _left.append(depth)
    try:
        return _by_rule(cls, args)
    finally:
        _left.pop()


def _by_rule(cls, args):
    """The call by the function's own `vmap`, outside of the highest level."""
    leaves, spec = flatten(args)
    shell = _wengert._Shell([a for a in leaves if isinstance(a, Tensor)])
    wholes = [shell.whole(a) if isinstance(a, Tensor) else None for a in leaves]
    in_dims = unflatten([None if w is None else 0 for w in wholes], spec)
    operands = unflatten([a if w is None else w for a, w in zip(leaves, wholes)], spec)
    result = shell.outside(cls.vmap, VmapInfo(*shell.info()), in_dims, *operands)
    expected = (
        "Expected the vmap staticmethod to have two returns, an output and out_dims with pytree "
        "structure compatible with the output. "
    )
    if not isinstance(result, tuple):
        raise RuntimeError(f"{expected}Got a {type(result)} instead")
    if len(result) != 2:
        raise RuntimeError(f"{expected}Got {len(result)} returns instead")
    outputs, form = flatten(result[0])
    dims = _spread(result[1], form)
    if dims is None:
        raise RuntimeError(
            "The autograd.Function's vmap staticmethod returned an incompatible (output, out_dims) "
            f"tuple. Expected out_dims={result[1]} to be compatible with the structure of "
            f"`output`. out_dims has structure {flatten(result[1])[1]!r} but output has structure "
            f"{form!r}. {NOTES}"
        )
    known = [(w, a) for w, a in zip(wholes, leaves) if w is not None]

    def split(o, dim):
        for whole, a in known:
            if o is whole:
                return a
        return o if dim is None else shell.split(o, dim)

    return unflatten(map(split, outputs, dims), form)


class _Call:
    """A call recorded with the tensors inside the wrappers."""

    def __init__(self, cls, args, forward):
        self.cls, self.args, self.forward = cls, args, forward
        self.shell = _wengert._Shell([a for a in args if isinstance(a, Tensor)])
        self.shapes = [a.shape if isinstance(a, Tensor) else None for a in args]
        #: Arguments and results, each with the tensor inside that stands for it.
        self.known = []

    def out_of(self, values):
        return [self._out(v) if isinstance(v, Tensor) else v for v in values]

    def _out(self, t):
        for batched, inner in self.known:
            if batched is t:
                return inner
        return self.shell.out_of(t)

    def learn(self, values, inner):
        self.known += [(v, i) for v, i in zip(values, inner) if isinstance(v, Tensor)]


def _recorded(cls, args, forward):
    call = _Call(cls, args, forward)
    made = cls.__dict__.get("_inside_function") or _made_for(cls)
    inner = call.out_of(args)
    call.learn(args, inner)
    result = made.apply(call, *inner)
    into = lambda o: call.shell.put_in(o) if isinstance(o, Tensor) else o  # noqa: E731
    return tuple(map(into, result)) if isinstance(result, tuple) else into(result)


def _made_for(cls):
    """The function that calls of `cls` are recorded as, under its name."""
    made = type(cls.__name__, (_Inside,), {})
    space = {"_forward_cls": made, "__module__": "torch.autograd.function"}
    made._backward_cls = type(cls.__name__ + "Backward", (_Context,), space)
    cls._inside_function = made
    return made


class _Context(FunctionCtx):
    """The context that the user's methods get: its tensors are batched."""

    def save_for_backward(self, *tensors):
        super().save_for_backward(*self._call.out_of(tensors))

    def save_for_forward(self, *tensors):
        super().save_for_forward(*self._call.out_of(tensors))

    def mark_non_differentiable(self, *tensors):
        super().mark_non_differentiable(*self._call.out_of(tensors))

    @property
    def saved_tensors(self):
        return tuple(t if t is None else self._shell.put_in(t) for t in super().saved_tensors)

    @property
    def needs_input_grad(self):
        return super().needs_input_grad[1:]

    def put_in(self, method, given):
        """What a method returns for tensors put into wrappers, taken out again."""

        def run(shell):
            self._shell = shell
            batched = (t if t is None else shell.put_in(t) for t in given)
            found = method(self, *batched)
            found = found if isinstance(found, tuple) else (found,)
            return [self._fitted(t, shell, k) for k, t in enumerate(found)]

        return self._call.shell.opened(run)

    def _fitted(self, t, shell, k):
        """As large as argument `k`, if it is the gradient of one."""
        if not isinstance(t, Tensor):
            return t
        shape = self._fit[k] if k < len(self._fit) else None
        if shape is not None and t.shape != shape:
            t = t.sum_to_size(shape)
        return shell.out_of(t)


class _Inside(Function):
    """A function of the tensors inside wrappers."""

    _inside = True

    @staticmethod
    def forward(ctx, call, *inner):
        ctx._call, ctx._shell = call, call.shell
        found = call.forward(*call.args)
        several = isinstance(found, tuple)
        outputs = found if several else (found,)
        inside = call.out_of(outputs)
        call.learn(outputs, inside)
        call.cls.setup_context(ctx, call.args, found)
        call.args = call.forward = None
        call.known.clear()
        return tuple(inside) if several else inside[0]

    @staticmethod
    def backward(ctx, *grads):
        cls = ctx._call.cls
        ctx._fit = ctx._call.shapes
        method = cls.vjp if cls.vjp is not Function.vjp else cls.backward
        return (None, *ctx.put_in(method, grads))

    @staticmethod
    def jvp(ctx, *tangents):
        ctx._fit = ()
        found = ctx.put_in(ctx._call.cls.jvp, tangents[1:])
        return tuple(found) if len(found) != 1 else found[0]
