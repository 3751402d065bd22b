"""The library's version (`torch.version`)."""

__version__ = "0.1.0"
cuda = None
hip = None
debug = False
