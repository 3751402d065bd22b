"""Handles of hooks (`torch.utils.hooks`)."""

from .._tensor import RemovableHandle

__all__ = ["RemovableHandle"]
