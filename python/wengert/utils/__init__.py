"""Tools beside tensors (`torch.utils`)."""

from . import checkpoint, hooks

__all__ = ["checkpoint", "hooks"]
