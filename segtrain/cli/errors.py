"""How a command that did not end well says so: the only place that catches SegtrainError.

    SegtrainError        each problem in at most four lines; the error's own exit code
    Ctrl-C / SIGTERM     130 / 143, after the recipe's generator was closed, which saves what it has
    a closed pipe        141, silently (`segtrain losses | head -1`)
    another rank ended   silently, with its exit code: it has said why
    anything else        70: one line with the path of a log that holds the traceback; `--debug` prints it too

With `--json` the fault is an object on stdout as well.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import typer
from rich.text import Text

from segtrain.cli.console import Session, print_json, printable, problem_json, problem_lines, stderr
from segtrain.cli.signals import INTERRUPTED, TERMINATED, Terminated, sigterm_raises
from segtrain.cli.terminal import Outlasting
from segtrain.core.errors import EndedElsewhere, Problem, ResourceError, SegtrainError

BUG = 70
PIPE_CLOSED = 141


@contextmanager
def reported(session: Session) -> Iterator[Session]:
    """Run a command's body; whatever it raises becomes a message and an exit code."""
    with sigterm_raises():
        try:
            yield session
            Outlasting(sys.stdout).flush()
        except typer.Exit:
            raise
        except EndedElsewhere as error:
            raise typer.Exit(error.exit_code) from error
        except SegtrainError as error:
            _report(session, error, error.problems, error.exit_code)
        except KeyboardInterrupt as error:
            code = TERMINATED if isinstance(error, Terminated) else INTERRUPTED
            hint = f"go on with: {session.resume}" if session.resume else ""
            _report(session, error, [Problem("terminated" if code == TERMINATED else "interrupted", hint=hint)], code)
        except BrokenPipeError:
            _stop_writing()
            raise typer.Exit(PIPE_CLOSED) from None
        except MemoryError as error:
            problem = Problem(
                "out of memory", why=str(error), hint="use smaller patches, or a machine with more memory"
            )
            _report(session, error, [problem], ResourceError.exit_code)
        except Exception as error:
            what = f"internal error ({type(error).__name__}); please report it with {_write_log(error)}"
            _report(session, error, [Problem(what)], BUG)


def _report(session: Session, error: BaseException, problems: Sequence[Problem], code: int) -> None:
    """Say what is wrong and leave."""
    if session.debug:
        traceback.print_exception(error, file=sys.stderr)
    if session.as_json:
        found = [problem_json(problem) for problem in problems]
        print_json({"error": {"type": type(error).__name__, "exit_code": code, "problems": found}})
    console = stderr()
    for problem in problems:
        first, *more = problem_lines(problem)
        console.print(
            Text("error: ", style="bold red").append(printable(first), style="default not bold"), soft_wrap=True
        )
        for line in more:
            console.print(Text(printable(line)), soft_wrap=True)
    raise typer.Exit(code) from error


def _write_log(error: BaseException) -> str:
    """The traceback of a bug, in a file of its own; where none can be written, on stderr."""
    try:
        handle, name = tempfile.mkstemp(prefix="segtrain-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{sys.argv}\n")
            traceback.print_exception(error, file=file)
    except OSError:
        traceback.print_exception(error, file=sys.stderr)
        return "the lines above"
    return name


def _stop_writing() -> None:
    """Let the streams end in nothing, so that the interpreter does not complain when it flushes them."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nothing, stream.fileno())
    os.close(nothing)
