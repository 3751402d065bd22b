"""The examples run, and print what torch prints."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from compare import candidate, count

EXAMPLES = Path(__file__).parents[1] / "examples"
IMPORT = "import wengert as torch"


def run(script, module, directory, *arguments):
    """Standard output of an example under the named module."""
    text = (EXAMPLES / script).read_text()
    assert text.count(IMPORT) == 1
    path = directory / f"{module}_{script}"
    path.write_text(text.replace(IMPORT, f"import {module} as torch"))
    done = subprocess.run(
        [sys.executable, path, *arguments], capture_output=True, text=True,
        cwd=directory, timeout=300, env={**os.environ, "MPLBACKEND": "Agg"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_autograd_basics_character_by_character(tmp_path):
    count()
    ours = run("autograd_basics.py", candidate.__name__, tmp_path)
    assert ours == run("autograd_basics.py", "torch", tmp_path)
    assert ours.count("\n") > 30


def test_digits_mlp_learns(tmp_path):
    pytest.importorskip("sklearn", reason="the example needs scikit-learn")
    plot = tmp_path / "loss.png"
    printed = run("digits_mlp.py", candidate.__name__, tmp_path, str(plot))
    reached = float(re.search(r"test accuracy: ([\d.]+)%", printed)[1])
    assert reached >= 95
    assert plot.read_bytes().startswith(b"\x89PNG") and plot.stat().st_size > 10_000
