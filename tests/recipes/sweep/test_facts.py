"""How a sweep was made, from its config and records."""

from __future__ import annotations

import json

import pytest

from segtrain.config.dump import read_back
from segtrain.core.errors import DataError
from segtrain.core.files import write_json
from segtrain.recipes.run_folder import write_record
from segtrain.recipes.sweep.facts import definitions_of, facts_of
from tests.plans import small_plan
from tests.recipes.sweeps import begun, runs, scores_of, write_run


@pytest.fixture
def sweep(tmp_path):
    return begun(tmp_path)


def facts(sweep):
    return facts_of(read_back(sweep.config), runs(sweep), scores_of(sweep))


def test_numbers_are_those_of_config_records_and_plans(sweep):
    for number, run in enumerate(runs(sweep)):
        write_run(run)
        more = {
            "total_steps": 40 + run.fold,
            "parameters": 1000,
            "device": "cpu",
            "versions": {"torch": f"2.{number % 2}"},
        }
        write_record(run.folder, more)
    write_json(runs(sweep)[0].folder.plan, small_plan().model_dump(mode="json"))
    found = facts(sweep)
    assert (found.losses, found.baseline, found.folds, found.seeds) == (
        ("dice_ce", "dice", "focal"),
        "dice_ce",
        2,
        (0, 1),
    )
    assert (found.cases, found.patients, found.patients_known, found.unit) == (5, 4, True, "patient")
    assert (found.epochs, found.steps, found.parameters, found.devices) == (2, (40, 41), (1000,), ("cpu",))
    assert found.versions["torch"] == "2.0 and 2.1"
    size = " × ".join(map(str, small_plan().patch_size))
    assert found.patches == (f"{size} voxels in batches of {small_plan().batch_size}",)
    assert found.failed == found.unfinished == ()


def test_a_run_that_diverged_is_not_one_that_is_missing(sweep):
    first, second, *rest = runs(sweep)
    for run in rest:
        write_run(run)
    first.keep_failure("the loss is nan")
    found = facts(sweep)
    assert (found.failed, found.unfinished) == ((first.name,), (second.name,))


def test_a_sweep_without_a_run_has_facts_too(sweep):
    found = facts(sweep)
    assert (found.cases, found.steps, found.versions) == (0, (), {})
    assert len(found.unfinished) == 12


def test_metrics_are_defined_as_they_were_measured(sweep):
    assert definitions_of(runs(sweep)) == {}
    run = runs(sweep)[1]
    write_run(run)
    said = {"nsd": {"definition": "Within 2 mm."}}
    (run.folder.validation / "metrics.json").write_text(json.dumps({"definitions": said}))
    assert definitions_of(runs(sweep)) == said


def test_a_damaged_record_is_named(sweep):
    run = runs(sweep)[0]
    write_run(run)
    write_record(run.folder, {"versions": ["torch"]})
    with pytest.raises(DataError, match=r"run\.json"):
        facts(sweep)


def test_a_damaged_plan_is_named(sweep):
    run = runs(sweep)[0]
    write_run(run)
    run.folder.plan.write_text('{"dims": 4}')
    with pytest.raises(DataError, match=r"plan\.json"):
        facts(sweep)
