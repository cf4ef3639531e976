"""A plan is a file: it comes back equal, its hash tells plans apart, and one that cannot work is refused."""

import hashlib
import json

import pytest
from pydantic import ValidationError

from segtrain.core.plan import ChannelIntensity, Plan
from tests.plans import small_plan

CT = {"channel": "c0", "rule": "ct", "lower": -100.0, "upper": 200.0, "mean": 50.0, "std": 25.0}
CHANGES = {
    "dims": {
        "dims": 2,
        "slice_axis": 2,
        "patch_size": (16, 12, 1),
        "strides": ((2, 2, 1),),
        "kernels": ((3, 3, 1),) * 2,
    },
    "spacing_mm": {"spacing_mm": (1.0, 1.2, 2.6)},
    "patch_size": {"patch_size": (16, 12, 10)},
    "batch_size": {"batch_size": 3},
    "widths": {"widths": (4, 9)},
    "strides": {"strides": ((2, 2, 1),)},
    "kernels": {"kernels": ((3, 3, 1), (3, 3, 3))},
    "convolutions": {"convolutions": (1, 2)},
    "decoder_convolutions": {"decoder_convolutions": (2,)},
    "intensity": {"intensity": (CT,)},
    "channel": {"intensity": ({"channel": "T2", "rule": "zscore"},)},
    "percentiles": {"intensity": ({"channel": "c0", "rule": "zscore", "clip_percentiles": (1, 99)},)},
}
PREPARATION = {"spacing_mm", "intensity", "channel", "percentiles"}


def changed(plan: Plan, fields) -> Plan:
    return Plan.model_validate({**plan.model_dump(), **fields})


@pytest.mark.parametrize(
    "plan", [small_plan(), small_plan(dims=2, channels=3), changed(small_plan(), {"intensity": (CT,)})]
)
def test_json_round_trip(plan):
    again = Plan.model_validate(json.loads(plan.model_dump_json()))
    assert again == plan
    assert (again.hash, again.preparation_hash) == (plan.hash, plan.preparation_hash)


def test_the_hash_does_not_depend_on_how_numbers_were_written():
    assert changed(small_plan(), {"spacing_mm": ("1", "1.20", 2.5)}).hash == small_plan().hash


@pytest.mark.parametrize("fields", CHANGES.values(), ids=CHANGES)
def test_the_hash_changes_with_every_decision(fields):
    assert changed(small_plan(), fields).hash != small_plan().hash


@pytest.mark.parametrize(("name", "fields"), CHANGES.items(), ids=CHANGES)
def test_prepared_cases_are_made_anew_only_where_they_would_differ(name, fields):
    same = changed(small_plan(), fields).preparation_hash == small_plan().preparation_hash
    assert same == (name not in PREPARATION)


def test_downsampling_is_the_product_of_the_strides():
    plan = changed(
        small_plan(widths=(4, 8, 16), patch=(16, 12, 8)),
        {"strides": ((2, 2, 1), (2, 1, 1))},
    )
    assert plan.downsampling == (4, 2, 1)
    assert small_plan(widths=(4,)).downsampling == (1, 1, 1)


def test_channels_keep_their_order():
    intensity = tuple(ChannelIntensity(channel=n, rule="zscore") for n in ("T2", "FLAIR", "ADC"))
    assert changed(small_plan(), {"intensity": intensity}).channels == ("T2", "FLAIR", "ADC")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"widths": (4, 8, 16)}, "one entry a stage"),
        ({"strides": ()}, "one fewer"),
        ({"kernels": ((3, 3, 3),)}, "one entry a stage"),
        ({"convolutions": (1, 1, 1)}, "one entry a stage"),
        ({"decoder_convolutions": (1, 1)}, "one entry fewer than there are stages"),
        ({"dims": 2}, "slice_axis"),
        ({"slice_axis": 1}, "slice_axis"),
        ({"dims": 2, "slice_axis": 2}, "are 1 on axis 2"),
        ({"patch_size": (15, 12, 8)}, "patch_size 15 on axis 0 is not a multiple of 2.*take 14 or 16"),
        ({"patch_size": (16, 12, 1)}, "take 2 or 4"),
        ({"patch_size": (16, 0, 8)}, "greater than or equal to 1"),
        ({"spacing_mm": (1, 0, 1)}, "greater than 0"),
        ({"spacing_mm": (1, float("inf"), 1)}, "finite"),
        ({"batch_size": 0}, "greater than or equal to 1"),
        ({"intensity": ({"channel": "c0", "rule": "minmax"},)}, "zscore"),
        ({"patch": (16, 12, 8)}, "Extra inputs"),
    ],
)
def test_a_plan_that_cannot_work_is_refused_with_the_reason(fields, words):
    with pytest.raises(ValidationError, match=words):
        changed(small_plan(), fields)


def test_the_way_up_has_as_many_convolutions_as_the_encoder_unless_the_plan_says_otherwise():
    plan = changed(small_plan(widths=(4, 8, 16)), {"convolutions": (1, 2, 3)})
    assert plan.decoder_units == (1, 2)
    assert changed(plan, {"decoder_convolutions": (2, 1)}).decoder_units == (2, 1)


def test_a_plan_from_before_the_way_up_was_planned_reads_and_has_its_hash():
    old = {k: v for k, v in small_plan().model_dump(mode="json").items() if k != "decoder_convolutions"}
    plan = Plan.model_validate(old)
    assert plan == small_plan()
    assert plan.hash == hashlib.sha256(json.dumps(old, separators=(",", ":")).encode()).hexdigest()[:16]
