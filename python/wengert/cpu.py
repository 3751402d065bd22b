"""The CPU as a device (`torch.cpu`)."""

from __future__ import annotations


def is_available() -> bool:
    """True.

    >>> torch.cpu.is_available()
    True
    """
    return True


def device_count() -> int:
    """1: all cores count as one device.

    >>> torch.cpu.device_count()
    1
    """
    return 1


def synchronize(device=None) -> None:
    """Does nothing: work on the CPU is done when it returns.

    >>> torch.cpu.synchronize()
    """


def current_device() -> str:
    """The name of the device.

    >>> torch.cpu.current_device()
    'cpu'
    """
    return "cpu"
