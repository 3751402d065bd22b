"""Memory against time: values that backward needs are computed again instead of kept."""

import contextlib
import functools
import warnings
import weakref

from .. import _wengert
from .._wengert import Tensor
from ..autograd import Function, backward, enable_grad, no_grad
from ..autograd.graph import saved_tensors_hooks
from ..random import get_rng_state, set_rng_state

__all__ = [
    "CheckpointError",
    "CheckpointFunction",
    "checkpoint",
    "checkpoint_sequential",
    "noop_context_fn",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
]

_PREFIX = "torch.utils.checkpoint: "


class CheckpointError(RuntimeError):
    """The recomputation did not do what the first computation did."""


class _Enough(Exception):
    """All values that are needed were computed again."""


class _switch:
    """A context manager that overrides an argument of `checkpoint` inside."""

    value = None

    def __init__(self, enable):
        self.enable = enable

    def __enter__(self):
        self.before = type(self).value
        type(self).value = self.enable

    def __exit__(self, *exc):
        type(self).value = self.before


class set_checkpoint_early_stop(_switch):
    """Whether recomputation stops at the last value that is needed."""


class set_checkpoint_debug_enabled(_switch):
    """Accepted for PyTorch's sake."""


def noop_context_fn():
    """Two contexts that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


@contextlib.contextmanager
def _random_numbers_of(state):
    """Inside, random numbers go on from `state`; afterwards as if nothing had been drawn."""
    if state is None:
        yield
        return
    before = get_rng_state()
    set_rng_state(state)
    try:
        yield
    finally:
        set_rng_state(before)


def checkpoint(
    function,
    *args,
    use_reentrant=None,
    context_fn=noop_context_fn,
    determinism_check="default",
    debug=False,
    early_stop=True,
    **kwargs,
):
    """Calls `function(*args, **kwargs)` without keeping what backward needs of it.

    Backward calls it again, with the same random numbers (unless `preserve_rng_state=False`).
    Raises CheckpointError if it then saves other values than the first time.

    >>> x = torch.ones(2, requires_grad=True)
    >>> y = torch.utils.checkpoint.checkpoint(torch.exp, x, use_reentrant=False)
    >>> y.sum().backward()
    >>> x.grad
    tensor([2.7183, 2.7183])
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. "
            "Starting in PyTorch 2.9, calling checkpoint without use_reentrant will raise an "
            "exception. use_reentrant=False is recommended, but if you need to preserve the "
            "current default behavior, you can pass use_reentrant=True. Refer to docs for more "
            "details on the differences between the two variants.",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug is not False:
            raise ValueError(
                "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
            )
        return CheckpointFunction.apply(function, preserve, *args)  # type: ignore
    if determinism_check not in _METADATA:
        raise ValueError(
            f"determinism_check should be one of {list(_METADATA)}, but got {determinism_check}"
        )
    if set_checkpoint_early_stop.value is not None:
        early_stop = set_checkpoint_early_stop.value
    during, again = context_fn()
    if not _wengert.is_grad_enabled():
        return function(*args, **kwargs)
    state = get_rng_state() if preserve else None
    frame = _Frame(function, args, kwargs, state, again, early_stop, _METADATA[determinism_check])
    with frame.hooks(), during:
        return function(*args, **kwargs)


def checkpoint_sequential(functions, segments, input, use_reentrant=None, **kwargs):
    """Calls `functions` one after the other, in `segments` parts of which all but the last are
    checkpointed.

    >>> x = torch.ones(2, requires_grad=True)
    >>> steps = [torch.exp, torch.sin, torch.tanh]
    >>> y = torch.utils.checkpoint.checkpoint_sequential(steps, 2, x, use_reentrant=False)
    >>> y.grad_fn.name()
    'TanhBackward0'
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint.checkpoint_sequential: the use_reentrant parameter should be "
            "passed explicitly. In version 2.9 we will raise an exception if use_reentrant is not "
            "passed. use_reentrant=False is recommended, but if you need to preserve the current "
            "default behavior, you can pass use_reentrant=True. Refer to docs for more details on "
            "the differences between the two variants.",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    functions = list(functions.children() if hasattr(functions, "children") else functions)
    size = len(functions) // segments

    def chain(part):
        return lambda value: functools.reduce(lambda v, f: f(v), part, value)

    start = 0
    for start in range(0, size * (segments - 1), size):
        input = checkpoint(
            chain(functions[start : start + size]),
            input,
            use_reentrant=use_reentrant,
            preserve_rng_state=preserve,
        )
    return chain(functions[size * (segments - 1) :])(input)


# --- Through hooks of saved tensors --------------------------------------------------------------


def _metadata(t):
    return {"shape": t.shape, "dtype": t.dtype, "device": t.device}


# What of a recomputed value has to be the same.
_METADATA = {"default": _metadata, "none": lambda t: None}


class _Place:
    """Stands for a value that a node would have saved."""

    def __init__(self, metadata):
        self.metadata = metadata
        # Per backward pass: the value computed again, until it is fetched.
        self.values = {}


class _Inputs(Function):
    """Keeps arguments as a node does: those of an inner checkpoint are not kept by the outer."""

    @staticmethod
    def forward(ctx, *tensors):
        ctx.save_for_backward(*tensors)
        return _wengert.empty(0)

    @staticmethod
    def backward(ctx, *grads):
        raise AssertionError("the arguments of a checkpoint have no derivative")


class _Frame:
    """One checkpointed call."""

    def __init__(self, function, args, kwargs, state, context, early_stop, metadata):
        self.function, self.kwargs = function, kwargs
        self.state, self.context = state, context
        self.early_stop, self.metadata = early_stop, metadata
        self.args = [None if isinstance(a, Tensor) else a for a in args]
        self.tensors = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        mark = _wengert._requiring(_wengert.empty(0))
        with enable_grad():
            tensors = [args[i] for i in self.tensors]
            self.inputs = _Inputs.apply(mark, *tensors).grad_fn  # type: ignore
        self.places = []
        self.fetched = set()

    def hooks(self):
        def pack(t):
            place = _Place(self.metadata(t))
            self.places.append(weakref.ref(place))
            return place

        return saved_tensors_hooks(pack, self.fetch)

    def fetch(self, place):
        """The value for a place, computed again with all others if need be."""
        key = _wengert._current_pass()
        inside = key is not None
        if not inside:
            # Outside backward each access stands for itself.
            key = object()
        if key not in self.fetched:
            if inside:
                _wengert._queue_callback(functools.partial(self.forget, key))
            self.recompute(key)
            self.fetched.add(key)
        if key not in place.values:
            raise CheckpointError(
                _PREFIX + "Unpack is being triggered for a tensor that was either never "
                "recomputed, or already unpacked once. If you are calling ctx.saved_tensors in "
                "backward, make sure to do so only once. Otherwise please open an issue with "
                "details on your use case."
            )
        value = place.values.pop(key)
        if not inside:
            self.forget(key)
        return value

    def forget(self, key):
        """Drops what was computed again and not fetched."""
        self.fetched.discard(key)
        for place in self.places:
            if place() is not None:
                place().values.pop(key, None)

    def recompute(self, key):
        again = []

        def pack(t):
            i = len(again)
            if i >= len(self.places):
                raise CheckpointError(
                    _PREFIX + "trying to save more tensors during recomputation than during the "
                    "original forward pass."
                )
            t = t.detach()
            again.append(self.metadata(t))
            place = self.places[i]()
            if place is not None:
                place.values[key] = t
            if self.early_stop and len(again) == len(self.places):
                raise _Enough
            return t

        args = list(self.args)
        for i, t in zip(self.tensors, self.inputs.saved_tensors[1:]):
            args[i] = t
        try:
            with _random_numbers_of(self.state), self.context, enable_grad():
                with saved_tensors_hooks(pack, lambda t: t):
                    self.function(*args, **self.kwargs)
        except _Enough:
            pass
        self.compare(again)

    def compare(self, again):
        if len(again) != len(self.places):
            raise CheckpointError(
                _PREFIX + "A different number of tensors was saved during the original forward "
                "and recomputation.\n"
                f"Number of tensors saved during forward: {len(self.places)}\n"
                f"Number of tensors saved during recomputation: {len(again)}."
            )
        differing = [
            f"tensor at position {i}:\nsaved metadata: {first().metadata}\n"
            f"recomputed metadata: {second}\n"
            for i, (first, second) in enumerate(zip(self.places, again))
            if first() is not None and first().metadata != second
        ]
        if differing:
            raise CheckpointError(
                _PREFIX + "Recomputed values for the following tensors have different metadata "
                "than during the forward pass.\n" + "".join(differing)
            )


# --- By backward inside backward -----------------------------------------------------------------


class CheckpointFunction(Function):
    """A call that backward repeats, to run its own backward there."""

    @staticmethod
    def forward(ctx, function, preserve, *args):
        if not any(isinstance(a, Tensor) and a.requires_grad for a in args):
            warnings.warn(
                "None of the inputs have requires_grad=True. Gradients will be None", stacklevel=3
            )
        ctx.function = function
        ctx.state = get_rng_state() if preserve else None
        ctx.args = [None if isinstance(a, Tensor) else a for a in args]
        ctx.tensors = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        ctx.save_for_backward(*[args[i] for i in ctx.tensors])
        with no_grad():
            return function(*args)

    @staticmethod
    def backward(ctx, *grads):
        if _wengert._inputs_given():
            raise RuntimeError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or "
                "passing an `inputs` parameter to .backward(). To resolve this error, you can "
                "either set use_reentrant=False, or call .backward() without passing the `inputs` "
                "argument."
            )
        args = list(ctx.args)
        for i, t in zip(ctx.tensors, ctx.saved_tensors):
            args[i] = _wengert._requiring(t.detach()) if t.requires_grad else t.detach()
        with _random_numbers_of(ctx.state), enable_grad():
            outputs = ctx.function(*args)
        if isinstance(outputs, Tensor):
            outputs = (outputs,)
        pairs = [
            (t, g) for t, g in zip(outputs, grads) if isinstance(t, Tensor) and t.requires_grad
        ]
        if not pairs:
            raise RuntimeError(
                "none of output has requires_grad=True, this checkpoint() is not necessary"
            )
        backward([t for t, _ in pairs], [g for _, g in pairs])
        return None, None, *(a.grad if isinstance(a, Tensor) else None for a in args)
