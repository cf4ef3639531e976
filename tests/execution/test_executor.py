"""Where pieces of work are done: processes of this machine."""

from __future__ import annotations

import os

import pytest

from segtrain.core.events import StillWorking
from segtrain.core.machine import usable_cores
from segtrain.execution import executor
from segtrain.execution.executor import ONE_PROCESS, Processes
from segtrain.execution.workers import Done
from tests.execution import pieces
from tests.execution.pieces import Piece


def ended(outcomes):
    """Without those that tell that work goes on."""
    return [outcome for outcome in outcomes if not isinstance(outcome, StillWorking)]


def test_one_process_is_this_one():
    assert ONE_PROCESS.is_here
    assert not Processes(2).is_here


@pytest.mark.parametrize(("cores", "at_once", "threads"), [(8, 1, 8), (8, 3, 2), (8, 8, 1), (2, 5, 1)])
def test_cores_are_shared_out_evenly_and_nobody_is_without(cores, at_once, threads, monkeypatch):
    monkeypatch.setattr(executor, "usable_cores", lambda: cores)
    assert Processes(at_once).threads == threads


def test_one_process_has_all_cores():
    assert ONE_PROCESS.threads == usable_cores()


def test_pieces_are_done_in_other_processes_and_in_no_more_than_there_are_pieces(tmp_path):
    outcomes = ended(Processes(5).each(pieces.numbered, [Piece(0, tmp_path), Piece(1, tmp_path)], hang_seconds=60))
    assert all(isinstance(outcome, Done) for outcome in outcomes)
    assert {outcome.result for outcome in outcomes} == {0, 1}
    (done,) = ended(Processes(2).each(pieces.square, [Piece(3, tmp_path)], hang_seconds=60))
    assert done.result[0] != os.getpid()
    assert done.result[1] == 9


def test_a_piece_may_not_take_for_ever(tmp_path):
    first, second = ended(Processes(2).each(pieces.endless, [Piece(0, tmp_path)], hang_seconds=1.0))
    assert (first.again, second.again) == (True, False)
    assert "no answer" in second.why
