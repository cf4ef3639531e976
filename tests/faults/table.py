"""Which test injects which fault: `@fault` on a test is its row in docs/reliability.md; that page is made from them.

    @fault("F12", "a pickle under the name of the weights", then="6, the checkpoint cannot be read; nothing of it runs")

`python -m tests.faults.table > docs/reliability.md` writes the page (`make docs`). It reads the sources and imports no
test, so that a test can compare the page with them in a moment.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

FAULTS = {
    "F1": "files that were cut short",
    "F2": "files that are damaged or of another kind",
    "F3": "headers that make no scan",
    "F4": "voxels that are no numbers",
    "F5": "masks with other numbers than labels",
    "F6": "a mask that lies beside its image",
    "F7": "a NIfTI that says twice where it lies, or not at all",
    "F8": "a patient or a scan on both sides of a split",
    "F9": "DICOM as it comes",
    "F10": "orientations, written back",
    "F11": "names and places of files",
    "F12": "checkpoints from elsewhere",
    "F13": "configs that are none",
    "F14": "names and links that lead out of the data",
    "F15": "killed while a checkpoint is written",
    "F16": "a full disk",
    "F17": "broken off and gone on with",
    "F18": "gone on with after a change",
    "F19": "two processes in one folder",
    "F20": "signals",
    "F21": "a process that dies, fails or hangs",
    "F22": "little shared memory",
    "F23": "little memory",
    "F24": "losses that are no number",
    "F25": "a GPU whose memory is full",
    "F26": "a device that is not there",
    "F27": "masks that do not pair, and odd masks",
    "F28": "masks that were changed without a reason",
    "F29": "few patients, equal losses, failed losses",
    "F30": "verdicts without a difference",
    "F31": "one bad case among many",
    "F32": "clocks, locales, homes and terminals",
    "F33": "names of patients",
    "F34": "runs of an earlier version",
}
"""Number -> what it is about."""

WORDS = {
    "F21": "Patches are cut by a thread of the training itself, which cannot be lost alone; processes of their own "
    "prepare scans and do the runs of a sweep.",
    "F22": "Nothing of segtrain lies in shared memory: processes get their work and answer through pipes.",
    "F25": "Tested on a machine with a GPU (`make test-gpu`).",
    "F26": "MPS was not at hand: an operation that it lacks is answered by torch, whose error is told as a bug.",
    "F34": "There is no earlier release yet: the run that is kept was made by 0.1.0 itself.",
}
"""What a row of a test cannot say."""

HEAD = """\
# What happens when something goes wrong

Made by `make docs` from the tests that inject the faults: a row is a test, and each runs through the command where a
user would meet the fault. A number is the exit code (README.md). *slow*: run by `make test-slow` as well; *gpu*: by
`make test-gpu`. `pytest -m fault` runs them all. SECURITY.md says what is promised about files of strangers.
"""


def fault(number: str, injected: str, *, then: str) -> pytest.MarkDecorator:
    """A test that injects a fault of the table; `then` is what happens: exit code and words."""
    return pytest.mark.fault(number, injected, then)


@dataclass(frozen=True)
class Row:
    """One fault, and the test that injects it."""

    number: str
    injected: str
    then: str
    test: str
    """`commands/test_killed.py::test_...`, below `tests`."""
    marks: tuple[str, ...]
    """`slow`, `gpu`."""


def rows() -> list[Row]:
    """Every `@fault` of the tests, by number, then in the order of the files."""
    found = [row for path in sorted(TESTS.rglob("test_*.py")) for row in _rows_in(path)]
    return sorted(found, key=lambda row: int(row.number[1:]))


def _rows_in(path: Path) -> Iterator[Row]:
    text = path.read_text(encoding="utf-8")
    if "@fault(" in text:
        yield from _inside(ast.parse(text).body, path.relative_to(TESTS).as_posix(), ())


def _inside(body: list[ast.stmt], place: str, above: tuple[str, ...]) -> Iterator[Row]:
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            name, marks = f"{place}::{node.name}", (*above, *_marks(node))
            for call in node.decorator_list:
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "fault":
                    number, injected = (ast.literal_eval(argument) for argument in call.args)
                    yield Row(number, injected, ast.literal_eval(call.keywords[0].value), name, marks)
            if isinstance(node, ast.ClassDef):
                yield from _inside(node.body, name, marks)


def _marks(node: ast.ClassDef | ast.FunctionDef) -> Iterator[str]:
    words = [ast.unparse(decorator) for decorator in node.decorator_list]
    yield from (mark for mark in ("slow", "gpu") if any(word == f"pytest.mark.{mark}" for word in words))


def page() -> str:
    """docs/reliability.md."""
    found = rows()
    parts = [HEAD]
    for number, about in FAULTS.items():
        parts.append(f"## {number}: {about}\n")
        if number in WORDS:
            parts.append(f"{WORDS[number]}\n")
        own = [row for row in found if row.number == number]
        if own:
            lines = [f"| {_cell(row.injected)} | {_cell(row.then)} | {_test(row)} |" for row in own]
            parts.append("\n".join(["| injected | what happens | test |", "|---|---|---|", *lines, ""]))
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _test(row: Row) -> str:
    marks = f" ({', '.join(row.marks)})" if row.marks else ""
    return f"`{row.test}`{marks}"


if __name__ == "__main__":
    sys.stdout.write(page())
