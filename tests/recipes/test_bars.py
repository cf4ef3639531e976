"""Progress for whoever calls from Python."""

import sys

import pytest

from segtrain.core.events import CasePrepared, CheckpointSaved, Finished, Note, StepEnded, Validated
from segtrain.recipes.bars import Bars

EVENTS = (
    Note("hello"),
    CasePrepared("a", 1, 2),
    CasePrepared("b", 2, 2),
    StepEnded(1, 4, 0),
    StepEnded(4, 4, 1),
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
    assert "preparing: 100%" in text
    assert "2/2" in text
    assert "dice=0.500" in text
    assert "1/4" in text


def test_a_pipe_sees_nothing(bars, capsys, tmp_path):
    for event in (*EVENTS, Finished(tmp_path, {})):
        bars(event)
    assert capsys.readouterr().err == ""
