"""How long a process waits for a former attempt: not at all, unless it was told to."""

from __future__ import annotations

from contextvars import copy_context

from segtrain.execution.patience import be_patient, patience_seconds


def test_nobody_waits_who_was_not_told_to():
    assert patience_seconds() == 0


def test_who_was_told_to_waits_so_long():
    def told() -> float:
        be_patient(20)
        return patience_seconds()

    assert copy_context().run(told) == 20
    assert patience_seconds() == 0
