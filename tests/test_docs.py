"""Every public name has a docstring whose example runs and prints what it says."""

import doctest
import inspect
import re
from pathlib import Path

import pytest

from compare import candidate

pytestmark = pytest.mark.wengert_only

TOP = Path(__file__).parents[1]
# Where the names are, besides Tensor's.
MODULES = ("", "autograd", "autograd.graph", "backends", "config", "cpu", "cuda", "nn.functional",
           "random", "storage")  # fmt: skip
FLAGS = doctest.IGNORE_EXCEPTION_DETAIL


def module(path):
    """The module of a dotted name below the package; loaded by asking for it."""
    found = candidate
    for name in filter(None, path.split(".")):
        found = getattr(found, name)
    return found


def documented():
    """`(name, object)` of everything that should explain itself."""
    for path in MODULES:
        where = module(path)
        for name, value in sorted(vars(where).items()):
            if not name.startswith("_") and callable(value):
                yield ".".join(filter(None, (path, name))), value
    for kind in candidate.Tensor.__mro__[:-1]:
        for name, value in sorted(vars(kind).items()):
            if not name.startswith("_"):
                yield f"Tensor.{name}", value


NAMES = dict(documented()) if candidate.__name__ == "wengert" else {}


def test_everything_has_an_example():
    bare = [name for name, value in NAMES.items() if ">>>" not in (inspect.getdoc(value) or "")]
    assert not bare


@pytest.mark.filterwarnings("ignore:torch.range")
@pytest.mark.parametrize("name", NAMES)
def test_example(name):
    run(inspect.getdoc(NAMES[name]) or "", name)


def run(text, name):
    # Examples say `torch` and mean this package, without importing it.
    names = {"torch": candidate, "wengert": candidate, "F": candidate.nn.functional}
    test = doctest.DocTestParser().get_doctest(text, names, name, None, None)
    report = []
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=report.append)
    assert not report, "".join(report)


@pytest.mark.parametrize("path", ["", "autograd", "config", "cuda", "backends"])
def test_module(path):
    run(inspect.getdoc(module(path)) or "", path or "wengert")


def blocks():
    """Python in fences of the documents: `(where, text)`."""
    for path in sorted([TOP / "README.md", *TOP.glob("docs/**/*.md")]):
        text = path.read_text()
        for i, block in enumerate(re.findall(r"```(?:python|pycon)\n(.*?)```", text, re.DOTALL)):
            yield f"{path.name}-{i}", block


@pytest.mark.parametrize(("where", "block"), list(blocks()))
def test_document(where, block, capsys):
    if ">>>" in block:
        run(block, where)
        return
    # What a line prints stands after it as a comment.
    exec(compile(block, where, "exec"), {})
    shown = re.findall(r"print\(.*\)\s+#\s?(.*)", block)
    printed = capsys.readouterr().out.splitlines()
    assert not shown or shown == printed
