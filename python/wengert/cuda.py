"""GPUs (`torch.cuda`): there are none, and what asks for them is told so.

>>> torch.cuda.is_available()
False
"""

from __future__ import annotations


def is_available() -> bool:
    """False: there is no GPU.

    >>> torch.cuda.is_available()
    False
    """
    return False


def device_count() -> int:
    """0: there is no GPU.

    >>> torch.cuda.device_count()
    0
    """
    return 0


def is_initialized() -> bool:
    """False: there is nothing to initialise.

    >>> torch.cuda.is_initialized()
    False
    """
    return False


def manual_seed(seed: int) -> None:
    """Does nothing: there is no generator to seed.

    >>> torch.cuda.manual_seed(0)
    """


def manual_seed_all(seed: int) -> None:
    """Does nothing: there is no generator to seed.

    >>> torch.cuda.manual_seed_all(0)
    """


def empty_cache() -> None:
    """Does nothing: there is no memory to give back.

    >>> torch.cuda.empty_cache()
    """


def _missing(name: str):
    def refused(*args, **kwargs):
        raise AssertionError("Torch not compiled with CUDA enabled")

    refused.__name__ = refused.__qualname__ = name
    refused.__doc__ = f"""Raises AssertionError: there is no GPU.

    >>> torch.cuda.{name}()
    Traceback (most recent call last):
    AssertionError: Torch not compiled with CUDA enabled
    """
    return refused


synchronize = _missing("synchronize")
current_device = _missing("current_device")
set_device = _missing("set_device")
get_device_name = _missing("get_device_name")
get_device_properties = _missing("get_device_properties")
init = _missing("init")
