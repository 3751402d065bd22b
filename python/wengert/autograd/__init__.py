"""Backward passes and gradients (`torch.autograd`)."""

import warnings

from .. import _wengert
from .._wengert import Tensor
from . import anomaly_mode, function, graph, variable
from .anomaly_mode import detect_anomaly, set_detect_anomaly
from .function import Function
from .grad_mode import (
    enable_grad,
    enforce_grad_layout_policy,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
    set_multithreading_enabled,
)
from .variable import Variable

__all__ = [
    "Function",
    "GradcheckError",
    "Variable",
    "anomaly_mode",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "enforce_grad_layout_policy",
    "forward_ad",
    "function",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_multithreading_enabled",
    "variable",
]


def _sequence(value):
    if value is None:
        return None
    return [value] if isinstance(value, (Tensor, graph.GradientEdge)) else list(value)


def _grads_for(tensors, grads):
    grads = _sequence(grads)
    if grads is None:
        return [None] * len(tensors)
    for g in grads:
        if g is not None and not isinstance(g, Tensor):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(g).__name__}")
    if len(grads) < len(tensors):
        raise RuntimeError(f"got {len(tensors)} tensors and {len(grads)} gradients")
    return grads


#: Not empty once `create_graph` has been warned of, which is done once.
_warned = []


def backward(
    tensors,
    grad_tensors=None,
    retain_graph=None,
    create_graph=False,
    grad_variables=None,
    inputs=None,
):
    """Adds the gradients of `tensors` to the `.grad` of the graph's leaves (or of `inputs`).

    Raises RuntimeError if a tensor is not a scalar and has no entry in `grad_tensors`, or has no
    history.

    >>> x = torch.ones(2, requires_grad=True)
    >>> torch.autograd.backward((x * 3).sum())
    >>> x.grad
    tensor([3., 3.])
    """
    tensors = _sequence(tensors)
    inputs = _sequence(inputs)
    if inputs is not None and len(inputs) == 0:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    if retain_graph is None:
        retain_graph = create_graph
    if grad_variables is not None:
        warnings.warn(
            "`grad_variables` is deprecated. Use `grad_tensors` instead.",
            FutureWarning,
            stacklevel=2,
        )
        if grad_tensors is not None:
            raise RuntimeError(
                "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to "
                "`backward()`. Please only use `grad_tensors`."
            )
        grad_tensors = grad_variables
    if create_graph and not _warned:
        _warned.append(True)
        warnings.warn(
            "Using backward() with create_graph=True will create a reference cycle between the "
            "parameter and its gradient which can cause a memory leak. We recommend using "
            "autograd.grad when creating the graph to avoid this. If you have to use this function, "
            "make sure to reset the .grad fields of your parameters to None after use to break the "
            "cycle and avoid the leak.",
            stacklevel=3,
        )
    grads = _grads_for(tensors, grad_tensors)
    _wengert._backward(tensors, grads, bool(retain_graph), bool(create_graph), inputs)


def grad(
    outputs,
    inputs,
    grad_outputs=None,
    retain_graph=None,
    create_graph=False,
    only_inputs=True,
    allow_unused=None,
    is_grads_batched=False,
    materialize_grads=False,
):
    """The gradients of `outputs` with respect to `inputs`, as a tuple; `.grad` is not touched.

    Raises RuntimeError for an input that was not used, unless `allow_unused` (then None) or
    `materialize_grads` (then zeros).

    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> torch.autograd.grad(x * x, x)
    (tensor(6.),)
    """
    if (
        type(outputs) is Tensor
        and type(inputs) is Tensor
        and (grad_outputs is None or type(grad_outputs) is Tensor)
        and only_inputs
        and not (is_grads_batched or materialize_grads)
    ):
        retain = bool(create_graph if retain_graph is None else retain_graph)
        g = _wengert._grad_one(outputs, inputs, grad_outputs, retain, bool(create_graph))
        return _finish((g,), inputs, allow_unused, False)
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False."
        )
    if allow_unused is None:
        allow_unused = materialize_grads
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate "
            "gradient for other parts of the graph, please use torch.autograd.backward.",
            FutureWarning,
            stacklevel=2,
        )
    outputs, inputs = _sequence(outputs), _sequence(inputs)
    if not inputs:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    if retain_graph is None:
        retain_graph = create_graph
    grads = _grads_for(outputs, grad_outputs)
    if is_grads_batched:
        grads = _whole_grads(outputs, grads)

        def run(*rows):
            return _wengert._grad(outputs, inputs, rows, bool(retain_graph), bool(create_graph))

        result = _wengert._vmap_call(run, grads, len(grads[0]))
    else:
        result = _wengert._grad(outputs, inputs, grads, bool(retain_graph), bool(create_graph))
    return _finish(result, inputs, allow_unused, materialize_grads)


def _finish(result, inputs, allow_unused, materialize):
    if not allow_unused:
        for i, g in enumerate(result):
            if g is None:
                raise RuntimeError(
                    f"The differentiated Tensor at index {i} appears to not have been used in the "
                    "graph. Set allow_unused=True if this is the desired behavior."
                )
    if materialize:
        if any(g is None and not isinstance(t, Tensor) for g, t in zip(result, inputs)):
            raise RuntimeError(
                "materialize_grads cannot be used when the given input is a GradientEdge"
            )
        zeros = _wengert.zeros_like
        result = [zeros(t) if g is None else g for g, t in zip(result, inputs)]
    return tuple(result)


def _whole_grads(outputs, grads):
    """Gradients whose first dimension is a batch, checked."""
    found = []
    for i, (g, t) in enumerate(zip(grads, outputs)):
        if g is None and t.requires_grad and t.numel() != 1:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        one = None if g is None else g[0]
        if one is not None and one.shape != t.shape:
            raise RuntimeError(
                "If `is_grads_batched=True`, we interpret the first dimension of each grad_output "
                "as the batch dimension. The sizes of the remaining dimensions are expected to "
                f"match the shape of corresponding output, but a mismatch was detected: "
                f"grad_output[{i}] has a shape of {one.shape} and output[{i}] has a shape of "
                f"{t.shape}. If you only want some tensors in `grad_output` to be considered "
                "batched, consider using vmap."
            )
        found.append(_wengert.ones_like(t) if g is None else g)
        if found[-1].dim() == 0:
            raise ValueError(
                "vmap(vjp, in_dims=0, ...)(<inputs>): Got in_dim=0 for some input, but that input "
                "is a Tensor of dimensionality 0 so expected in_dim to satisfy 0 <= in_dim < 0."
            )
    sizes = [len(g) for g in found]
    if len(set(sizes)) > 1:
        raise ValueError(
            "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
            f"{sizes} for the mapped dimension"
        )
    return found


def __getattr__(name):
    # Slow to import, and scripts seldom need them.
    import importlib

    if name in ("forward_ad", "functional"):
        return importlib.import_module("." + name, __name__)
    checks = ("GradcheckError", "gradcheck", "gradgradcheck")
    if name in checks:
        module = importlib.import_module(".gradcheck", __name__)
        # All at once: the function takes the name of its module.
        globals().update({check: getattr(module, check) for check in checks})
        return globals()[name]
    raise AttributeError(f"module 'torch.autograd' has no attribute '{name}'")
