"""The stubs and the built module must name the same things.

Reads `python/wengert/__init__.pyi` (and a stub beside every public submodule that has one), and
compares its names, and those of class Tensor, with the module that is installed.
"""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "python" / "wengert"
TYPING_ONLY = {"annotations"}


def names(body: list[ast.stmt]) -> set[str]:
    """The public names that a stub's statements define."""
    found: set[str] = set()
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.Assign):
            found |= {t.id for t in node.targets if isinstance(t, ast.Name)}
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            # As in any stub, `import x as x` exports and `import x` does not.
            found |= {a.asname for a in node.names if a.asname and a.asname == a.name}
        elif isinstance(node, ast.If):
            found |= names(node.body) | names(node.orelse)
    return {name for name in found if not name.startswith("_")} - TYPING_ONLY


def public(thing: object) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


def differences(where: str, stub: set[str], real: set[str]) -> list[str]:
    return [f"{where}.{name}: in the stub only" for name in sorted(stub - real)] + [
        f"{where}.{name}: missing in the stub" for name in sorted(real - stub)
    ]


def main() -> int:
    found: list[str] = []
    stubs = sorted(PACKAGE.rglob("*.pyi"))
    if PACKAGE / "__init__.pyi" not in stubs:
        found.append("python/wengert/__init__.pyi: there is none")
    for path in stubs:
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if any(part.startswith("_") and part != "__init__" for part in parts):
            continue
        name = ".".join(part for part in parts if part != "__init__")
        module, tree = importlib.import_module(name), ast.parse(path.read_text())
        found += differences(name, names(tree.body), public(module))
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name == "Tensor":
                real = public(module.Tensor)
                found += differences(f"{name}.Tensor", names(node.body), real)
    print("\n".join(found) if found else f"{len(stubs)} stubs name what the module has")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
