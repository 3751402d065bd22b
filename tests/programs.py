"""Random programs, run under torch and under the candidate: every step must do the same in both.

A program is a list of steps; a step is a line of Python with holes, and numbers that say what
goes into them: `{a}` `{b}` `{c}` are tensors that exist by then, `{i}` is 0 or 1, and `{n}` is a
new tensor's name. Compared are, step by step, what is raised, what hooks see, the versions of all
tensors, and at the end (in every second program after every step) values, flags and gradients.

    python tests/programs.py --count 1000 [--seed 0] [--steps 14]

runs that many and prints the programs that differ, each reduced to the steps that matter, as a
script. `test_programs.py` draws programs with hypothesis.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import random
import re
import warnings

import numpy as np

from compare import candidate, first_sentence, torch

# Whether what errors say is compared, or only that there is one: where a step is wrong in two ways,
# the libraries may find one or the other first.
TEXTS = False
TENSORS = (torch.Tensor, candidate.Tensor)

# Grouped; a group's weight says how often one of its lines is drawn.
LINES = {
    "arithmetic": (
        6,
        """
        {n} = {a} * {b}
        {n} = {a} + {b}
        {n} = {a} - 0.5 * {b}
        {n} = {a} / ({b} * {b} + 1)
        {n} = {a} * 1.5
        {n} = {a} + 1
        {n} = {a}.exp() * 0.1
        {n} = {a}.tanh()
        {n} = {a}.sigmoid()
        {n} = {a}.relu()
        {n} = {a} ** 2
        {n} = {a}.sum()
        {n} = {a}.sum(0)
        {n} = {a}.mean(-1, keepdim=True)
        {n} = {a}.max(0).values
        {n} = {a}.max()
        {n} = {a}.clone()
        {n} = {a}.float()
        {n} = {a}.double()
        {n} = {a}.mm({b}.mT)
        {n} = torch.where({a} > {b}, {a}, {b})
        {n} = torch.cat([{a}.reshape(-1), {b}.reshape(-1)])[:6]
        {n} = torch.stack([{a}, {a}])[{i}]
        {n} = {a}[[{i}, 0]]
        {n} = {a}[{a} > 0.8]
        {n} = {a}.softmax(-1)
        {n} = {a}.cumsum(-1)
        {n} = {a}.prod()
        {n} = {a}.var()
        {n} = {a}.norm()
        {n} = {a}.logsumexp(-1)
        {n} = {a}.sort(-1).values
        {n} = {a}.topk(2).values
        {n} = {a}.abs() ** {b}
        {n} = torch.minimum({a}, {b})
        {n} = {a}.lerp({b}, 0.3)
        {n} = {a}.clamp(0.6, 1.2)
        {n} = {a}.flip(0)
        {n} = {a}.repeat(2, 1) * 1
        {n} = {a}.tril()
        {n} = {a}.gather(-1, torch.tensor([[{i}, 0]]))
        {n} = {a}.index_select(0, torch.tensor([{i}, 0]))
        {n} = {a}.index_put((torch.tensor([{i}, 0]),), {b}.sum().to({a}.dtype), accumulate=True)
        {n} = {a}.scatter_add(0, torch.tensor([[{i}, 0, {i}], [0, {i}, 0]]), {b})
        {n} = {a}.masked_fill({b} > 0.8, 0.25)
        {n} = torch.nn.functional.linear({a}, {b}) if {a}.dim() == {b}.dim() == 2 else None
        {n} = torch.nn.functional.mse_loss({a}, {b})
        {n} = torch.einsum("ij,kj->ik", {a}, {b}) * 1
        {n} = torch.cat([{a}, {b}])
        {n} = {a}.addcmul({b}, {c}, value=0.5)
        {n} = {a}.detach().clone().requires_grad_(not torch.is_inference_mode_enabled())
        """,
    ),
    "views": (
        6,
        """
        {n} = {a}.t()
        {n} = {a}.unsqueeze(0)
        {n} = {a}[{i}]
        {n} = {a}[..., 1:]
        {n} = {a}[..., ::2]
        {n} = {a}.reshape(-1)
        {n} = {a}.view(-1)
        {n} = {a}.view_as({a})
        {n} = {a}.expand(2, *{a}.shape)
        {n} = {a}.unbind(0)[{i}]
        {n} = {a}.chunk(2, -1)[{i}]
        {n} = {a}.split(1)[0]
        {n} = {a}.diagonal()
        {n} = {a}.squeeze()
        {n} = {a}.transpose(0, -1)
        {n} = {a}.narrow(0, {i}, 1)
        {n} = {a}.as_strided((2, 2), (2, 1), {i}) if {a}.numel() == 6 else None
        {n} = {a}.unfold(-1, 2, 2)
        {n} = {a}.select(-1, {i})
        {n} = {a}.movedim(0, -1)
        {n} = {a}.flatten()
        {n} = {a}.tensor_split(2, -1)[{i}]
        {n} = None if torch.is_inference_mode_enabled() else {a}.unsafe_chunk(2, -1)[{i}]
        {n} = {a}.detach()
        {n} = {a}.data
        """,
    ),
    "in place": (
        7,
        """
        {a}.mul_({b})
        {a}.mul_(1.5)
        {a}.add_({b}, alpha=2)
        {a}.add_(1)
        {a}.div_({b} * {b} + 1)
        {a} -= {b}
        {a}.exp_()
        {a}.tanh_()
        {a}.relu_()
        {a}.clamp_(0.6, 1.2)
        {a}.zero_()
        {a}.copy_({b})
        {a}.copy_({b}.sum())
        {a}.fill_({b}.sum())
        {a}[{i}] = {b}
        {a}[{i}] = 0.5
        {a}[..., 1:] = {b}.sum()
        {a}[...] = {b}
        {a}[{a} > 0.8] = 0.25
        {a}[[{i}, 0]] = {b}.sum()
        {a}.masked_fill_({a} > 0.8, 0.25)
        {a}.index_add_(0, torch.tensor([{i}]), {b})
        {a}.index_fill_(0, torch.tensor([{i}]), 0.75)
        {a}.addcmul_({b}.to({a}.dtype), {c}.to({a}.dtype))
        if {a}._is_view() or not {a}.requires_grad: {a}.t_()
        if {a}._is_view() or not {a}.requires_grad: {a}.unsqueeze_(0)
        if {a}._is_view() or not {a}.requires_grad: {a}.squeeze_()
        {a}.unbind(0)[{i}].mul_(2)
        {a}[{i}].mul_({b})
        {a}.sub_({b}).abs_()
        {a}.lerp_({b}.to({a}.dtype), 0.3)
        {a}.pow_(2)
        {a}.sigmoid_()
        {a}.cumsum_(0)
        {a}.index_put_((torch.tensor([{i}, 0]),), {b}.sum().to({a}.dtype), accumulate=True)
        {a}.scatter_(0, torch.tensor([[{i}, 0, {i}]]), 0.5)
        {a}.scatter_add_(0, torch.tensor([[{i}, 0, {i}], [0, {i}, 0]]), {b})
        {a}.index_copy_(0, torch.tensor([{i}]), {b})
        {a}.masked_scatter_({a} > 0.8, {b}.sum().to({a}.dtype).expand(99))
        {a}.transpose_(0, -1) if {a}._is_view() else None
        {a}.diagonal().mul_({b}.sum())
        torch.mul({b}, 2, out={a}) if alike({a}, {b}) else None
        {a}.detach_()
        {a}.data.mul_(0.9)
        if alike({a}, {b}): {a}.data = {b}
        if alike({a}, {b}): {a}.data = {b}.detach().clone()
        if {a}.grad_fn: {a}.data = {b}.detach().clone()
        """,
    ),
    "flags": (
        1,
        """
        {a}.requires_grad_()
        {a}.requires_grad_(False)
        {a}.retain_grad()
        {a}.grad = None
        {a}.grad.zero_()
        {a}.grad = torch.ones_like({a})
        del {a}
        """,
    ),
    "hooks": (
        2,
        """
        if hookable({a}): handles.append({a}.register_hook(lambda g: log("hook {a}", g)))
        if hookable({a}): handles.append({a}.register_hook(lambda g: g * 2))
        if hookable({a}): handles.append({a}.register_hook(lambda g: fail()))
        if hookable({a}): handles.append({a}.register_post_accumulate_grad_hook(post("{a}")))
        handles.append({a}.grad_fn.register_hook(lambda gi, go: log("node {a}", gi, go)))
        handles.append({a}.grad_fn.register_prehook(lambda go: log("before {a}", go)))
        handles.append({a}.grad_fn.register_prehook(lambda go: tuple(g * 0.5 for g in go)))
        handles.pop().remove()
        """,
    ),
    "functions": (
        1,
        """
        {n} = Scale.apply({a}, {b})
        {n} = Dirty.apply({a})
        {n} = Same.apply({a})
        {n} = Pair.apply({a})[{i}]
        {n} = Deaf.apply({a}, {b})
        {n} = checkpoint(lambda x: x.tanh() * x, {a}, use_reentrant=False)
        {n} = checkpoint(lambda x: x.exp(), {a}, use_reentrant=True)
        with saved_tensors_hooks(lambda x: x.detach() * 1, lambda x: x): {n} = {a} * {b}
        with saved_tensors_hooks(lambda x: fail(), lambda x: x): {n} = {a} * {b}
        with saved_tensors_hooks(lambda x: x, lambda x: fail()): {n} = {a}.exp()
        """,
    ),
    "backward": (
        3,
        """
        {a}.sum().backward()
        {a}.sum().backward(retain_graph=True)
        {a}.backward({b}.clone())
        {a}.backward()
        ({a} * {b}).sum().backward(retain_graph=True)
        {a}.sum().backward(inputs=[{b}, {c}], retain_graph=True)
        {a}.sum().backward(create_graph=True)
        log(torch.autograd.grad({a}.sum(), [{b}, {c}], allow_unused=True))
        log(torch.autograd.grad({a}.sum(), [{b}, {c}], allow_unused=True, retain_graph=True))
        log(torch.autograd.grad({a}, [{b}], torch.ones_like({a}), retain_graph=True))
        log(torch.autograd.grad([{a}.sum(), {b}.mean()], [{c}], retain_graph=True))
        log(torch.autograd.grad({a}.sum(), [{b}], materialize_grads=True, retain_graph=True))
        torch.autograd.backward([{a}.sum(), ({b} * {b}).sum()], retain_graph=True)
        log(torch.autograd.functional.vjp(lambda x: x.tanh() * x, {a}.detach(), {b}))
        {n} = torch.autograd.grad({a}.sum(), {b}, create_graph=True)[0].clone()
        {n} = torch.autograd.grad({a}.tanh().sum(), {b}, create_graph=True)[0].clone()
        {n} = torch.autograd.grad({a}.exp(), {b}, {c}, create_graph=True)[0].clone()
        """,
    ),
}
STEPS = [
    (weight / len(lines), line)
    for weight, text in LINES.values()
    for lines in [[line.strip() for line in text.strip().splitlines()]]
    for line in lines
]
WRITES = {line.strip() for line in LINES["in place"][1].strip().splitlines()}
MODES = {"": 14, "no_grad": 2, "enable_grad": 1, "inference_mode": 1}
HOLES = 4


def functions(module):
    """Custom functions, the same under each library."""

    class Scale(module.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            return x * y

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return g * y, g * x

    class Dirty(module.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2)

        @staticmethod
        def backward(ctx, g):
            return g * 2

    class Same(module.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 3

    class Pair(module.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            y = x.exp()
            ctx.save_for_backward(y)
            return y, x[0]

        @staticmethod
        def backward(ctx, g, h):
            (y,) = ctx.saved_tensors
            return None if g is None else g * y

    class Deaf(module.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            z = x + y
            ctx.mark_non_differentiable(y)
            return z, y.clone()

        @staticmethod
        @module.autograd.function.once_differentiable
        def backward(ctx, g, _):
            return g, None

    return {f.__name__: f for f in (Scale, Dirty, Same, Pair, Deaf)}


def hookable(t):
    """PyTorch crashes on hooks of a view without history of a leaf that requires a gradient."""
    return t.grad_fn is not None or not t._is_view()


def alike(a, b):
    """A leaf that is given data of another form gets another accumulator in PyTorch, and one given
    an inference tensor's becomes one."""
    return a.shape == b.shape and a.dtype == b.dtype and a.is_inference() == b.is_inference()


def overlap(a, b):
    """True if two tensors are different parts of one memory."""
    same = a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()
    place = [(t.data_ptr(), t.shape, t.stride()) for t in (a, b)]
    return same and place[0] != place[1]


class Raised(str):
    """The first sentence of what a step raised."""


class Refused(Exception):
    """What a hook of a program raises."""


def fail():
    raise Refused("by a hook")


def snapshot(value):
    """A value as it is now: arrays are copied."""
    if isinstance(value, TENSORS):
        return np.array(value.detach().numpy())
    if isinstance(value, (tuple, list)):
        return tuple(snapshot(v) for v in value)
    return value


class World:
    """One library's half of a program."""

    def __init__(self, module, often):
        self.often, self.log, self.script = often, [], []
        values = np.random.default_rng(0).uniform(0.5, 1.5, (4, 2, 3))
        leaves = [module.tensor(v).requires_grad_() for v in values[:2]]
        leaves += [module.tensor(values[2]), module.tensor(values[3, 0].astype("float32"))]
        leaves[3].requires_grad_()
        self.tensors = {f"x{i}": leaf for i, leaf in enumerate(leaves)}
        self.names = dict(
            shared(module),
            torch=module,
            log=lambda *what: self.note(*what),
            post=lambda name: lambda leaf: self.note("post", name, leaf.grad),
            handles=[],
            fail=fail,
            alike=alike,
            hookable=hookable,
            checkpoint=importlib.import_module(f"{module.__name__}.utils.checkpoint").checkpoint,
            saved_tensors_hooks=module.autograd.graph.saved_tensors_hooks,
        )

    def note(self, *what):
        self.log.append(snapshot(what))

    def refused(self, error):
        self.log.append(Raised(first_sentence(error)))

    def step(self, mode, line, picks):
        alive = list(self.tensors)
        if not alive:
            return
        chosen = {hole: alive[-1 - pick % len(alive)] for hole, pick in zip("abc", picks)}
        first = self.tensors[chosen["a"]]
        if line in WRITES:
            # What a write reads from elsewhere in the same memory is not defined.
            chosen.update(
                (hole, f"{name}.clone()")
                for hole, name in chosen.items()
                if overlap(first, self.tensors[name])
            )
        inference = mode == "inference_mode"
        if (line in WRITES or "Dirty" in line) and inference != first.is_inference():
            # PyTorch writes to an inference tensor before it refuses to; in the mode, it lets
            # `detach_` and `data` of a normal tensor pass without a trace.
            if not inference or "detach" in line or "data" in line:
                return
        source = line.format(n=f"t{len(self.script)}", i=picks[-1] % 2, **chosen)
        if mode:
            source = f"with torch.{mode}():\n    {source}"
        self.script.append(source)
        names = {**self.names, **self.tensors}
        try:
            exec(compiled(source), names)
        except Exception as error:
            self.refused(error)
            if "grad" in line or "backward" in line:
                # Which leaves a pass has served before it failed is not compared.
                for t in self.tensors.values():
                    t.grad = None
        # Not `names` itself, which hooks hold: a program's `del` must be one.
        for name in [*alive, f"t{len(self.script) - 1}"]:
            found = names.get(name)
            if isinstance(found, TENSORS):
                self.tensors[name] = found
            else:
                self.tensors.pop(name, None)
        names.clear()
        names.update(self.names)
        # PyTorch counts some of the writes by which it makes results of inference tensors.
        if not any("inference_mode" in line for line in self.script):
            self.note("versions", [t._version for t in self.tensors.values()])
        if self.often:
            self.look()

    def look(self):
        for name, t in self.tensors.items():
            self.note(name, t, str(t.dtype), t.requires_grad, t._is_view(), t.is_inference())
            try:
                self.note(name, t.is_leaf, self.node(t), t.output_nr)
                if t.is_leaf or t.retains_grad:
                    self.note(name, "grad", t.grad)
            except Exception as error:
                self.refused(error)

    def node(self, t):
        """The node's name; what is called a gradient of a gradient is made of other nodes here."""
        if any("create_graph" in line for line in self.script):
            return t.grad_fn is not None
        return t.grad_fn and t.grad_fn.name()


@functools.lru_cache(maxsize=100_000)
def compiled(source):
    return compile(source, "<program>", "exec")


@functools.cache
def shared(module):
    return functions(module)


def run(module, program):
    often, steps = program
    world = World(module, often)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in steps:
            world.step(*step)
        world.look()
    return world


def same(a, b):
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        # One of the leaves is float32, and enters results in float64, too.
        form = a.shape == b.shape and a.dtype == b.dtype
        return form and np.allclose(a, b, 1e-5, 1e-6, equal_nan=True)
    if isinstance(a, Raised) and isinstance(b, Raised) and not TEXTS:
        return True
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def difference(program):
    """None, or `(script, torch's entry, the candidate's)` at the first entry that differs."""
    theirs, ours = run(torch, program), run(candidate, program)
    for a, b in zip(theirs.log, ours.log):
        if not same(a, b):
            return theirs.script, a, b
    if len(theirs.log) != len(ours.log):
        return theirs.script, len(theirs.log), len(ours.log)
    return None


def draw(choose, length):
    """A program; `choose(items, weights)` picks one of the items."""
    lines = [line for _, line in STEPS], [weight for weight, _ in STEPS]
    modes = list(MODES), list(MODES.values())
    steps = [
        (
            choose(*modes),
            choose(*lines),
            [choose(range(12), range(12, 0, -1)) for _ in range(HOLES)],
        )
        for _ in range(length)
    ]
    return choose([False, True], [1, 1]), steps


def random_program(seed, most):
    source = random.Random(seed)
    return draw(lambda items, weights: source.choices(items, weights)[0], source.randint(2, most))


def reduced(program):
    """The program without the steps that the difference does not need."""
    often, steps = program
    size = max(1, len(steps) // 2)
    while size:
        kept = 0
        while kept < len(steps):
            shorter = steps[:kept] + steps[kept + size :]
            if difference((often, shorter)):
                steps = shorter
            else:
                kept += size
        size //= 2
    return often, steps


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=14, help="the most steps of a program")
    parser.add_argument("--whole", action="store_true", help="do not reduce what differs")
    parser.add_argument("--texts", action="store_true", help="compare what errors say, too")
    options = parser.parse_args()
    global TEXTS
    TEXTS = options.texts
    found = {}
    for seed in range(options.seed, options.seed + options.count):
        program = random_program(seed, options.steps)
        if difference(program):
            script, theirs, ours = difference(program if options.whole else reduced(program))
            kind = re.sub(r"\b[tx]\d+", "t", f"{theirs}"[:60] + " | " + f"{ours}"[:60])
            found.setdefault(kind, []).append(seed)
            if len(found[kind]) <= 2:
                print(f"--- seed {seed}", *script, f"torch: {theirs}", f"ours:  {ours}", sep="\n")
    different = sum(map(len, found.values()))
    print(f"{options.count} programs, {different} differ, in {len(found)} ways")
    for kind, seeds in sorted(found.items(), key=lambda item: -len(item[1])):
        print(f"{len(seeds):6} {kind}".replace("\n", " "))


if __name__ == "__main__":
    main()
