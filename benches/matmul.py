"""Time matrix products under wengert and torch, in one process, and print Markdown tables.

    python benches/matmul.py [--quick] [--only REGEX] [--rounds N]

GFLOP/s on one thread and on all, from the fastest of many short rounds, in which the libraries take
turns: on a busy machine that is the nearest to an idle one. In brackets the ratio, wengert's over
torch's. torch writes into a result that is there (`out=`); wengert makes a new one each time.
"""

from __future__ import annotations

import argparse
import os
import re
import time

import torch

import wengert

# A round lasts at least this long.
ROUND_SECONDS = 0.003

SQUARES = (8, 16, 32, 64, 96, 128, 200, 256, 512, 1024, 2048)


def cases(quick):
    """`(name, shape of a, shape of b, transposed)`"""
    for n in SQUARES[: 8 if quick else None]:
        yield f"{n}", (n, n), (n, n), False
    yield "32x784x256", (32, 784), (784, 256), False
    yield "64 of 96x64x96", (64, 96, 64), (64, 64, 96), False
    yield "A^T B, 512", (512, 512), (512, 512), True


def product(module, dtype, a, b, transposed):
    """The function to time: wengert's returns the product, torch's fills a tensor."""
    x, y = (module.rand(shape, dtype=getattr(module, dtype)) for shape in (a, b))
    x = x.t() if transposed else x
    multiply = module.bmm if len(a) == 3 else module.mm
    if module is wengert:
        return lambda: multiply(x, y)
    out = torch.empty((*a[:-1], b[-1]), dtype=x.dtype)
    return lambda: multiply(x, y, out=out)


def seconds(function, calls):
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def calls_per_round(function):
    for _ in range(2):
        once = seconds(function, 1)
    return max(1, int(ROUND_SECONDS / once))


def measure(functions, rounds):
    """Times of both libraries, round by round."""
    counts = [calls_per_round(f) for f in functions]
    return list(zip(*([seconds(f, n) for f, n in zip(functions, counts)] for _ in range(rounds))))


def cell(times, flops):
    """(wengert's GFLOP/s with the ratio, torch's)"""
    ours, theirs = (flops / min(t) / 1e9 for t in times)
    return [f"{ours:.3g} ({ours / theirs:.2f})", f"{theirs:.3g}"]


def row(dtype, case, threads, rounds):
    name, a, b, transposed = case
    flops = 2 * b[-1]
    for n in a:
        flops *= n
    cells = [name]
    for count in threads:
        wengert.set_num_threads(count)
        torch.set_num_threads(count)
        functions = [product(module, dtype, a, b, transposed) for module in (wengert, torch)]
        cells += cell(measure(functions, rounds), flops)
    return "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, no size above 256")
    parser.add_argument("--only", default="", help="names of cases, a regular expression")
    parser.add_argument("--rounds", type=int, help="how many rounds each case takes")
    options = parser.parse_args()
    threads = sorted({1, len(os.sched_getaffinity(0))})
    rounds = options.rounds or (10 if options.quick else 30)
    for dtype in ("float32", "float64"):
        heads = "".join(f" wengert, {n} thread{'s'[: n > 1]} | torch |" for n in threads)
        print(f"\n{dtype}, GFLOP/s\n\n| |{heads}\n|---|" + "---|---|" * len(threads))
        for case in cases(options.quick):
            if re.search(options.only, case[0]):
                print(row(dtype, case, threads, rounds), flush=True)


if __name__ == "__main__":
    main()
