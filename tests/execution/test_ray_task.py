"""What runs on a node, called as a function; test_ray_cluster.py runs it on nodes."""

from __future__ import annotations

import _thread
import os
import threading
from contextvars import copy_context
from dataclasses import replace
from pathlib import Path

import pytest

from segtrain.core.errors import UnreadableScan
from segtrain.execution.child import taken
from segtrain.execution.ray_nodes import marked
from segtrain.execution.ray_task import PATIENCE_SECONDS, Order, Stranger, TooLarge, do
from tests.execution import pieces
from tests.execution.pieces import Piece


@pytest.fixture
def order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with marked(tmp_path) as mark:
        yield lambda function: Order(function, Piece(3, tmp_path), mark, 60.0)


def done(order):
    """Nothing of it stays in this process."""
    return copy_context().run(do, order)


def test_a_piece_is_answered(order):
    assert taken(done(order(pieces.square))) == (os.getpid(), 9)


def test_what_it_raises_comes_back(order):
    with pytest.raises(UnreadableScan, match="case 3"):
        taken(done(order(pieces.unreadable)))


def test_too_little_memory_is_an_answer(order):
    assert done(order(pieces.no_memory)) == TooLarge()


def test_a_task_that_is_cancelled_saves_its_work_where_it_looks(order, tmp_path):
    """Ray interrupts the main thread as Ctrl-C does."""
    asked = order(pieces.by_events)
    threading.Timer(0.5, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        done(asked)
    assert (tmp_path / "3.saved").exists()


def test_it_works_where_the_command_was_started_and_is_patient(order, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert taken(done(order(lambda piece: Path.cwd()))) == tmp_path
    assert taken(done(order(pieces.patience))) == PATIENCE_SECONDS


def test_a_node_that_is_another_does_nothing_and_says_what_it_sees(order):
    asked = order(pieces.square)
    other = replace(asked, mark=replace(asked.mark, seen={**asked.mark.seen, "segtrain": "9"}))
    answer = done(other)
    assert isinstance(answer, Stranger)
    assert answer.seen == asked.mark.seen
