from __future__ import annotations

from segtrain.reports.comparison_plots import (
    balance_plot,
    curve_plots,
    filed_plots,
    heading,
    metric_plots,
    named,
    size_plots,
)
from tests.reports.builders import HOSTILE
from tests.reports.comparisons import comparison, report, thirds

NAMES = ("dice", "focal", "ce", "boom")


def test_files_are_of_the_headline_metric_and_of_what_all_metrics_share():
    found = comparison(dice=0.0, focal=0.1, ce=0.2, boom=None)
    metrics = {"dice": found, "sensitivity": found, "precision": found}
    made = report(NAMES, comparisons=metrics, by_label=thirds(NAMES, labels=("liver", "a/b")))
    assert set(filed_plots(made)) == {
        *("means", "differences", "critical-difference", "places"),
        *("curves", "training-loss", "size-liver", "size-b", "precision-recall"),
    }


def test_what_cannot_be_drawn_is_left_out():
    two = report(("dice", "boom"), curves={}, by_label={})
    assert set(metric_plots(two, "dice")) == {"means", "places"}
    assert curve_plots(two) == size_plots(two) == {}
    assert balance_plot(two) is None
    assert filed_plots(report(comparisons={}, curves={})) == {}


def test_the_name_of_a_file_is_one_on_every_system_and_there_once():
    assert named(["liver", "Liver", "le foie", "é", "", "a/b", "b", "b-2"]) == {
        "liver": "liver",
        "liver-2": "Liver",
        "le-foie": "le foie",
        "unnamed": "é",
        "unnamed-2": "",
        "b": "a/b",
        "b-2": "b",
        "b-2-2": "b-2",
    }
    assert set("".join(named([HOSTILE, "../../etc/passwd", "C:\\x"]))) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")


def test_a_metric_is_headed_with_its_unit():
    assert heading(report(), "hd95") == "HD95 (mm)"
    assert heading(report(definitions={"mine": {"unit": "ml"}}), "mine") == "mine (ml)"
