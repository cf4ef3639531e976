"""What a command says, and leaves with, when it does not end well."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from segtrain.cli.console import Session
from segtrain.cli.errors import reported
from segtrain.core.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    DivergedError,
    EndedElsewhere,
    GridMismatch,
    Problem,
    ResourceError,
    SegtrainError,
    UnreadableScan,
)
from tests.faults.table import fault

PROBLEM = Problem("the mask is larger than its scan", "case_7.nii.gz", "64 slices, 60 expected", "export it anew")

CODES: list[tuple[BaseException, int]] = [
    (ConfigError(PROBLEM), 2),
    (DataError(PROBLEM), 3),
    (UnreadableScan(PROBLEM), 3),
    (GridMismatch(PROBLEM), 3),
    (ResourceError(PROBLEM), 4),
    (MemoryError(), 4),
    (DivergedError(PROBLEM), 5),
    (CheckpointError(PROBLEM), 6),
    (SegtrainError(PROBLEM), 70),
    (RuntimeError("oops"), 70),
    (KeyboardInterrupt(), 130),
    (BrokenPipeError(), 141),
    (typer.Exit(1), 1),
]


@pytest.fixture(autouse=True)
def _logs_go_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def left_with(work: Callable[[], object], session: Session | None = None) -> int:
    """The exit code of a command whose body is `work`."""
    with pytest.raises(typer.Exit) as caught, reported(session or Session()):
        work()
    return caught.value.exit_code


def raising(error: BaseException) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


@pytest.mark.parametrize(("error", "code"), CODES, ids=lambda value: type(value).__name__)
def test_exit_codes(error: BaseException, code: int) -> None:
    assert left_with(raising(error)) == code


def test_a_command_that_ends_well() -> None:
    with reported(Session()):
        pass


def test_a_problem_in_four_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    left_with(raising(DataError(PROBLEM)))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "error: the mask is larger than its scan",
        "  where: case_7.nii.gz",
        "  why: 64 slices, 60 expected",
        "  fix: export it anew",
    ]


@pytest.mark.parametrize("as_json", [False, True])
def test_a_process_that_ends_because_another_did_says_nothing(
    capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    assert left_with(raising(EndedElsewhere(143)), Session(as_json=as_json)) == 143
    assert capsys.readouterr() == ("", "")


def test_every_problem_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    left_with(raising(ConfigError("one", "two", Problem("three"))))
    assert capsys.readouterr().err.splitlines() == ["error: one", "error: two", "error: three"]


def test_what_comes_from_outside_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    nasty = Problem("\x1b[2J[red]case\udc80 of\nmany\rlines", "x" * 500)
    left_with(raising(DataError(nasty)))
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert "\r" not in err
    assert "[red]case" in err
    assert len(err.splitlines()) == 2


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    left_with(raising(DataError(PROBLEM)), Session(as_json=True))
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "schema_version": 1,
        "error": {
            "type": "DataError",
            "exit_code": 3,
            "problems": [
                {
                    "what": PROBLEM.what,
                    "where": PROBLEM.where,
                    "why": PROBLEM.why,
                    "fix": PROBLEM.hint,
                    "cases": [],
                    "file": "",
                }
            ],
        },
    }
    assert PROBLEM.what in err


def test_a_bug_is_one_line_and_its_traceback_is_in_a_log(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    left_with(raising(ZeroDivisionError("oops")))
    err = capsys.readouterr().err
    [log] = tmp_path.glob("segtrain-*.log")
    assert len(err.splitlines()) == 1
    assert str(log) in err
    assert "Traceback" not in err
    assert "ZeroDivisionError: oops" in log.read_text(encoding="utf-8")


def test_a_bug_is_still_told_where_no_log_can_be_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    assert left_with(raising(ZeroDivisionError("oops"))) == 70
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_bug_whose_message_is_no_text_is_logged(tmp_path: Path) -> None:
    assert left_with(raising(ValueError("file \udc80"))) == 70
    assert len(list(tmp_path.glob("segtrain-*.log"))) == 1


@pytest.mark.parametrize("error", [ConfigError("wrong"), ZeroDivisionError("oops")])
def test_debug_shows_the_traceback(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    left_with(raising(error), Session(debug=True))
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_no_traceback_without_debug(capsys: pytest.CaptureFixture[str]) -> None:
    left_with(raising(ConfigError("wrong")))
    assert "Traceback" not in capsys.readouterr().err


def test_an_interrupted_command_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    left_with(raising(KeyboardInterrupt()), Session(resume="segtrain fit --resume"))
    assert "segtrain fit --resume" in capsys.readouterr().err


def test_sigterm_is_raised_in_the_main_thread_so_that_work_is_saved() -> None:
    saved = []

    def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except BaseException:
            saved.append(True)
            raise

    assert left_with(work) == 143
    assert saved == [True]


def test_signal_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    left_with(raising(ConfigError("wrong")))
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_thread_may_run_a_command() -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(left_with(raising(ConfigError("wrong")))))
    thread.start()
    thread.join()
    assert codes == [2]


WRITER = """
import sys
from segtrain.cli.console import Session
from segtrain.cli.errors import reported
import typer
try:
    with reported(Session()) as session:
        for _ in range(100_000):
            session.result({}, "a line " * 10)
except typer.Exit as error:
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
@fault("F32", "stdout closed, as by `head`", then="0 or 141 without a word")
def test_a_reader_that_goes_away_is_no_error(unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "-c", WRITER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        writer.stdout.readline()
        writer.stdout.close()
        assert writer.stderr.read() == b""
        assert writer.wait(timeout=20) == 141
