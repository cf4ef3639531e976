"""What a fit works with: decided once, written down, and read back when it goes on."""

from __future__ import annotations

import json

import pytest
import torch

from segtrain.core.errors import DataError
from segtrain.core.events import CasePrepared, Note
from segtrain.core.plan import Plan
from segtrain.data.cases import find_cases
from segtrain.data.splits import split_folds
from segtrain.recipes.assemble import make_model
from segtrain.recipes.dataset import prepare_all
from segtrain.recipes.fit import fit
from segtrain.recipes.fitting.set_up import set_up
from segtrain.recipes.fitting.sound import Shared, try_config
from segtrain.recipes.run_folder import RunFolder
from tests.plans import small_plan
from tests.recipes.projects import CASES, close_at, load, result_of, step, write_case, write_study

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    (tmp_path / "run").mkdir()
    return RunFolder(tmp_path / "run")


@pytest.fixture
def loaded(study):
    return load(study)


def job_of(loaded, folder, fold=None, shared=None):
    return result_of(set_up(try_config(loaded, fold, shared), folder, fold, shared, CPU))


def test_a_sweep_decides_plan_folds_cases_and_steps_for_its_fits(loaded, folder, tmp_path):
    cases = tuple(find_cases(loaded.config.data))
    plan = small_plan()
    prepared = result_of(prepare_all(cases, plan, loaded.config.task, tmp_path / "store"))
    shared = Shared(plan, split_folds(cases, 2, seed=11), cases, prepared, steps_per_epoch=7)
    job = job_of(loaded, folder, 1, shared)
    assert (job.plan, job.fold, job.cases) == (plan, shared.splits.folds[1], cases)
    assert Plan.model_validate_json(folder.plan.read_text()) == plan
    assert (job.state.steps_per_epoch, job.state.total_steps) == (7, 14)
    assert not folder.store.exists()


def test_a_fit_of_a_sweep_reads_no_scan(loaded, folder, tmp_path, monkeypatch):
    cases = tuple(find_cases(loaded.config.data))
    prepared = result_of(prepare_all(cases, small_plan(), loaded.config.task, tmp_path / "store"))
    shared = Shared(small_plan(), split_folds(cases, 2, seed=11), cases, prepared)
    for name in ("recipes.fitting.sound.find_cases", "recipes.one_case.read_case", "data.sources.source_hash"):
        monkeypatch.setattr(f"segtrain.{name}", None)
    assert job_of(loaded, folder, 0, shared).stored.keys() == set(CASES)


def test_a_new_job_stands_at_the_first_step_with_the_seeds_network(loaded, folder):
    job = job_of(loaded, folder)
    assert (job.state.step, job.state.steps_per_epoch, job.state.total_steps) == (0, 3, 6)
    wanted = make_model(job.plan, loaded.config.model, job.answer, seed=0).state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in job.state.model.state_dict().items())


def test_the_record_says_what_is_needed_to_repeat_the_run(loaded, folder):
    job = job_of(loaded, folder)
    record = json.loads(folder.record.read_text())
    assert record["plan"] == job.plan.hash
    assert record["seed"] == 0
    assert record["total_steps"] == 6
    assert record["cases"] == {"train": len(job.fold.train), "validation": len(job.fold.validation)}
    assert record["data"].keys() == set(CASES)


def test_a_loss_that_needs_a_caution_is_told_with_it(study, folder):
    loaded = load(study, "loss={name: post/dice}")
    events = list(set_up(try_config(loaded, None), folder, None, None, CPU))
    assert sum(isinstance(event, CasePrepared) for event in events) == 5
    told = [event.text for event in events if isinstance(event, Note) and event.text.startswith("loss post/dice: ")]
    assert len(told) == 1
    assert json.loads(folder.record.read_text())["cautions"] == told


def test_the_loader_makes_the_maps_that_the_loss_needs(study, tmp_path):
    for loss, names in (("dice_ce", []), ("dice_boundary", [["signed_distance_mm"]]), ("blob", [["components"]])):
        folder = RunFolder(tmp_path / loss)
        job = job_of(load(study, f"loss.name={loss}"), folder)
        assert [sorted(stage) for stage in job.loader.batch(0).maps] == names


def test_a_budget_is_turned_into_a_number_of_steps_before_anything_is_trained(study, folder):
    job = job_of(load(study, "training.budget_minutes=0.01"), folder)
    state = job.state
    assert state.steps_per_epoch > 0
    assert state.total_steps == state.steps_per_epoch, "there is no time for a second epoch"
    assert (state.step, state.losses, state.optimiser.state) == (0, [], {})
    untouched = make_model(job.plan, job.loaded.config.model, job.answer, seed=0).state_dict()
    assert all(torch.equal(value, untouched[key]) for key, value in state.model.state_dict().items())


def test_a_larger_budget_buys_more_steps(study, tmp_path):
    steps = []
    for minutes in (0.005, 0.5):
        folder = RunFolder(tmp_path / str(minutes))
        job = job_of(load(study, f"training.budget_minutes={minutes}"), folder)
        steps.append(job.state.steps_per_epoch)
    assert steps[1] > steps[0]


def test_a_budget_below_one_step_still_trains(study, folder):
    job = job_of(load(study, "training.budget_minutes=1e-9"), folder)
    assert job.state.steps_per_epoch == 1


def test_the_steps_that_a_budget_bought_stay_when_the_run_goes_on(study, tmp_path):
    loaded, run = load(study, "training.budget_minutes=0.01"), tmp_path / "run"
    first = close_at(fit(loaded, run), step(1))
    again = close_at(fit(loaded, run, resume=True), step(2))
    assert again.total_steps == first.total_steps


def test_a_run_does_not_go_on_with_another_scan_of_the_same_name(tmp_path):
    write_study(tmp_path)
    loaded, run = load(tmp_path), tmp_path / "run"
    close_at(fit(loaded, run), step(1))
    write_case(tmp_path, "P1_a", seed=99)
    with pytest.raises(DataError, match=r"not the ones this run began with[\s\S]*P1_a"):
        list(fit(loaded, run, resume=True))


def test_how_many_patches_augmentation_changes_is_told_where_they_are_few(study, folder):
    work = set_up(try_config(load(study, "compare=null"), None), folder, None, None, torch.device("cpu"))
    assert any("of the patches" in event.text for event in work if isinstance(event, Note))
