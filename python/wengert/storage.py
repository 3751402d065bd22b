"""The memory behind tensors (`torch.storage`)."""

from ._storage import UntypedStorage

__all__ = ["UntypedStorage"]
