"""Custom functions with a derivative of their own (`torch.autograd.Function`)."""

import functools
import warnings

from .._wengert import Tensor, _FunctionBase, _requiring
from .._wengert import _FunctionCtx as FunctionCtx
from .grad_mode import is_grad_enabled, no_grad

__all__ = [
    "BackwardCFunction",
    "Function",
    "FunctionCtx",
    "FunctionMeta",
    "InplaceFunction",
    "NestedIOFunction",
    "once_differentiable",
]


#: The older name of the class of contexts.
BackwardCFunction = FunctionCtx


class FunctionMeta(type):
    """Gives each function the class of its contexts, which are its nodes: `MyFunctionBackward`."""

    def __init__(cls, name, bases, attrs):
        super().__init__(name, bases, attrs)
        space = {"_forward_cls": cls, "__module__": "torch.autograd.function"}
        cls._backward_cls = type(name + "Backward", (FunctionCtx,), space)


class Function(_FunctionBase, metaclass=FunctionMeta):
    """The base of functions that bring their own derivative.

    >>> class Exp(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         result = x.exp()
    ...         ctx.save_for_backward(result)
    ...         return result
    ...
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (result,) = ctx.saved_tensors
    ...         return grad * result
    >>> x = torch.zeros(2, requires_grad=True)
    >>> Exp.apply(x).sum().backward()
    >>> x.grad
    tensor([1., 1.])
    """

    generate_vmap_rule = False

    def __init__(self, *args, **kwargs):
        warnings.warn(
            f"{self.__class__} should not be instantiated. Methods on autograd functions are all "
            "static, so you should invoke them on the class itself. Instantiating an autograd "
            "function will raise an error in a future version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args, **kwargs):
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use "
            "new-style autograd function with static forward method. (Example: "
            "https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
        )

    @staticmethod
    def forward(*args, **kwargs):
        """Computes the result: `forward(ctx, *args)`, or `forward(*args)` with `setup_context`."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Prepares `ctx` for `backward` where `forward` does not get it."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx, *grad_outputs):
        """Gives one gradient (or None) per argument of `forward`."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    # Another name of `backward`, for those who say vector-Jacobian product.
    vjp = backward

    @staticmethod
    def jvp(ctx, *grad_inputs):
        """Gives the tangents of the outputs for those of the arguments."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with "
            "forward mode AD."
        )

    @staticmethod
    def vmap(info, in_dims, *args):
        """Gives outputs with a batch dimension, and where it is."""
        raise NotImplementedError(
            "To use autograd.Function with vmap, you must either override the vmap static method "
            "or set generate_vmap_rule=True."
        )


def _bind(forward, args, kwargs):
    """All arguments of a call by position, defaults included."""
    import inspect

    bound = inspect.signature(forward).bind(*args, **kwargs or {})
    bound.apply_defaults()
    return bound.args


class InplaceFunction(Function):
    """The old base of functions that can write to their argument."""

    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = inplace


class NestedIOFunction(Function):
    """The old base of functions of nested arguments. As in PyTorch, it has a name and no use: only
    functions with static methods can be applied."""

    def forward_extended(self, *input):
        """Computes the result from arguments as they are nested."""
        raise NotImplementedError

    def backward_extended(self, *grad_output):
        """Gives the gradients as the arguments are nested."""
        raise NotImplementedError


class Error(Function):
    """Passes tensors on; going backward through them is an error."""

    @staticmethod
    def forward(ctx, message, *tensors):
        ctx.message = message
        return tuple(t.detach() for t in tensors)

    @staticmethod
    def backward(ctx, *grads):
        raise RuntimeError(ctx.message)


def once_differentiable(fn):
    """Decorates a `backward` whose result cannot be differentiated again."""

    @functools.wraps(fn)
    def wrapper(ctx, *args):
        with no_grad():
            outputs = fn(ctx, *args)
        if not is_grad_enabled():
            return outputs
        if not any(isinstance(a, Tensor) and a.requires_grad for a in args):
            return outputs
        single = not isinstance(outputs, tuple)
        outputs = (outputs,) if single else outputs
        places = [i for i, t in enumerate(outputs) if t is not None]
        tensors = [_requiring(outputs[i].detach()) for i in places]
        refusal = Error.apply(  # type: ignore
            "trying to differentiate twice a function that was marked with @once_differentiable",
            *tensors,
        )
        results = list(outputs)
        for i, t in zip(places, refusal):
            results[i] = t
        return results[0] if single else tuple(results)

    return wrapper
