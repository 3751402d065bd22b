"""What nodes save, of every differentiable operation: as torch does, whichever inputs require grad.

Two views of it: which tensors must not be written to between forward and backward, and what the
node's `_saved_` attributes show.
"""

import itertools
import warnings

import pytest

import compare
import op_samples
from compare import caught, scenario, torch

SAMPLES = [s for s in op_samples.samples() if op_samples.differentiable(s)]

#: Attributes that differ from torch's, and why.
UNLIKE = {
    (
        "MmBackward0",
        "self_sym_strides",
    ): "the layout of a gradient follows from the operands' order",
    ("MmBackward0", "mat2_sym_strides"): "as above",
    ("AddmmBackward0", "mat1_sym_strides"): "as above",
    ("AddmmBackward0", "mat2_sym_strides"): "as above",
    ("LogSigmoidBackward0", "buffer"): "a value of torch's kernel that ours computes again",
    ("LinalgSvdBackward0", "U"): "unique up to signs only",
    ("LinalgSvdBackward0", "Vh"): "unique up to signs only",
    ("TrilinearBackward0", "i1"): "all three factors are saved, also where one gradient is wanted",
    ("TrilinearBackward0", "i2"): "as above",
    ("TrilinearBackward0", "i3"): "as above",
    (
        "AsStridedScatterBackward0",
        "storage_offset",
    ): "the offset that is meant, where torch has None",
}

#: Operations whose graphs have other nodes than torch's, and why.
OTHER_NODES = {"einsum": "dimensions are put in order in fewer steps"}

#: Operations after which more writes are refused than by torch, and why.
STRICTER = {
    "kron": "torch's product reads aliases that do not count writes: its gradient is then wrong",
    "bilinear": "all three factors are saved, also where one gradient is wanted",
}


class Recorder:
    """A library whose `tensor` notes what it made: the indices and masks of a sample."""

    def __init__(self, module):
        self.module, self.made = module, []

    def __getattr__(self, name):
        return getattr(self.module, name)

    def tensor(self, value):
        self.made.append(self.module.tensor(value))
        return self.made[-1]


def subsets(sample):
    """Which of the float arguments require grad: every choice of at least one."""
    choices = itertools.product([True, False], repeat=len(sample.arrays))
    return [wanted for wanted in choices if any(wanted)]


def call(module, sample, wanted):
    """`(float arguments, all tensors that take part, results)` of a call."""
    inputs = [module.tensor(a).requires_grad_(w) for a, w in zip(sample.arrays, wanted)]
    library = Recorder(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = compare.flatten(sample(library, *inputs))
    results = [t for t in results if compare.is_tensor(t)]
    return inputs, inputs + library.made + results, results


def refusals(module, sample, wanted):
    """For each tensor that takes part, whether backward is refused after a write to it."""
    out = []
    count = len(call(module, sample, wanted)[1])
    for i in range(count):
        inputs, tensors, results = call(module, sample, wanted)
        sums = [t.sum() for t in results if t.requires_grad]
        module.autograd.graph.increment_version(tensors[i])
        inputs = [x for x in inputs if x.requires_grad]
        error = sums and caught(module.autograd.grad, sums, inputs, allow_unused=True)
        out.append(bool(error) and "modified by an inplace operation" in error)
    return out


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_writes_are_refused(wt, sample):
    compare.count()
    for wanted in subsets(sample):
        ours, theirs = (refusals(m, sample, wanted) for m in (wt, torch))
        if sample.name in STRICTER:
            assert all(a >= b for a, b in zip(ours, theirs)), wanted
        else:
            assert ours == theirs, wanted


def nodes(root):
    """The nodes that lead from a node to the leaves, in a fixed order."""
    seen, stack = [], [root]
    while stack:
        node = stack.pop()
        if node is not None and node not in seen and "AccumulateGrad" not in node.name():
            seen.append(node)
            stack += [edge[0] for edge in reversed(node.next_functions)]
    return seen


def plain(value):
    """A saved value as something that can be compared."""
    if compare.is_tensor(value):
        return compare.to_numpy(value).astype(float).round(6).tolist()
    if isinstance(value, (tuple, list)):
        return tuple(map(plain, value))
    if type(value).__name__ in ("dtype", "device", "layout", "memory_format"):
        return str(value)
    return round(value, 6) if isinstance(value, float) else value


def saved(node):
    """The `_saved_` attributes of a node."""
    names = [name for name in dir(node) if name.startswith("_saved_")]
    found = {(node.name(), n.removeprefix("_saved_")): plain(getattr(node, n)) for n in names}
    return {key: value for key, value in found.items() if key not in UNLIKE}


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_attributes(wt, sample):
    compare.count()
    for wanted in subsets(sample):
        results = [call(m, sample, wanted)[2] for m in (wt, torch)]
        for mine, theirs in zip(*results):
            assert (mine.grad_fn is None) == (theirs.grad_fn is None), wanted
            if mine.grad_fn is None:
                continue
            ours, other = nodes(mine.grad_fn), nodes(theirs.grad_fn)
            if sample.name not in OTHER_NODES:
                assert [n.name() for n in ours] == [n.name() for n in other], wanted
                assert [saved(n) for n in ours] == [saved(n) for n in other], wanted


# --- What the samples do not show ----------------------------------------------------------------


CALLS = [
    "x + 1", "1 - x", "x / 2", "2 / x", "x // 1", "x % 2", "x ** 2", "x ** 3", "x ** -2",
    "x ** 0.5", "x ** 2.5", "2 ** x", "x * -2", "x.sum(-1)", "x.permute(-1, 0)", "x.flip(-1)",
    "x.roll(-1, -1)", "x.select(-1, -2)", "x.unsqueeze(-1)", "x[..., -2:]", "x[1:]", "x[::2]",
    "x[0]", "x[None]", "x[t.tensor([1])]", "x[x > 0.5]", "x.var(-1)", "x.std()", "x.softmax(-1)",
    "x.transpose(-1, -2)", "x.clamp(-1, 1)", "x.clamp(min=x)", "x.clamp(max=1)", "x.t().reshape(6)",
    "x.t().reshape(3, 1, 2)", "x.reshape(2, 3)", "x.double()", "x.clone().copy_(t.ones(3))",
    "x.clone().add_(1)", "x.clone().mul_(x)", "x.clone().fill_(1)", "t.add(x, x, alpha=2)",
    "t.sub(x, 2, alpha=3)", "t.rsub(x, 2)", "t.div(x, x, rounding_mode='trunc')",
    "t.div(x, x, rounding_mode='floor')", "t.lerp(x, x, 0.5)", "t.addcmul(x, x, x, value=2)",
    "t.nn.functional.gelu(x, approximate='tanh')", "t.inner(x, x[0])", "t.tensordot(x, x.t(), 1)",
]  # fmt: skip


@pytest.mark.parametrize("code", CALLS)
@scenario
def test_more_attributes(t, code):
    x = t.tensor([[0.2, 0.4, 0.6], [0.7, 0.9, 1.1]], requires_grad=True)
    y = eval(code, {"t": t, "x": x})
    yield [n.name() for n in nodes(y.grad_fn)], [sorted(saved(n).items()) for n in nodes(y.grad_fn)]
    t.autograd.graph.increment_version(y)
    yield caught(y.sum().backward)


@scenario
def test_all_that_is_saved_is_checked(t):
    """Also what the gradients that are asked for do not read."""
    for function in (t.mul, t.div, t.pow, t.mm, t.atan2):
        for written in range(3):
            for asked in range(2):
                x = t.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
                y = t.tensor([[5.0, 6.0], [7.0, 8.0]], requires_grad=True)
                out = function(x, y)
                t.autograd.graph.increment_version((x, y, out)[written])
                yield caught(t.autograd.grad, out.sum(), (x, y)[asked])


@scenario
def test_all_that_is_saved_is_unpacked(t):
    x, y = (t.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    for asked in (x, y):
        seen = []
        with t.autograd.graph.saved_tensors_hooks(lambda v: v, lambda v: seen.append(1) or v):
            out = x**y
            part = x[t.tensor([1, 0])]
        t.autograd.grad(out.sum(), asked)
        yield len(seen)
        part.sum().backward()
        yield len(seen)


@scenario
def test_freed_is_freed(t):
    x, y = (t.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    z = x * y
    t.autograd.grad(z.sum(), x)
    yield caught(lambda: z.grad_fn._saved_self), caught(t.autograd.grad, z.sum(), y)
    z = x * y.detach()
    yield z.grad_fn._saved_self is None, z.grad_fn._saved_other is y
    z = x.exp()
    yield z.grad_fn._saved_result is z, z.grad_fn._saved_result.grad_fn is z.grad_fn
