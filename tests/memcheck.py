"""Random programs, and the tests, with the candidate in the place of torch: for memory checkers.

    python tests/memcheck.py --count 3000 [arguments of pytest]

Nothing is compared; what is looked for is found by the checker that the interpreter runs under
(`.ci/memcheck` for AddressSanitizer).
"""

import argparse
import gc
import os
import random
import sys
import time

os.environ.pop("WENGERT_CANDIDATE", None)

import wengert

sys.modules["torch"] = wengert
wengert.Tensor._is_zerotensor = lambda self: False

import programs  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=3000, help="how many programs")
    parser.add_argument("--seed", type=int, default=0)
    options, tests = parser.parse_known_args()
    kept = []
    start = time.time()
    for seed in range(options.seed, options.seed + options.count):
        world = programs.run(wengert, programs.random_program(seed, 14))
        # Some live on for a while, and are dropped in any order.
        kept.append(world)
        if len(kept) > 20:
            kept.pop(random.Random(seed).randrange(20))
        if seed % 500 == 0:
            gc.collect()
    kept.clear()
    gc.collect()
    print(f"{options.count} programs in {time.time() - start:.0f} s", flush=True)
    if tests:
        import pytest

        sys.exit(pytest.main(tests))


if __name__ == "__main__":
    main()
