"""What is seen of long work."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from segtrain.cli.console import Session
from segtrain.cli.progress import show
from segtrain.core.events import (
    CaseFailed,
    CasePrepared,
    CaseRead,
    CaseScored,
    CheckpointSaved,
    EpochEnded,
    Event,
    Finished,
    Note,
    RunEnded,
    StepEnded,
    Validated,
)
from segtrain.core.scores import CaseScores, Score
from tests.cli.commands import UNSCORED
from tests.faults.table import fault

SCORES = CaseScores(
    "a", "p", {"liver": {"dice": Score(0.5, "ok")}, "cyst": {"dice": Score(None, "both_empty")}}, {}, {}
)

EVENTS: tuple[Event, ...] = (
    Note("the plan has patches of 64 voxels"),
    CaseRead("a", 1, 2),
    CaseRead("b", 2, 2),
    CasePrepared("a", 1, 2),
    CasePrepared("b", 2, 2),
    StepEnded(1, 4, 1),
    StepEnded(2, 4, 1),
    EpochEnded(1, 2, 2, 0.75, 1e-3, 61.0),
    Validated(1, {"dice": 0.5, "iou": None}, True),
    CheckpointSaved("best", Path("run/best")),
    StepEnded(3, 4, 2),
    StepEnded(4, 4, 2),
    EpochEnded(2, 2, 4, 0.5, 1e-4, 60.0),
    CaseScored("a", 1, 3, SCORES),
    CaseScored("[b]", 2, 3, UNSCORED),
    CaseFailed("c", "no\x1b[2J label", 3, 3),
    RunEnded("dice/0/0", 1, 1, "done"),
    Finished(Path("run"), {"schema_version": 1}, ("c",)),
)


def test_the_last_event_is_returned() -> None:
    finished = show(iter(EVENTS), Session(quiet=True))
    assert finished.failed == ("c",)


def test_a_line_an_epoch_and_a_case(capsys: pytest.CaptureFixture[str]) -> None:
    show(iter(EVENTS), Session())
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert lines[0] == "the plan has patches of 64 voxels"
    [first, second] = [line for line in lines if line.startswith("epoch")]
    assert re.match(r"epoch 1/2 +loss 0\.7500 +dice 0\.500 +iou - +\(best\)", first)
    assert "lr 0.001" in first
    assert "ETA 1:01" in first
    assert second.startswith("epoch 2/2  loss 0.5000")
    assert "ETA" not in second
    assert "dice 0.500" in next(line for line in lines if "case 1/3" in line)
    assert "[b]" in next(line for line in lines if "case 2/3" in line)
    assert "no" in next(line for line in lines if "failed 3/3" in line)
    assert "dice/0/0" in lines[-1]
    assert "\x1b" not in err
    assert not any("saved" in line for line in lines)


def test_verbose_adds_cases_and_checkpoints(capsys: pytest.CaptureFixture[str]) -> None:
    show(iter(EVENTS), Session(verbose=True))
    err = capsys.readouterr().err
    assert "read 1/2  a" in err
    assert "prepared 1/2  a" in err
    assert str(Path("run/best")) in err


def test_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    show(iter(EVENTS), Session(quiet=True))
    assert capsys.readouterr() == ("", "")


class _Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("verbose", [False, True])
def test_bars_on_a_terminal(monkeypatch: pytest.MonkeyPatch, verbose: bool) -> None:
    terminal = _Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    show(iter(EVENTS), Session(verbose=verbose))
    seen = terminal.getvalue()
    assert "the plan has patches of 64 voxels" in seen
    assert "epoch 2/2  loss 0.5000" in seen
    assert "epoch 1: dice 0.500  iou -  (best)" in seen
    assert "failed 3/3" in seen
    assert "\x1b[2J" not in seen


@fault("F32", "NO_COLOR", then="0, no colours")
def test_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    show(iter(EVENTS), Session())
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", terminal.getvalue())


@fault("F32", "no terminal, or a dumb one", then="0, lines in place of bars")
def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "dumb")
    show(iter(EVENTS), Session())
    assert "epoch 1/2  loss 0.7500" in terminal.getvalue()
    assert "\x1b" not in terminal.getvalue()


@pytest.mark.parametrize("quiet", [False, True])
def test_an_interrupt_closes_the_generator_before_it_goes_on(quiet: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def work() -> Iterator[Event]:
        try:
            yield StepEnded(1, 2, 1)
            yield StepEnded(2, 2, 1)
        finally:
            told.append("saved")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for view in ("View", "Lines", "Bars"):
        monkeypatch.setattr(f"segtrain.cli.progress.{view}.see", interrupt)
    with pytest.raises(KeyboardInterrupt):
        show(work(), Session(quiet=quiet))
    assert told == ["saved"]


def test_a_recipe_that_does_not_finish_is_a_bug() -> None:
    with pytest.raises(RuntimeError, match="Finished"):
        show(iter([Note("x")]), Session(quiet=True))


def test_an_epoch_without_validation_is_shown_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> Iterator[Event]:
        yield EpochEnded(1, 1, 2, 0.75, 1e-3, 61.0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        show(work(), Session())
    assert "epoch 1/1" in capsys.readouterr().err


def test_the_remaining_time_counts_validations_and_begins_anew_with_the_next_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter((0.0, 100.0, 200.0, 1000.0))
    monkeypatch.setattr("segtrain.cli.progress.time.monotonic", lambda: next(now))
    epochs = [EpochEnded(n, 4, n, 0.75, 1e-3, 60.0) for n in (1, 2, 3, 1)]
    show(iter([*epochs, Finished(Path("run"), {})]), Session())
    told = [line.rpartition("ETA ")[2] for line in capsys.readouterr().err.splitlines()]
    assert told == ["3:00", "3:20", "1:40", "3:00"]
