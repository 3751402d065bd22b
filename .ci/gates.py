"""Checks of form: size of files, width of lines, unsafe code named and explained.

Prints every breach as `file:line: what`, and fails if there is one.
"""

from __future__ import annotations

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAX_LINES = 600
MAX_WIDTH = 100
# How many lines above an `unsafe` its note may begin: a note may be long, attributes between.
NOTE_REACH = 20

UNSAFE_BLOCK = re.compile(r"\bunsafe\s*(\{|impl\b)")
# A private function's contract is its caller's business in the same file, a method's its trait's,
# and that of an `extern "C"` slot is the interpreter's.
UNSAFE_FN = re.compile(r"^pub\b.*\bunsafe\s+fn\s+\w")
SAFETY = re.compile(r"SAFETY:|# Safety")
COMMENT_WITH_CODE = re.compile(r"\s*(//|#).*[`=(|]")
LINE_COMMENT = re.compile(r"//.*")
STRING = re.compile(r'"(\\.|[^"\\])*"')


def sources() -> list[Path]:
    """The Rust and Python files that git tracks or would track."""
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.rs", "*.py", ":!*/vecmath/fit.py"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [ROOT / name for name in sorted(set(listing.stdout.split())) if (ROOT / name).exists()]


def breaches_of_form(lines: list[str]):
    if len(lines) > MAX_LINES:
        yield len(lines), f"{len(lines)} lines; the limit is {MAX_LINES}"
    for number, line in enumerate(lines, 1):
        # A sentence that a user may search for is not broken, nor a command beside a coefficient.
        if len(STRING.sub('""', line)) > MAX_WIDTH and not COMMENT_WITH_CODE.match(line):
            yield number, f"{len(line)} columns; the limit is {MAX_WIDTH}"


def uses_of_unsafe(lines: list[str]):
    """`(line number, explained)` of each unsafe block, impl and public function."""
    code = [LINE_COMMENT.sub("", STRING.sub('""', line)).strip() for line in lines]
    for index, text in enumerate(code):
        # A declaration inside `extern "C" { ... }` or a type (`unsafe fn(..)`) needs no note.
        function = UNSAFE_FN.search(text) and not text.endswith(";")
        if UNSAFE_BLOCK.search(text) or function:
            top = index
            # Up through comments, attributes and the start of the same statement, no further.
            while top > 0 and index - top < NOTE_REACH and lines[top - 1].strip():
                if code[top - 1].endswith((";", "}", ",")):
                    break
                top -= 1
            yield index + 1, any(SAFETY.search(line) for line in lines[top : index + 1])


def main() -> int:
    patterns = (ROOT / ".ci/unsafe_files.txt").read_text().splitlines()
    allowed = [line for line in patterns if line and not line.startswith("#")]
    found, explained, total = [], 0, 0
    for path in sources():
        name = str(path.relative_to(ROOT))
        lines = path.read_text().splitlines()
        found += [f"{name}:{n}: {what}" for n, what in breaches_of_form(lines)]
        if path.suffix != ".rs":
            continue
        for number, noted in uses_of_unsafe(lines):
            total += 1
            explained += noted
            if not noted:
                found.append(f"{name}:{number}: unsafe without a SAFETY note just above")
            if not any(fnmatch(name, pattern) for pattern in allowed):
                found.append(f"{name}:{number}: unsafe outside .ci/unsafe_files.txt")
    print("\n".join(found) if found else "files and lines within their limits")
    print(f"unsafe: {total} uses, {explained} explained")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
