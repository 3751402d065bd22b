"""Anomaly mode: backward says where the operation was called whose derivative failed."""

import traceback
import warnings

from .._wengert import _set_anomaly, is_anomaly_check_nan_enabled, is_anomaly_enabled

__all__ = ["detect_anomaly", "set_detect_anomaly"]


class set_detect_anomaly:
    """Switches anomaly mode: at once, or inside a `with` statement.

    >>> with torch.autograd.set_detect_anomaly(True):
    ...     torch.is_anomaly_enabled()
    True
    """

    def __init__(self, mode, check_nan=True):
        self.before = is_anomaly_enabled(), is_anomaly_check_nan_enabled()
        _set_anomaly(bool(mode), bool(check_nan))

    def __enter__(self):
        return None

    def __exit__(self, *exc):
        _set_anomaly(*self.before)


class detect_anomaly:
    """Each node keeps the traceback of its call; NaN in a gradient is an error.

    >>> x = torch.zeros(1, requires_grad=True)
    >>> with torch.autograd.set_detect_anomaly(True):
    ...     y = (x * 0) / (x * 0)
    ...     print(sorted(y.grad_fn.metadata))
    ['traceback_']
    """

    def __init__(self, check_nan=True):
        self.check_nan = bool(check_nan)
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self):
        self.before = is_anomaly_enabled(), is_anomaly_check_nan_enabled()
        _set_anomaly(True, self.check_nan)

    def __exit__(self, *exc):
        _set_anomaly(*self.before)


def _stack():
    return traceback.format_stack()


def _failed(name, metadata):
    """Warns with the tracebacks of a node whose derivative failed, and of those that led to it."""
    lines = metadata.get("traceback_")
    if lines is None:
        warnings.warn(
            f"Error detected in {name}. No forward pass information available. Enable detect "
            "anomaly during forward pass for more information.",
            stacklevel=2,
        )
        return
    warnings.warn(
        f"Error detected in {name}. Traceback of forward call that caused the error:\n"
        + "".join(lines),
        stacklevel=2,
    )
    parent = metadata.get("parent_")
    while parent is not None:
        lines = parent.metadata.get("traceback_")
        told = (
            "No forward pass information available."
            if lines is None
            else (
                "Traceback of forward call that induced the previous calculation:\n"
                + "".join(lines)
            )
        )
        warnings.warn(
            f"\n\nPrevious calculation was induced by {parent.name()}. {told}", stacklevel=2
        )
        parent = parent.metadata.get("parent_")
