"""The recorded graph (`torch.autograd.graph`)."""

from .._wengert import Node

__all__ = ["Node"]
