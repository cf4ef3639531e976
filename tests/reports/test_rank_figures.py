from __future__ import annotations

import pytest

from segtrain.reports.plots import drawing
from segtrain.reports.rank_figures import critical_difference, place_shares
from tests.reports.builders import HOSTILE
from tests.reports.comparisons import comparison


def words(plot):
    return [text.get_text() for text in plot.figure.axes[0].texts]


def test_the_diagram_names_its_units_and_every_loss_with_its_rank():
    plot = critical_difference(comparison(dice=0.0, focal=0.1, ce=-0.1), "Dice", "patient")
    assert plot.figure.axes[0].get_title(loc="left") == "Dice: critical differences of ranks; units are 8 patients"
    assert {"focal  1.00", "dice  2.00", "3.00  ce"} <= set(words(plot))


def test_losses_that_are_not_told_apart_are_joined_by_a_bar_over_their_ranks():
    found = comparison(dice=0.0, focal=0.1, ce=-0.1)
    bars = critical_difference(found, "Dice", "patient").figure.axes[0].collections
    thick = [bar for bar in bars if bar.get_linewidth()[0] == 4]
    assert len(thick) == len(found.friedman.groups)


@pytest.mark.parametrize("losses", [3, 11])
def test_the_critical_difference_is_drawn_to_the_scale_of_the_axis(losses):
    found = comparison(n=6, **{f"loss{i}": 0.01 * i for i in range(losses)})
    axis, yardstick, *_ = [
        ends[0][:, 0]
        for line in critical_difference(found, "Dice", "case").figure.axes[0].collections
        if (ends := line.get_segments())[0][0][1] == ends[0][1][1]
    ]
    share = (yardstick[1] - yardstick[0]) / (axis[1] - axis[0])
    assert share == pytest.approx(found.friedman.critical_difference / (losses - 1))
    assert share < 1


def test_no_diagram_for_two_losses_or_five_patients():
    assert critical_difference(comparison(dice=0.0, focal=0.1), "Dice", "patient") is None
    assert critical_difference(comparison(n=5, dice=0.0, focal=0.1, ce=0.2), "Dice", "patient") is None


def test_bars_of_places_have_the_lengths_of_their_shares():
    found = comparison(dice=0.0, focal=0.1, ce=-0.1)
    plot = place_shares(found, "Dice", "patient")
    assert [bar.get_width() for bar in plot.figure.axes[0].patches] == [1.0, 1.0, 1.0]
    assert words(plot) == ["1", "2", "3"]
    assert plot.alt.endswith("focal 100%, dice 0%, ce 0%")


def test_without_a_second_patient_there_are_no_places():
    assert place_shares(comparison(n=1, dice=0.0, focal=0.1), "Dice", "patient") is None


def test_hostile_names_stay_names():
    found = comparison(**{"dice": 0.0, HOSTILE: 0.1, "ce": 0.2})
    for plot in (critical_difference(found, "Dice", "patient"), place_shares(found, "Dice", "patient")):
        assert "<script" not in drawing(plot).markup
