"""Switches of the library itself.

>>> with wengert.config.fusion(False):
...     pass
"""

from . import _wengert


class fusion:
    """Whether large pointwise work may be deferred and run in one pass; results do not change.

    A context manager that acts at once: `fusion(False)` by itself switches fusion off for good.

    >>> with wengert.config.fusion(False):
    ...     wengert.config.fusion_enabled()
    False
    """

    def __init__(self, mode=True):
        self.before = _wengert._set_fusion(bool(mode))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        _wengert._set_fusion(self.before)


def fusion_enabled():
    """True if large pointwise work may be deferred.

    >>> wengert.config.fusion_enabled()
    True
    """
    return _wengert._fusion_enabled()
