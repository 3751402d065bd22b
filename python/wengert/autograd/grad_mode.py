"""Context managers and decorators that switch recording on and off."""

from .._wengert import _enforce_grad_layout, _set_grad_enabled, _set_modes, is_grad_enabled

__all__ = [
    "enable_grad",
    "enforce_grad_layout_policy",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
    "set_multithreading_enabled",
]


class _Mode:
    """A grad mode as a context manager and as a decorator, also of generators."""

    def __enter__(self) -> None:
        raise NotImplementedError

    def __exit__(self, *exc) -> None:
        raise NotImplementedError

    def clone(self):
        return type(self)()

    def __call__(self, f):
        # Both are slow to import, and scripts seldom decorate.
        import functools
        import inspect

        if inspect.isclass(f):
            import warnings

            warnings.warn(
                "Decorating classes is deprecated and will be disabled in future versions. You "
                "should only decorate functions or methods. To preserve the current behavior of "
                "class decoration, you can directly decorate the `__init__` method and nothing "
                "else.",
                FutureWarning,
                stacklevel=2,
            )
            make = f
            f = lambda *args, **kwargs: make(*args, **kwargs)  # noqa: E731
        if inspect.isgeneratorfunction(f):
            return self._generator(f)

        @functools.wraps(f)
        def wrapped(*args, **kwargs):
            with self.clone():
                return f(*args, **kwargs)

        return wrapped

    def _generator(self, f):
        import functools

        @functools.wraps(f)
        def wrapped(*args, **kwargs):
            body = f(*args, **kwargs)
            step, value = body.send, None
            while True:
                try:
                    with self.clone():
                        item = step(value)
                except StopIteration as stop:
                    return stop.value
                try:
                    step, value = body.send, (yield item)
                except GeneratorExit:
                    with self.clone():
                        body.close()
                    raise
                except BaseException as error:  # handed on to the generator's body
                    step, value = body.throw, error

        return wrapped


class no_grad(_Mode):
    """Operations inside are not recorded.

    >>> x = torch.ones(1, requires_grad=True)
    >>> with torch.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    def __new__(cls, f=None) -> "no_grad":
        mode = object.__new__(cls)
        return mode(f) if f is not None else mode  # type: ignore

    def __init__(self, f=None):
        self.before = True

    def __enter__(self):
        self.before = _set_grad_enabled(False)

    def __exit__(self, *exc):
        _set_grad_enabled(self.before)


class enable_grad(_Mode):
    """Operations inside are recorded, also within `no_grad`.

    >>> x = torch.ones(1, requires_grad=True)
    >>> with torch.no_grad(), torch.enable_grad():
    ...     (x * 2).requires_grad
    True
    """

    def __new__(cls, f=None) -> "enable_grad":
        mode = object.__new__(cls)
        return mode(f) if f is not None else mode  # type: ignore

    def __init__(self, f=None):
        self.before = True

    def __enter__(self):
        self.before = _set_grad_enabled(True)

    def __exit__(self, *exc):
        _set_grad_enabled(self.before)


class set_grad_enabled(_Mode):
    """Switches recording by a flag: at once, or inside a `with` statement.

    >>> x = torch.ones(1, requires_grad=True)
    >>> with torch.set_grad_enabled(False):
    ...     (x * 2).requires_grad
    False
    """

    def __init__(self, mode):
        if not isinstance(mode, bool):
            raise TypeError(
                "set_grad_enabled(): argument 'enabled' (position 1) must be bool, not "
                + type(mode).__name__
            )
        self.mode = mode
        self.before = _set_grad_enabled(mode)

    def clone(self):
        return type(self)(self.mode)

    def __call__(self, f):
        _set_grad_enabled(self.before)
        return super().__call__(f)

    def __enter__(self):
        _set_grad_enabled(self.mode)

    def __exit__(self, *exc):
        _set_grad_enabled(self.before)

    def __repr__(self):
        return f"torch.autograd.grad_mode.set_grad_enabled(mode={self.mode})"


class inference_mode(_Mode):
    """Inside, nothing is recorded, and new tensors are inference tensors, which no node saves.

    `inference_mode(False)` is the normal mode again, inside an outer one.

    >>> x = torch.ones(1, requires_grad=True)
    >>> with torch.inference_mode():
    ...     y = x * 2
    >>> y.requires_grad, y.is_inference()
    (False, True)
    """

    def __new__(cls, mode=True) -> "inference_mode":
        return object.__new__(cls) if isinstance(mode, bool) else cls()(mode)  # type: ignore

    def __init__(self, mode=True):
        self.mode, self.before = mode, (True, False)

    def clone(self):
        return type(self)(self.mode)

    def __enter__(self):
        self.before = _set_modes(not self.mode, self.mode)

    def __exit__(self, *exc):
        _set_modes(*self.before)


class set_multithreading_enabled(_Mode):
    """Accepted for PyTorch's sake: a pass runs in the thread that asked for it.

    >>> with torch.autograd.set_multithreading_enabled(False):
    ...     pass
    """

    _enabled = True

    def __init__(self, mode):
        self.mode, self.before = mode, set_multithreading_enabled._enabled
        set_multithreading_enabled._enabled = bool(mode)

    def clone(self):
        return type(self)(self.mode)

    def __enter__(self):
        pass

    def __exit__(self, *exc):
        set_multithreading_enabled._enabled = self.before


class enforce_grad_layout_policy(_Mode):
    """With `False`, a gradient that moves into `.grad` keeps the layout in which it came.

    >>> x = torch.ones(3, 2).t().requires_grad_()
    >>> with torch.autograd.enforce_grad_layout_policy(False):
    ...     (x.contiguous() * 2).sum().backward()
    >>> x.stride(), x.grad.stride()
    ((1, 2), (3, 1))
    """

    def __init__(self, enable=True):
        self.mode, self.before = enable, _enforce_grad_layout(enable)

    def clone(self):
        return type(self)(self.mode)

    def __call__(self, f):
        _enforce_grad_layout(self.before)
        return super().__call__(f)

    def __enter__(self):
        pass

    def __exit__(self, *exc):
        _enforce_grad_layout(self.before)
