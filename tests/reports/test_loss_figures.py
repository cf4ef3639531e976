from __future__ import annotations

from dataclasses import replace

import pytest

from segtrain.reports.loss_figures import (
    loss_curves,
    loss_differences,
    loss_means,
    off_the_scale,
    precision_recall,
    size_means,
)
from segtrain.reports.plots import drawing
from segtrain.statistics.comparison import Rules, compare
from tests.reports.builders import HOSTILE, epochs
from tests.reports.comparisons import comparison, thirds


def axes_of(plot):
    return plot.figure.axes[0]


def test_names_are_drawn_as_they_are_and_a_failed_loss_is_not_there():
    found = comparison(**{"dice": 0.0, "_focal$a$": 0.05, "<b>": -0.05, "boom": None})
    for plot in (loss_means(found, "Dice", "patient"), loss_differences(found, "Dice", "patient")):
        markup = drawing(plot).markup
        assert "_focal$a$" in markup
        assert "&lt;b&gt;" in markup
        assert "<b>" not in markup
        assert "boom" not in markup


@pytest.mark.parametrize("draw", [loss_means, loss_differences])
def test_one_patient_has_no_interval_to_draw(draw):
    assert axes_of(draw(comparison(n=1, dice=0.0, focal=0.1), "Dice", "case")).collections[:] == []


def test_nothing_but_failures_can_be_drawn():
    assert "<svg" in drawing(loss_means(compare({"dice": {}, "focal": {}}, {}, "dice", 0), "Dice", "case")).markup


def test_every_difference_and_the_margin_lie_within_the_axis():
    found = comparison(dice=0.0, focal=0.03, ce=-0.2)
    low, high = axes_of(loss_differences(found, "Dice", "patient")).get_xlim()
    values = [value for row in found.against_baseline for value in row.differences]
    assert low < min(values)
    assert max(values) < high
    assert low < -0.01 < 0.01 < high


def test_a_margin_that_is_wide_beside_the_differences_does_not_push_them_together():
    low, high = axes_of(loss_differences(comparison(dice=0.0, focal=0.0005), "Dice", "patient")).get_xlim()
    assert (low, high) == pytest.approx((-0.00002, 0.00052))


def test_units_are_named():
    found = comparison(dice=0.0, focal=0.1)
    assert "one dot a case" in axes_of(loss_differences(found, "Dice", "case")).get_xlabel()
    assert "over cases" in loss_means(found, "Dice", "case").alt


def test_curves_of_all_losses_lie_in_one_axis_and_the_baseline_is_thick():
    runs = {HOSTILE: epochs(), "focal": epochs(3), "boom": []}
    plot = loss_curves(runs, "dice", "focal")
    assert [name for _, name in plot.key] == [HOSTILE, "focal"]
    thin, thick = axes_of(plot).lines
    assert thick.get_linewidth() > thin.get_linewidth()
    assert axes_of(plot).get_title(loc="left") == "Validation: Dice"
    assert loss_curves({}, "train_loss", "dice") is None


def test_eleven_losses_are_told_apart():
    plot = loss_curves({f"loss{i}": epochs() for i in range(11)}, "dice", "loss0")
    looks = [(look.colour, look.dashes) for look, _ in plot.key]
    assert len(set(looks)) == 11
    assert len({look.css for look, _ in plot.key}) == 11


def test_thirds_are_drawn_with_their_volumes_in_the_key():
    plot = size_means(thirds(("dice", "focal")), "liver", ["focal", "dice"], "Dice")
    assert [name for _, name in plot.key] == [
        "small: 1.000 to 3.000 ml, 3 cases",
        "middle: 4.000 to 6.000 ml, 3 cases",
        "large: 7.000 to 9.000 ml, 3 cases",
    ]
    dots = [line.get_xdata()[0] for line in axes_of(plot).lines]
    assert dots == pytest.approx([0.11, 0.01, 0.14, 0.04, 0.17, 0.07])


def test_a_label_without_thirds_has_no_drawing():
    assert size_means(thirds(("dice",), n=4), "liver", ["dice"], "Dice") is None


def test_precision_and_recall_are_a_point_a_loss_at_its_means():
    recall, precision = comparison(dice=0.0, focal=0.1, boom=None), comparison(dice=0.2, focal=0.0, boom=None)
    plot = precision_recall(precision, recall, ["dice", "focal", "boom"])
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes_of(plot).lines]
    means = [{row.loss: row.mean for row in found.ranking} for found in (recall, precision)]
    assert points == [(means[0][loss], means[1][loss]) for loss in ("dice", "focal")]
    assert [line.get_marker() for line in axes_of(plot).lines] == ["D", "o"]


@pytest.mark.parametrize("gap", [0.0, 2.0])
def test_without_a_margin_there_is_no_band(gap):
    scores = {"dice": {f"c{i}": 3.0 for i in range(6)}, "ce": {f"c{i}": 3.0 + gap for i in range(6)}}
    found = compare(scores, {f"c{i}": f"c{i}" for i in range(6)}, "dice", 0, Rules(margin=None, draws=200))
    axes = axes_of(loss_differences(found, "HD95 (mm)", "patient"))
    with_band = axes_of(loss_differences(replace(found, rules=Rules(draws=200)), "HD95 (mm)", "patient"))
    assert len(axes.patches) == len(with_band.patches) - 1
    assert "band" not in axes.get_xlabel()
    low, high = axes.get_xlim()
    assert low < 0 < high


def with_failed(found, loss):
    """As `sweep.status` writes it: a loss that hits nothing keeps its scores."""
    rows = [replace(row, status="failed", reason="hits nothing") if row.loss == loss else row for row in found.ranking]
    return replace(found, ranking=tuple(rows))


def test_a_loss_that_finds_nothing_does_not_press_the_others_together():
    found = with_failed(comparison(dice=0.0, focal=0.03, nothing=-0.49), "nothing")
    means = axes_of(loss_means(found, "Dice", "patient"))
    assert means.get_xlim()[0] > 0.4
    assert [text.get_text() for text in means.texts] == ["failed: 0.081"]
    differences = axes_of(loss_differences(found, "Dice", "patient"))
    assert differences.get_xlim()[0] > -0.1
    assert differences.texts[0].get_text().startswith("failed: −0.49")
    balance = precision_recall(found, found, ["dice", "focal", "nothing"])
    assert [name for _, name in balance.key] == ["dice", "focal"]


def test_where_all_losses_failed_they_are_drawn():
    found = with_failed(with_failed(comparison(dice=0.0, focal=0.03), "dice"), "focal")
    assert off_the_scale(found) == set()
