"""docs/reliability.md is what the tests say, and no fault is without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.table import FAULTS, TESTS, Row, page, rows


@pytest.fixture(scope="module")
def found() -> list[Row]:
    return rows()


def test_the_page_in_docs_is_up_to_date() -> None:
    there = (TESTS.parent / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert there == page(), "make docs"


def test_there_are_34_faults_and_no_others(found: list[Row]) -> None:
    assert list(FAULTS) == [f"F{number}" for number in range(1, 35)]
    assert {row.number for row in found} <= FAULTS.keys()


@pytest.mark.parametrize("number", FAULTS)
def test_a_fault_has_a_test(found: list[Row], number: str) -> None:
    assert any(row.number == number for row in found)


def test_every_row_says_what_is_injected_and_what_happens(found: list[Row]) -> None:
    assert [row.test for row in found if not (row.injected and row.then)] == []


def test_each_fault_is_marked_where_it_is_named() -> None:
    """A `fault` that is spelt otherwise would be collected by pytest and missing on the page."""
    for path in TESTS.rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        assert "mark.fault" not in text or path == Path(__file__), path
