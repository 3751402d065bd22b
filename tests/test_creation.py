"""Tensors from nothing, from lists, from numbers."""

import numpy as np
import pytest

from compare import caught, scenario


@scenario
def test_from_lists_and_numbers(t):
    for data in (
        1, 2.5, True, [], [[]], [[], []], [1, 2], [1, 2.5], [True, 2], [True, False], [[1], [2]],
        [[1, 2, 3], [4, 5, 6]], (1, 2), [(1.0, 2.0), [3, 4]], range(3), 2**40, -1e300,
        [float("nan"), float("inf")], [np.float32(1.5), 2], np.float64(2.5), np.int32(3),
        [np.arange(2), np.arange(2)],
    ):  # fmt: skip
        yield t.tensor(data)
    for dtype in (t.float32, t.float64, t.int32, t.int64, t.bool):
        yield t.tensor([0, 1, 2], dtype=dtype), t.tensor([1.5, 0.0], dtype=dtype)
    yield t.tensor([1.0], requires_grad=True), t.tensor(3.0, dtype=t.float64, requires_grad=True)
    yield t.tensor([1, 2], device="cpu").device, t.tensor([t.tensor(1.5), t.tensor(2.5)])


@scenario
def test_refused(t):
    for make in (
        lambda: t.tensor([[1, 2], [3]]), lambda: t.tensor([[1], 2]), lambda: t.tensor([1, [2]]),
        lambda: t.tensor("a"), lambda: t.tensor(["a"]), lambda: t.tensor(None),
        lambda: t.tensor([None]), lambda: t.tensor({}), lambda: t.tensor(),
        lambda: t.tensor([1], requires_grad=True), lambda: t.tensor([1], dtype="float32"),
        lambda: t.tensor(2**70), lambda: t.zeros(-1), lambda: t.zeros(2, -3), lambda: t.zeros("a"),
        lambda: t.zeros(1.5), lambda: t.zeros(2, dtype=t.int64, requires_grad=True),
        lambda: t.tensor([1.0], device="mars"), lambda: t.arange(0, 5, 0),
        lambda: t.arange(5, 0), lambda: t.arange(0, float("inf")), lambda: t.arange(float("nan")),
        lambda: t.linspace(0, 1, -1), lambda: t.eye(-1), lambda: t.full((2,)),
        lambda: t.randint(3, 3, (2,)), lambda: t.randperm(-1), lambda: t.zeros(2, 3, bad=1),
        lambda: t.ones(), lambda: t.from_numpy([1]), lambda: t.from_numpy(np.array(["a"])),
        lambda: t.tensor(np.array(["a"])), lambda: t.zeros(2).item(), lambda: t.zeros(0).item(),
    ):  # fmt: skip
        yield caught(make)


@scenario
def test_absurd_sizes(t):
    """Out of memory is an exception, never an end of the process."""
    for make in (lambda: t.empty(2**62), lambda: t.zeros(2**40, 2**40), lambda: t.ones(2**55)):
        yield caught(make) is not None
    x = t.zeros(1)
    yield x.expand(2**40).shape, caught(lambda: (x.expand(2**45) + 1)[0].item()) is not None


@scenario
def test_filled(t):
    for make in (t.zeros, t.ones):
        for size in ((), (0,), (3,), (2, 3), (2, 0, 3)):
            yield make(*size) if size else make(()), make(size), make(list(size))
        yield make(2, dtype=t.int64), make(2, 2, dtype=t.bool), make(2, requires_grad=True)
    yield t.full((2, 2), 7), t.full((2,), 2.5), t.full((2,), True), t.full((), 3, dtype=t.float64)
    yield t.empty(2, 3).shape, t.empty((0,)), t.empty(2, dtype=t.int32).dtype
    yield t.eye(3), t.eye(2, 3), t.eye(3, 1, dtype=t.int64), t.eye(0)


@scenario
def test_like(t):
    for x in (t.arange(3), t.ones(2, 2, dtype=t.float64).t(), t.tensor(True), t.zeros(0, 2)):
        yield t.zeros_like(x), t.ones_like(x), t.full_like(x, 3), t.empty_like(x).shape
        yield t.zeros_like(x, dtype=t.float32), t.ones_like(x, dtype=t.int64)
        yield x.new_zeros(2), x.new_ones((2, 2)), x.new_full((2,), 1), x.new_tensor([1, 2])
    y = t.ones(2, requires_grad=True)
    yield t.zeros_like(y), t.ones_like(y, requires_grad=True), t.rand_like(y).shape


@pytest.mark.parametrize(
    "args",
    [
        (5,), (0,), (2, 7), (0, 10, 3), (5, 0, -1), (5, 0, -2), (1.5,), (0, 1, 0.1),
        (0.0, 1.0, 0.3), (-1, 1, 0.25), (10, 0, -2.5), (1, 1),
        (2**33, 2**33 + 3), (0, 100_000), (0.0, 1e5),
    ],
)  # fmt: skip
@scenario
def test_arange(t, args):
    yield (
        t.arange(*args),
        t.arange(*args, dtype=t.float64),
        t.arange(*args, dtype=t.int32 if max(args) < 2**31 else None),
    )
    if len(args) == 3:
        yield t.arange(start=args[0], end=args[1], step=args[2])


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 8, 100, 9999])
@scenario
def test_linspace(t, steps):
    for dtype in (t.float32, t.float64):
        for start, end in ((0, 1), (-3.5, 7), (5, -5), (1e-3, 1e6)):
            yield t.linspace(start, end, steps, dtype=dtype).tolist()
    yield t.linspace(0, 10, steps, dtype=t.int64), t.linspace(start=1, end=2, steps=steps)


@scenario
def test_copies(t):
    x = t.tensor([1.0, 2.0], requires_grad=True)
    yield t.as_tensor(x) is x, t.as_tensor([1, 2]), t.as_tensor(x, dtype=t.float64)
    yield x.clone(), x.detach(), x.detach().clone(), t.clone(x), x.data
    a = np.arange(3.0)
    shared, copied = t.as_tensor(a), t.tensor(a)
    a[0] = 100
    yield shared, copied


@scenario
def test_item_and_tolist(t):
    for x in (t.tensor(1.5), t.tensor([[2]]), t.tensor(True), t.tensor(2.5, dtype=t.float64)):
        yield x.item(), x.tolist(), float(x), int(x), bool(x)
    yield t.zeros(2, 0).tolist(), t.arange(4).reshape(2, 2).tolist(), t.ones(2).bool().tolist()
    yield [1, 2, 3][t.tensor(1)], list(range(t.tensor(3))), f"{t.tensor(1.23456):.2f}"
    for call in (
        lambda: bool(t.zeros(2)), lambda: bool(t.zeros(0)), lambda: float(t.zeros(2)),
        lambda: [1, 2][t.tensor(0.5)], lambda: len(t.tensor(1)), lambda: iter(t.tensor(1)),
        lambda: int(t.tensor(float("nan"))), lambda: hash(t.zeros(1)) and None,
    ):  # fmt: skip
        yield caught(call)
