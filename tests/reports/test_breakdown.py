"""Labels by themselves, and in thirds of their reference volume."""

from __future__ import annotations

import pytest

from segtrain.reports.breakdown import BREAKDOWN_COLUMNS, LabelValues, breakdown, breakdown_rows


def values(n=7, **changes):
    """Values and volumes that grow from case to case; the last case lacks the label."""
    cases = [f"c{i}" for i in range(n)]
    of = {case: 0.1 * i for i, case in enumerate(cases)} | changes
    volumes = {case: float(i + 1) for i, case in enumerate(cases)} | {cases[-1]: 0.0}
    return LabelValues({"dice": {"organ": of}}, {"organ": volumes}, {case: case for case in cases})


def test_thirds_are_of_the_cases_that_hold_the_label_the_small_ones_first():
    found = breakdown(values())
    assert [(part.size, part.cases) for part in found] == [
        ("all", ("c0", "c1", "c2", "c3", "c4", "c5", "c6")),
        ("small", ("c0", "c1")),
        ("middle", ("c2", "c3")),
        ("large", ("c4", "c5")),
    ]
    assert [part.span for part in found] == ["", "1.000 to 2.000 ml", "3.000 to 4.000 ml", "5.000 to 6.000 ml"]
    means = [losses["dice"].mean for losses in found.values()]
    assert means == pytest.approx([0.3, 0.05, 0.25, 0.45])


def test_a_label_in_few_cases_has_no_thirds():
    assert [part.size for part in breakdown(values(n=6))] == ["all"]


def test_what_is_undefined_for_a_loss_does_not_count_in_its_mean():
    found = breakdown(values(c1=None))
    small = next(losses["dice"] for part, losses in found.items() if part.size == "small")
    assert (small.mean, small.n) == (0.0, 1)
    assert small.low is None


def test_a_loss_that_failed_has_parts_without_numbers():
    whole = values()
    found = breakdown(LabelValues({**whole.values, "boom": {}}, whole.reference_ml, whole.patients))
    assert {losses["boom"].mean for losses in found.values()} == {None}
    assert {losses["boom"].n for losses in found.values()} == {0}


def test_a_row_of_the_table_has_every_column():
    rows = breakdown_rows("dice", breakdown(values()))
    assert {len(row) for row in rows} == {len(BREAKDOWN_COLUMNS)}
    small = dict(zip(BREAKDOWN_COLUMNS, rows[1], strict=True))
    assert (small["size"], small["smallest_ml"], small["largest_ml"], small["n"]) == ("small", 1.0, 2.0, 2)
