"""What is done to a scan before a network, and to its logits after it."""

from __future__ import annotations

import json

import pytest

from segtrain.core.codes import Codes, Term
from segtrain.core.plan import ChannelIntensity
from segtrain.core.task import Task
from segtrain.inference.settings import InferenceSettings
from segtrain.recipes.export_rules import answer_rules, network_rules, scan_rules, versions, window_rules
from tests.plans import small_plan

LABELS = {"background": 0, "oedema": 7, "core": 2, "active": 4}
REGIONS = {"whole": ("oedema", "core", "active"), "inner": ("core", "active"), "active": ("active",)}


@pytest.mark.parametrize(
    ("regions", "activation", "draw", "ids"),
    [
        (None, "softmax", "strongest", [0, 2, 4, 7]),
        (None, "sigmoid", "strongest_above_zero", [2, 4, 7]),
        (REGIONS, "sigmoid", "over", [7, 2, 4]),
    ],
)
def test_each_channel_has_the_id_that_it_draws(regions, activation, draw, ids):
    task = Task(labels=LABELS, regions=regions)
    found = answer_rules(task, activation)
    assert (found["draw"], found["ids"]) == (draw, ids)
    assert len(ids) == len(task.output_names(activation))


def test_a_slice_has_no_third_axis():
    rules = network_rules(small_plan(2, channels=2), ("background", "organ"))
    assert rules["input"]["axes"] == ["batch", "channel", "R", "A"]
    assert rules["input"]["shape"] == [None, 2, 16, 12]
    assert rules["output"]["shape"] == [None, 2, 16, 12]
    assert window_rules(small_plan(2), InferenceSettings())["size"] == [16, 12, 1]


def test_a_rule_of_intensities_has_the_numbers_that_are_used_and_no_others():
    ct = ChannelIntensity(channel="CT", rule="ct", lower=-900, upper=300, mean=20, std=None)
    unbounded = ChannelIntensity(channel="odd", rule="ct")
    plan = small_plan().model_copy(update={"intensity": (ct, unbounded)})
    assert scan_rules(plan)["intensity"] == [
        {"channel": "CT", "rule": "ct", "clip": [-900, 300], "mean": 20, "std": 1},
        {"channel": "odd", "rule": "zscore", "clip_percentiles": [0.5, 99.5], "least_deviation": 1e-6},
    ]


def test_all_of_it_is_json():
    task = Task(labels=LABELS, codes={"core": Codes(type=Term(value="1", meaning="Core"))})
    plan = small_plan()
    rules = [network_rules(plan, ("a",)), scan_rules(plan), window_rules(plan, InferenceSettings(mirror_axes=(0,)))]
    for found in (*rules, answer_rules(task, "softmax"), versions()):
        assert json.loads(json.dumps(found, allow_nan=False)) == found
