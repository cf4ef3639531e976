from math import inf

import pytest

from segtrain.core.errors import ConfigError
from segtrain.metrics.counts import Counts
from segtrain.metrics.pair import Pair
from segtrain.metrics.registry import METRICS, definition


@pytest.mark.parametrize("name", METRICS.names())
def test_every_metric_says_what_it_is(name):
    card = definition(name)
    assert card.name == name
    assert card.definition.endswith((".", ")"))
    assert card.range[0] < card.range[1]
    assert card.unit == ("mm" if card.range[1] == inf and card.best == "lower" else "")


def test_aliases_lead_to_the_same_card():
    assert definition("jaccard") is definition("iou")
    assert definition("recall") is definition("sensitivity")


def test_an_unknown_metric_is_answered_with_the_nearest_names():
    with pytest.raises(ConfigError, match=r"no metric is called 'dise'[\s\S]*'dice'"):
        definition("dise")


def test_a_file_says_what_a_metric_means():
    said = definition("hd95").to_json()
    assert (said["unit"], said["best"], said["version"], said["detail"]) == ("mm", "lower", 1, "")
    assert "larger" in said["definition"]


def test_a_metric_from_a_users_own_file(tmp_path):
    (tmp_path / "mine.py").write_text(
        "class Missed:\n    card = None\n    def measure(self, pair):\n        return float(pair.counts.fn)\n"
    )
    metric = METRICS.build("mine.py:Missed", options={}, folder=tmp_path)
    pair = Pair("tumour", Counts(1, 2, 3), (1.0, 1.0, 1.0), lambda: pytest.fail("no mask was asked for"))
    assert metric.measure(pair) == 3.0


def test_only_a_signed_metric_goes_into_means_by_its_size():
    cards = [definition(name) for name in ("relative_volume_error", "dice", "hd95")]
    assert [card.sized(-0.9) for card in cards] == [0.9, -0.9, -0.9]
    assert [card.sized(None) for card in cards] == [None] * 3
