"""Notes that are the same but for their case."""

from __future__ import annotations

from segtrain.recipes.scoring.repeated import Repeated


def said(events):
    return [event.text for event in events]


def test_what_many_cases_have_in_common_is_said_once_and_counted():
    notes = Repeated()
    assert said(notes.first("a: 1 mm is assumed", "a")) == ["a: 1 mm is assumed"]
    assert said(notes.first("b: 1 mm is assumed", "b")) == []
    assert said(notes.first("c: another", "c")) == ["c: another"]
    assert said(notes.first(None, "d")) == []
    assert said(notes.first("e: 1 mm is assumed", "e")) == []
    assert said(notes.rest()) == ["2 more cases: 1 mm is assumed"]
