"""Progress for whoever calls from Python."""

import sys

import pytest

from segtrain.core.events import (
    CasePrepared,
    CaseRead,
    CheckpointSaved,
    EpochEnded,
    Finished,
    Note,
    StepEnded,
    Validated,
)
from segtrain.recipes.bars import Bars

EVENTS = (
    Note("hello"),
    CaseRead("a", 1, 1),
    CasePrepared("a", 1, 2),
    CasePrepared("b", 2, 2),
    StepEnded(1, 4, 0),
    StepEnded(4, 4, 1),
    EpochEnded(1, 2, 4, 0.75, 1e-3, 2.0),
    Validated(1, {"dice": 0.5, "iou": None}, True),
    StepEnded(1, 4, 0),
)


@pytest.fixture
def bars(tmp_path):
    return Bars()


def test_a_terminal_sees_a_bar_for_each_kind_of_work(bars, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    for event in (*EVENTS, CheckpointSaved("last", tmp_path), Finished(tmp_path, {})):
        bars(event)
    text = capsys.readouterr().err
    assert "reading: 100%" in text
    assert "preparing: 100%" in text
    assert "2/2" in text
    assert "epoch=1/2, loss=0.750, dice=0.500" in text
    assert "1/4" in text


def test_a_run_that_goes_on_at_the_end_of_an_epoch_has_no_steps_yet(bars, capsys):
    bars(EpochEnded(1, 2, 4, 0.75, 1e-3, 2.0))
    bars(Validated(1, {"dice": 0.5}, True))
    assert capsys.readouterr().err == ""


def test_a_pipe_sees_nothing(bars, capsys, tmp_path):
    for event in (*EVENTS, Finished(tmp_path, {})):
        bars(event)
    assert capsys.readouterr().err == ""
