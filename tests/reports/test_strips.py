import re
from math import inf

import pytest

from segtrain.core.scores import CaseScores, Score
from segtrain.reports.shown_metric import shown_metrics
from segtrain.reports.strips import MISSES, label_strips
from tests.reports.builders import absent, case, invented, missed


def shown(key):
    return shown_metrics([key])[0]


def of(name, key, value, status="ok"):
    return CaseScores(name, name, {"organ": {key: Score(value, status)}}, {"organ": 1.0}, {"organ": 1.0})


def dots(drawing):
    """Places of all dots: pieces of no length with round ends, in points from the left upper corner."""
    paths = re.findall(r' d="([^"]*)"[^>]*stroke-linecap: round', drawing.markup)
    return [(float(x), float(y)) for path in paths for x, y in re.findall(r"M ([\d.]+) ([\d.]+)", path)]


def ticks(drawing):
    return re.findall(r"text-anchor: middle[^>]*>([^<]*)<", drawing.markup)


def test_a_dot_a_case_and_none_for_what_is_not_defined():
    scores = [case("a", 0.4), case("b", 0.9), absent("c"), case("d", 0.5, label="$_x")]
    drawing = label_strips(scores, shown("dice"), ["organ", "$_x"])
    assert len(dots(drawing)) == 3
    assert "$_x" in drawing.markup
    assert drawing.key == ()


def test_nothing_defined_is_an_empty_row():
    assert dots(label_strips([absent("c")], shown("dice"), ["organ"])) == []


@pytest.mark.parametrize(("key", "worst", "side"), [("dice", 0.0, min), ("hd95", inf, max)])
def test_misses_stand_apart_at_the_bad_edge_and_stretch_nothing(key, worst, side):
    good = [of(f"c{i}", key, 0.9 + 0.01 * i) for i in range(6)]
    alone = label_strips(good, shown(key), ["organ"])
    drawing = label_strips([*good, of("m", key, worst, "pred_empty")], shown(key), ["organ"])
    edge = side(dots(drawing))[0]
    assert [x for x, _ in dots(drawing)].count(edge) == 1
    assert len(dots(drawing)) == 7
    assert [name for _, name in drawing.key] == [MISSES]
    assert ticks(drawing)[-1] == ticks(alone)[-1]
    assert set(ticks(drawing)) <= set(ticks(alone)), "the axis is that of the measured cases"


def test_all_missed_is_a_zone_with_dots():
    drawing = label_strips([missed("a"), invented("b")], shown("dice"), ["organ"])
    assert len(dots(drawing)) == 2
    assert len({x for x, _ in dots(drawing)}) == 1


def test_a_median_among_misses_is_drawn_in_their_zone():
    scores = [of("a", "hd95", 2.0), *[of(f"m{i}", "hd95", inf, "pred_empty") for i in range(4)]]
    drawing = label_strips(scores, shown("hd95"), ["organ"])
    far = max(dots(drawing))[0]
    (tick,) = re.findall(r"M ([\d.]+) [\d.]+ L [\d.]+ [\d.]+ ?\"[^>]*stroke-width: 1.8", drawing.markup)
    assert float(tick) == pytest.approx(far, abs=0.02)


def test_an_axis_has_the_unit_of_its_metric_and_an_error_stands_around_0():
    assert ticks(label_strips([of("a", "hd95", 2.0)], shown("hd95"), ["organ"]))[-1] == "HD95 (mm) of a case"
    around = label_strips([of("a", "relative_volume_error", 0.2)], shown("relative_volume_error"), ["organ"])
    assert {"-0.20", "0.00", "0.20"} <= set(ticks(around))
