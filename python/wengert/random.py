"""The default generator of random numbers (`torch.random`)."""

from __future__ import annotations

from ._random import (
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)

__all__ = [
    "default_generator",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
]


class fork_rng:
    """Inside the `with` statement the generator's state may change; afterwards it is as before.

    >>> before = torch.get_rng_state()
    >>> with torch.random.fork_rng():
    ...     _ = torch.rand(5)
    >>> torch.equal(torch.get_rng_state(), before)
    True
    """

    def __init__(self, devices=None, enabled: bool = True, device_type: str = "cpu"):
        self.enabled, self.state = enabled, None

    def __enter__(self):
        self.state = get_rng_state()

    def __exit__(self, *exc):
        if self.enabled and self.state is not None:
            set_rng_state(self.state)
