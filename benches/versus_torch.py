"""Time the same lines under torch and wengert, in one process, and print a Markdown table.

    python benches/versus_torch.py [--quick] [--only REGEX] [--json FILE]

Rounds of the two libraries alternate, so that a busy machine slows both; the ratio is that of the
medians (in brackets: of the minimums). Every result is forced: large ones, which may be put off,
are read through NumPy, gradients included. The header holds what the machine can do at most,
measured in the same run.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
# A round lasts at least this long, so that the clock's own cost disappears.
ROUND_SECONDS = 0.02


def read(tensor):
    """Forces a tensor's value: all of it, even where only a part would be needed."""
    return tensor.detach().numpy()


# --- The lines: each takes a module, prepares, and returns the function to time ------------------

LINES = {}


def line(name):
    def register(prepare):
        LINES[name] = prepare
        return prepare

    return register


def leaf(t, *shape):
    return t.rand(*shape).add_(0.5).requires_grad_()


@line("x * y, 8 floats")
def _(t):
    x, y = t.rand(8), t.rand(8)
    return lambda: x * y


@line("x * y, 8 floats, recorded")
def _(t):
    x, y = leaf(t, 8), leaf(t, 8)
    return lambda: x * y


@line("notebook: z = x*y + y**2, sum, backward")
def _(t):
    def run():
        x = t.tensor([1.0, 2.0, 3.0], requires_grad=True)
        y = t.tensor([[4.0], [5.0]], requires_grad=True)
        z = x * y + y**2
        z.retain_grad()
        z.sum().backward()
        return x.grad, y.grad, z.grad

    return run


@line("the same, printed")
def _(t):
    def run():
        x = t.tensor([1.0, 2.0, 3.0], requires_grad=True)
        y = t.tensor([[4.0], [5.0]], requires_grad=True)
        z = x * y + y**2
        z.sum().backward()
        return repr(x), repr(y), repr(z), repr((x.grad, x.grad.shape))

    return run


def chain(t, length):
    x, y = leaf(t, 8), t.full((8,), 0.999)

    def run():
        x.grad = None
        z = x
        for _ in range(length // 2):
            z = z * y
            z = z + y
        z.sum().backward()
        return x.grad

    return run


@line("chain of 1,000 small ops, forward and backward")
def _(t):
    return chain(t, 1_000)


@line("chain of 50,000 small ops, forward and backward")
def _(t):
    return chain(t, 50_000)


@line("fan-out: one leaf used 2,000 times, forward and backward")
def _(t):
    x, y = leaf(t, 8), t.full((8,), 0.999)

    def run():
        x.grad = None
        total = x * y
        for _ in range(999):
            total = total + x * y
        total.sum().backward()
        return x.grad

    return run


def rosenbrock(t):
    """A function of a vector with a known, full first derivative and a banded second one."""

    def f(x):
        a, b = x[:-1], x[1:]
        return (100 * (b - a * a) ** 2 + (1 - a) ** 2).sum()

    return f


@line("Hessian-vector product of Rosenbrock's function, 24 variables")
def _(t):
    f, x, v = rosenbrock(t), leaf(t, 24), t.rand(24)

    def run():
        (g,) = t.autograd.grad(f(x), x, create_graph=True)
        return t.autograd.grad(g, x, v)[0]

    return run


@line("the same, autograd.functional.hessian")
def _(t):
    f, x = rosenbrock(t), t.rand(24)
    return lambda: t.autograd.functional.hessian(f, x)


@line("the same, func.hessian")
def _(t):
    hessian, x = t.func.hessian(rosenbrock(t)), t.rand(24)
    return lambda: hessian(x)


@line("vmap(grad(f)) of a linear model's loss, 64 examples")
def _(t):
    w, x, y = t.rand(16), t.rand(64, 16), t.rand(64)

    def loss(w, x, y):
        return ((x * w).sum().tanh() - y) ** 2

    per_example = t.func.vmap(t.func.grad(loss), (None, 0, 0))
    return lambda: per_example(w, x, y)


@line("chain of 100 Python Functions, forward and backward")
def _(t):
    class Scale(t.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(y)
            return x * y

        @staticmethod
        def backward(ctx, grad):
            (y,) = ctx.saved_tensors
            return grad * y, None

    x, y = leaf(t, 8), t.full((8,), 0.999)

    def run():
        x.grad = None
        z = x
        for _ in range(100):
            z = Scale.apply(z, y)
        z.sum().backward()
        return x.grad

    return run


@line("chain of 100 small ops, a hook on every tensor")
def _(t):
    x, y = leaf(t, 8), t.full((8,), 0.999)

    def run():
        x.grad = None
        z = x
        for _ in range(100):
            z = z * y
            z.register_hook(lambda g: None)
        z.sum().backward()
        return x.grad

    return run


@line("((x*y + 1.5)*x - y*0.25).sum(), 2 M, forward and backward")
def _(t):
    x, y = leaf(t, 2_000_000), leaf(t, 2_000_000)

    def run():
        x.grad = y.grad = None
        loss = ((x * y + 1.5) * x - y * 0.25).sum()
        loss.backward()
        return loss.item(), read(x.grad), read(y.grad)

    return run


@line("the same, forward only")
def _(t):
    x, y = t.rand(2_000_000), t.rand(2_000_000)
    return lambda: ((x * y + 1.5) * x - y * 0.25).sum().item()


def product(n):
    @line(f"matmul {n} x {n}")
    def _(t):
        a, b = t.rand(n, n), t.rand(n, n)
        return lambda: read(a @ b)


for size in (8, 16, 32, 64, 128, 256, 512, 1024, 2048):
    product(size)


@line("matmul 256 x 256, forward and backward")
def _(t):
    a, b = leaf(t, 256, 256), leaf(t, 256, 256)

    def run():
        a.grad = b.grad = None
        (a @ b).sum().backward()
        return read(a.grad), read(b.grad)

    return run


@line("bmm 64 x (96 x 64 x 96)")
def _(t):
    a, b = t.rand(64, 96, 64), t.rand(64, 64, 96)
    return lambda: read(a.bmm(b))


def pointwise(name, size):
    @line(f"{name}, {size:,} floats")
    def _(t):
        x = t.rand(size)
        op = getattr(t, name)
        return lambda: read(op(x))


for op in ("exp", "log", "sin", "tanh", "sqrt", "sigmoid"):
    pointwise(op, 1_000_000)
for op in ("exp", "tanh"):
    pointwise(op, 4_096)


@line("x + y, 1,000,000 floats")
def _(t):
    x, y = t.rand(1_000_000), t.rand(1_000_000)
    return lambda: read(x + y)


@line("matrix + row, 1,000 x 1,000")
def _(t):
    x, y = t.rand(1_000, 1_000), t.rand(1_000)
    return lambda: read(x + y)


@line("sum, 4 M floats")
def _(t):
    x = t.rand(4_000_000)
    return lambda: x.sum().item()


@line("sum(0), 2,000 x 2,000")
def _(t):
    x = t.rand(2_000, 2_000)
    return lambda: read(x.sum(0))


@line("max(1), 2,000 x 2,000")
def _(t):
    x = t.rand(2_000, 2_000)
    return lambda: read(x.max(1).values)


@line("softmax, 1,000 x 1,000")
def _(t):
    x = t.rand(1_000, 1_000)
    return lambda: read(x.softmax(1))


@line("softmax, 32 x 10, recorded")
def _(t):
    x = leaf(t, 32, 10)
    return lambda: x.softmax(1)


@line("transposed copy, 1,000 x 1,000")
def _(t):
    x = t.rand(1_000, 1_000)
    return lambda: read(x.t().contiguous())


@line("randn, 1,000,000")
def _(t):
    return lambda: read(t.randn(1_000_000))


def perceptron(t, batch, *sizes):
    f = t.nn.functional
    weights = [
        t.randn(b, a).mul_((2 / a) ** 0.5).requires_grad_() for a, b in zip(sizes, sizes[1:])
    ]
    biases = [t.zeros(b, requires_grad=True) for b in sizes[1:]]
    x, labels = t.rand(batch, sizes[0]), t.randint(0, sizes[-1], (batch,))

    def step():
        y = x
        for w, b in zip(weights[:-1], biases[:-1]):
            y = f.linear(y, w, b).relu()
        loss = f.cross_entropy(f.linear(y, weights[-1], biases[-1]), labels)
        loss.backward()
        with t.no_grad():
            for p in weights + biases:
                p.sub_(p.grad * 0.01)
                p.grad = None
        return loss.item(), read(weights[0])

    return step


@line("training step, perceptron 64-96-48-10, batch 64")
def _(t):
    return perceptron(t, 64, 64, 96, 48, 10)


@line("training step, perceptron 784-512-256-10, batch 128")
def _(t):
    return perceptron(t, 128, 784, 512, 256, 10)


@line("x[1:-1, ::2] of 8 x 8")
def _(t):
    x = t.rand(8, 8)
    return lambda: x[1:-1, ::2]


@line("tensor of a list of 100")
def _(t):
    values = [i / 7 for i in range(100)]
    return lambda: t.tensor(values)


@line("repr of 10 x 10")
def _(t):
    x = t.rand(10, 10)
    return lambda: repr(x)


# --- Timing --------------------------------------------------------------------------------------


def calibrate(function):
    """How often to call within a round."""
    function()
    calls = 1
    while True:
        start = time.perf_counter()
        for _ in range(calls):
            function()
        spent = time.perf_counter() - start
        if spent >= ROUND_SECONDS / 2:
            return max(1, round(calls * ROUND_SECONDS / spent))
        calls *= 4


def seconds_per_call(function, calls):
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def measure(prepare, modules, rounds):
    """Seconds per call, a list for each module, the rounds of the modules alternating."""
    functions = [prepare(module) for module in modules]
    calls = [calibrate(function) for function in functions]
    times = [[] for _ in modules]
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for found, function, n in zip(times, functions, calls):
                found.append(seconds_per_call(function, n))
    finally:
        gc.enable()
    return times


def import_times(names, rounds):
    """Seconds that `import name` takes in a new process, its start-up subtracted.

    Of compiled bytecode, as an installed package has it: the first import, which may compile, is
    not counted.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

    def start(code):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=environment)
        return time.perf_counter() - begin

    for name in names:
        start(f"import {name}")
    times = [[] for _ in names]
    for _ in range(rounds):
        empty = start("pass")
        for found, name in zip(times, names):
            found.append(max(start(f"import {name}") - empty, 1e-4))
    return times


# --- The report ----------------------------------------------------------------------------------


def limits():
    """The machine's limits, from the kernels crate's example `limits`; None without cargo."""
    command = "cargo run -q --profile fast -p wengert-kernels --example limits".split()
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
        return json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def processor():
    try:
        text = Path("/proc/cpuinfo").read_text()
        return re.search(r"model name\s*: (.*)", text)[1]
    except (OSError, TypeError):
        return platform.processor() or platform.machine()


def header(modules, found):
    versions = ", ".join(f"{m.__name__} {m.__version__}" for m in modules)
    yield f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}."
    if found:
        yield (
            f"Limits measured in this run ({found['level']}): "
            f"{found['fma_one_thread']:.0f} GFLOP/s f32 on one thread, {found['fma']:.0f} on "
            f"{found['threads']}; reading {found['read']:.0f} GB/s, triad {found['triad']:.0f} GB/s."
        )
    else:
        yield "The machine's limits were not measured (--quick, or no cargo)."
    if hasattr(os, "getloadavg"):
        yield f"Load before the run: {os.getloadavg()[0]:.1f}."


def human(seconds):
    for unit, scale in (("s", 1), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def row(name, theirs, ours):
    middle = [statistics.median(t) for t in (theirs, ours)]
    ratio, least = middle[0] / middle[1], min(theirs) / min(ours)
    return f"| {name} | {human(middle[0])} | {human(middle[1])} | {ratio:.2f} ({least:.2f}) |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="few rounds: a look, not a measurement"
    )
    parser.add_argument("--only", metavar="REGEX", default="", help="the lines whose name matches")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every time, in seconds")
    parser.add_argument("--candidate", default="wengert", help="the module to compare with torch")
    options = parser.parse_args()
    rounds = 5 if options.quick else 25
    modules = [importlib.import_module(name) for name in ("torch", options.candidate)]
    found = None if options.quick else limits()
    head = list(header(modules, found))
    print("\n".join(head), end="\n\n")
    print(f"| line | torch | {options.candidate} | torch / {options.candidate} (of minimums) |")
    print("|---|---:|---:|---:|", flush=True)
    results = {}
    for name, prepare in LINES.items():
        if re.search(options.only, name):
            for module in modules:
                module.manual_seed(0)
            results[name] = measure(prepare, modules, rounds)
            print(row(name, *results[name]), flush=True)
    if re.search(options.only, "import"):
        results["import"] = import_times(["torch", options.candidate], max(3, rounds // 4))
        print(row("import", *results["import"]))
    if options.json:
        options.json.write_text(json.dumps({"header": head, "limits": found, "seconds": results}))


if __name__ == "__main__":
    main()
