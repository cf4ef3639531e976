"""The page of all metrics is made from the code, and is as new as the code."""

from pathlib import Path

from segtrain.metrics.registry import METRICS
from segtrain.reports.metric_cards import cards_page

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_every_metric_has_its_row():
    page = cards_page()
    for name in METRICS.names():
        assert f"| `{name}`" in page
    assert "| infinite | infinite |" in page
    assert "`evaluation`" in page


def test_the_page_in_docs_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == cards_page(), "run make docs"
