import pytest

from segtrain.reports import wording


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.8731, "0.873"), (-0.02, "−0.020"), (None, "–"), (float("nan"), "–"), (float("inf"), "∞"), (-0.0001, "0.000")],
)
def test_numbers(value, text):
    assert wording.number(value) == text


def test_signs_and_intervals():
    assert [wording.signed(v) for v in (0.02, -0.02, 0.0, 0.0001, None)] == ["+0.020", "−0.020", "0.000", "0.000", "–"]
    assert wording.interval(0.1, 0.2) == "0.100 to 0.200"
    assert wording.interval(None, None) == ""


def test_p_values_and_ranks():
    assert [wording.p_value(p) for p in (0.0004, 0.5, 1.0, None)] == ["< 0.001", "0.500", "1.000", "–"]
    assert [wording.place(r) for r in (1.0, 2.5, None)] == ["1", "2.5", "–"]
    assert [wording.places(1, 3), wording.places(1, 1), wording.places(None, None)] == ["1 to 3", "1", ""]


def test_volumes_and_names():
    assert [wording.millilitres(v) for v in (1234.56, 45.678, 0.0123, 0, None)] == [
        "1234.6",
        "45.68",
        "0.012",
        "0.00",
        "–",
    ]
    assert [wording.metric_name(m) for m in ("dice", "hd95", "volume_similarity")] == [
        "Dice",
        "HD95",
        "volume similarity",
    ]


def test_ends_of_a_difference_have_their_signs():
    assert wording.interval_signed(-0.01, 0.024) == "−0.010 to +0.024"
    assert wording.interval_signed(None, 0.024) == ""
