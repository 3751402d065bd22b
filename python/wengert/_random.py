"""Seeds, states, and the methods that fill tensors with random numbers."""

from __future__ import annotations

from . import _wengert
from ._wengert import Generator, Tensor, default_generator

__all__ = [
    "Generator",
    "default_generator",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
]


def manual_seed(seed) -> Generator:
    """Starts the default generator's sequence that belongs to `seed`; returns the generator.

    Raises RuntimeError for a seed beyond 64 bits.

    >>> _ = torch.manual_seed(0)
    >>> torch.rand(1)
    tensor([0.4963])
    """
    return default_generator.manual_seed(int(seed))


def seed() -> int:
    """Seeds the default generator from the operating system; returns the seed.

    >>> torch.seed() == torch.initial_seed()
    True
    """
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator.

    >>> torch.manual_seed(5).initial_seed() == torch.initial_seed()
    True
    """
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default generator, as a tensor of bytes.

    >>> torch.get_rng_state().dtype
    torch.uint8
    """
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Goes back to a state that `get_rng_state` gave. Raises RuntimeError for other bytes.

    >>> state = torch.get_rng_state()
    >>> first = torch.rand(3)
    >>> torch.set_rng_state(state)
    >>> torch.equal(torch.rand(3), first)
    True
    """
    default_generator.set_state(new_state)


def _method(name: str, kind: str, text: str, parameters: dict) -> None:
    """Attaches `x.name(first, second, *, generator=None)`, which fills `x`."""
    names, defaults = [*parameters, ""], [*parameters.values(), 0.0]

    def fill(self, *args, generator=None, **kwargs):
        values: list = defaults[:2]
        if len(args) > len(parameters):
            raise TypeError(
                f"{name}() takes from 0 to {len(parameters)} positional arguments but {len(args)} "
                "were given"
            )
        values[: len(args)] = args
        for key, value in kwargs.items():
            if key not in parameters:
                raise TypeError(f"{name}() got an unexpected keyword argument '{key}'")
            values[names.index(key)] = value
        if None in values:
            missing = names[values.index(None)]
            raise TypeError(f'{name}() missing 1 required positional arguments: "{missing}"')
        _wengert._fill_random(self, kind, values[0], values[1], generator)
        return self

    fill.__name__ = name
    fill.__qualname__ = f"Tensor.{name}"
    fill.__doc__ = text
    setattr(Tensor, name, fill)


_EXAMPLE = "\n\n>>> torch.zeros(2, 3).{}.shape\ntorch.Size([2, 3])"
for _name, _call, _text, _parameters in (
    ("uniform", "uniform_()", "uniform numbers in [`from`, `to`)", {"from": 0.0, "to": 1.0}),
    ("normal", "normal_()", "normal numbers", {"mean": 0.0, "std": 1.0}),
    ("bernoulli", "bernoulli_(0.5)", "1 with probability `p`, else 0", {"p": 0.5}),
    ("exponential", "exponential_()", "exponential numbers of rate `lambd`", {"lambd": 1.0}),
    ("cauchy", "cauchy_()", "Cauchy numbers", {"median": 0.0, "sigma": 1.0}),
    ("log_normal", "log_normal_()", "exponentials of normal numbers", {"mean": 1.0, "std": 2.0}),
    ("geometric", "geometric_(0.5)", "trials up to the first success", {"p": None}),
):
    _text = f"Fills the tensor with {_text}. Raises RuntimeError for parameters out of range."
    _method(_name + "_", _name, _text + _EXAMPLE.format(_call), _parameters)


def random_(self, *args, generator: Generator | None = None, **kwargs):
    """Fills the tensor with integers from `from` (0 if not given) up to `to`, `to` itself excluded.

    Without bounds, up to the largest of the dtype, or up to where a floating dtype leaves some out.
    Raises RuntimeError if there are none between them.

    >>> torch.zeros(2, 3).random_(10).shape
    torch.Size([2, 3])
    """
    low, high = kwargs.pop("from", 0), kwargs.pop("to", None)
    if kwargs:
        raise TypeError(f"random_() got an unexpected keyword argument '{next(iter(kwargs))}'")
    if len(args) == 1:
        high = args[0]
    elif args:
        low, high = args
    if high is None:
        _wengert._fill_random(self, "any", 0.0, 0.0, generator)
    else:
        _wengert._fill_random(self, "integers", low, high, generator)
    return self


random_.__qualname__ = "Tensor.random_"
Tensor.random_ = random_


def bernoulli(self, p=None, *, generator: Generator | None = None):
    """`torch.bernoulli` of this tensor.

    >>> torch.tensor([0.0, 1.0]).bernoulli()
    tensor([0., 1.])
    """
    args = () if p is None else (p,)
    return _wengert.bernoulli(self, *args, generator=generator)


def multinomial(self, num_samples: int, replacement: bool = False, *, generator=None):
    """`torch.multinomial` of this tensor.

    >>> torch.tensor([0.0, 1.0]).multinomial(1)
    tensor([1])
    """
    return _wengert.multinomial(self, num_samples, replacement, generator=generator)


for _f in (bernoulli, multinomial):
    _f.__qualname__ = f"Tensor.{_f.__name__}"
    setattr(Tensor, _f.__name__, _f)
