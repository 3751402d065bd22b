"""Random programs (`programs.py`) do the same under torch and under the candidate."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

import compare
import programs

# As many runs of CI make; `python tests/programs.py --count ...` runs more.
SEEDS = 3_000


def fail(found):
    script, theirs, ours = found
    raise AssertionError("\n".join([*script, f"torch: {theirs}", f"ours:  {ours}"]))


@st.composite
def drawn(draw):
    return programs.draw(
        lambda items, weights: draw(st.sampled_from(items)), draw(st.integers(1, 12))
    )


@settings(max_examples=100)
@given(drawn())
def test_drawn_programs(program):
    compare.count()
    found = programs.difference(program)
    if found:
        fail(found)


def test_seeded_programs():
    for seed in range(SEEDS):
        compare.count()
        if programs.difference(programs.random_program(seed, 14)):
            fail(programs.difference(programs.reduced(programs.random_program(seed, 14))))
