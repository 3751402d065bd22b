"""What `import wengert` loads, and which names it has."""

import subprocess
import sys

import pytest

from compare import torch

pytestmark = pytest.mark.wengert_only

# What is ours, beside torch's names.
OURS = {"config", "inspect", "testing", "viz"}


def in_a_new_process(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_numpy_is_not_loaded():
    code = """
import sys
import wengert as torch
x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
y = (x * torch.randn(3)).exp().sum()
y.backward()
text = repr(x.grad), x.tolist(), x[1:].mean().item()
print(*[name for name in ("numpy", "torch", "scipy") if name in sys.modules])
"""
    assert in_a_new_process(code) == []


def test_few_modules_are_loaded():
    code = """
import sys
before = set(sys.modules)
import wengert
print(*[m for m in set(sys.modules) - before if not m.startswith("wengert")])
"""
    heavy = {"asyncio", "multiprocessing", "unittest", "importlib.metadata", "subprocess", "ctypes"}
    assert not heavy & set(in_a_new_process(code))


def test_only_names_of_torch(wt):
    public = {name for name in dir(wt) if not name.startswith("_")}
    assert public - set(dir(torch)) <= OURS
    for name in ("Tensor", "autograd", "nn"):
        assert name in public


def test_methods_are_those_of_torch(wt):
    public = {name for name in dir(wt.Tensor) if not name.startswith("_")}
    assert public <= set(dir(torch.Tensor))


def test_everything_is_documented(wt):
    bare = [
        name
        for name in dir(wt)
        if not name.startswith("_")
        and callable(getattr(wt, name))
        and not getattr(wt, name).__doc__
    ]
    assert not bare


def test_version(wt):
    assert wt.__version__.count(".") >= 2
