"""Who reads what: results go to stdout, everything else to stderr, and with `--json` the result is one object."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

from rich.console import Console, RenderableType
from rich.text import Text

from segtrain.cli.terminal import Outlasting
from segtrain.core.errors import Problem

SCHEMA_VERSION = 1

PIPE_WIDTH = 160
"""Columns of a table that is not shown on a terminal."""


class _Console(Console):
    """A console that leaves a closed pipe to `cli.errors`; rich itself would exit with 1."""

    def on_broken_pipe(self) -> None:
        """Let the BrokenPipeError go on."""
        raise


@dataclass
class Session:
    """What a user asked to see of one command."""

    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    resume: str = ""
    """Command that goes on with the work, should it be interrupted."""
    speaks: bool = True
    """Of several processes, only one shows progress and results; all may say what went wrong."""

    def result(self, value: Mapping[str, Any], *parts: RenderableType | None) -> None:
        """Print a command's result: as an object, or as the parts that a person reads."""
        if self.as_json:
            print_json(value)
            return
        console = stdout()
        for part in parts:
            if part is not None:
                shown = Text(printable(part)) if isinstance(part, str) else part
                console.print(shown, soft_wrap=isinstance(part, str))

    def say(self, text: str) -> None:
        """A line on stderr, unless quiet."""
        if self.speaks and not self.quiet:
            stderr().print(Text(printable(text)), soft_wrap=True)

    def next(self, text: str) -> None:
        """The command to type next."""
        self.say(f"next: {text}")


def print_json(value: Mapping[str, Any]) -> None:
    """One object on stdout, with `schema_version`; paths are text."""
    whole = {"schema_version": SCHEMA_VERSION, **value}
    Outlasting(sys.stdout).write(json.dumps(whole, indent=2, allow_nan=False, default=_plain) + "\n")


def stdout() -> Console:
    """Where results go. Colours only on a terminal, and not with NO_COLOR."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return _console(sys.stdout, width)


def stderr() -> Console:
    """Where everything else goes."""
    return _console(sys.stderr)


def _console(stream: TextIO, width: int | None = None) -> Console:
    """A console that shows text as it is; a terminal that is closed does not end what speaks through it."""
    lasting = cast(TextIO, Outlasting(stream))
    return _Console(file=lasting, markup=False, highlight=False, emoji=False, width=width)


def printable(text: str) -> str:
    """`text` without control characters: a file's name must not steer the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def problem_json(problem: Problem) -> dict[str, Any]:
    """A fault as an object: also the cases that it is about, and the file of theirs that `where` names beside them."""
    among = f"case{'s' if len(problem.cases) > 1 else ''} {' and '.join(problem.cases)}"
    file = problem.where.removeprefix(among).removeprefix(", ") if problem.cases else ""
    told = {"what": problem.what, "where": problem.where, "why": problem.why, "fix": problem.hint}
    return {**told, "cases": list(problem.cases), "file": file}


def problem_lines(problem: Problem) -> list[str]:
    """A fault in at most four lines, whatever its texts hold."""
    texts = (problem.what, problem.where, problem.why, problem.hint)
    what, where, why, hint = (" ".join(text.split()) for text in texts)
    flat = Problem(what, where, why, hint)
    return flat.lines()


def plain_lines(value: Mapping[str, Any], indent: str = "") -> str:
    """Nested plain values as `key: value` lines."""
    lines = []
    for key, item in value.items():
        if key == "schema_version" and not indent:
            continue
        if isinstance(item, Mapping) and item:
            lines += [f"{indent}{key}:", plain_lines(item, indent + "  ")]
        elif isinstance(item, list | tuple) and any(isinstance(entry, Mapping) for entry in item):
            lines.append(f"{indent}{key}:")
            lines += [plain_lines({str(n): entry}, indent + "  ") for n, entry in enumerate(item)]
        else:
            lines.append(f"{indent}{key}: {_words(item)}")
    return "\n".join(lines)


def _words(value: Any) -> str:
    if value is None or value in ([], {}, ()):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    raise TypeError(f"{type(value).__name__} is no JSON")
