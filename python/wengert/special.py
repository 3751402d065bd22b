"""Special functions (`torch.special`): other names of functions of the main namespace."""

from . import _wengert

_SAME = (
    "digamma erf erfc erfinv exp2 expm1 i0 log1p log_softmax logit logsumexp polygamma round sinc "
    "softmax xlogy"
).split()
_RENAMED = {"expit": "sigmoid", "gammaln": "lgamma", "multigammaln": "mvlgamma", "psi": "digamma"}

for _name, _ours in {**{name: name for name in _SAME}, **_RENAMED}.items():
    if hasattr(_wengert, _ours):
        globals()[_name] = getattr(_wengert, _ours)

__all__ = [name for name in globals() if not name.startswith("_")]
