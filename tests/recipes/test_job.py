"""What a fit works with: decided once, written down, and read back when it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from segtrain.core.errors import ConfigError, DataError
from segtrain.core.events import CasePrepared, Note
from segtrain.core.plan import Plan
from segtrain.data.cases import find_cases
from segtrain.data.splits import Splits, split_folds
from segtrain.recipes.assemble import make_model
from segtrain.recipes.fit import fit
from segtrain.recipes.job import Shared, decide_fold, decide_plan, set_up
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


def cases_of(loaded):
    return find_cases(loaded.config.data)


def test_the_plan_follows_from_data_and_wishes_and_is_written_down(loaded, folder):
    plan = result_of(decide_plan(loaded, folder, cases_of(loaded), CPU))
    assert (plan.widths, plan.patch_size, plan.batch_size, plan.channels) == ((4, 8), (16, 8, 8), 1, ("T1",))
    assert Plan.model_validate_json(folder.plan.read_text()) == plan


def test_a_plan_that_was_edited_by_hand_is_the_plan(loaded, folder):
    edited = small_plan(widths=(6, 12))
    folder.plan.write_text(edited.model_dump_json())
    assert result_of(decide_plan(loaded, folder, [], CPU)) == edited


def test_the_plan_of_a_sweep_is_taken_without_reading_a_scan(loaded, folder):
    given = small_plan()
    work = decide_plan(loaded, folder, [], CPU, given)
    assert list(work) == []
    assert Plan.model_validate_json(folder.plan.read_text()) == given


def test_without_a_fold_a_share_of_the_patients_is_held_out(loaded, folder):
    fold = decide_fold(loaded, folder, cases_of(loaded), None, None)
    patients = [{case.partition("_")[0] for case in side} for side in (fold.train, fold.validation)]
    assert patients[0].isdisjoint(patients[1])
    assert sorted((*fold.train, *fold.validation)) == list(CASES)


def test_the_split_is_read_back_and_not_drawn_again(loaded, folder, study):
    first = decide_fold(loaded, folder, cases_of(loaded), 1, None)
    other = load(study, "training.seed=7")
    assert decide_fold(other, folder, cases_of(other), 1, None) == first
    assert Splits.read(folder.splits).folds == (first,)


def test_every_case_is_held_out_in_one_fold(loaded, tmp_path):
    held = []
    for number in range(2):
        run = RunFolder(tmp_path / str(number))
        held += decide_fold(loaded, run, cases_of(loaded), number, None).validation
    assert sorted(held) == list(CASES)


def test_a_split_about_other_cases_is_refused(loaded, folder):
    decide_fold(loaded, folder, cases_of(loaded)[:4], None, None)
    with pytest.raises(DataError, match=r"not in the split[\s\S]*P3_a"):
        decide_fold(loaded, folder, cases_of(loaded), None, None)


def test_a_fold_that_is_not_there_is_refused(loaded, folder):
    with pytest.raises(ConfigError, match="there is no fold 2 of 2"):
        decide_fold(loaded, folder, cases_of(loaded), 2, None)


def test_a_sweep_decides_folds_and_store_for_its_fits(loaded, folder, tmp_path):
    splits = split_folds(cases_of(loaded), 2, seed=11)
    shared = Shared(small_plan(), splits, tmp_path / "store")
    job = result_of(set_up(loaded, folder, 1, shared, CPU))
    assert (job.plan, job.fold) == (shared.plan, splits.folds[1])
    assert not folder.store.exists()
    assert sorted(p.name.rpartition("-")[0] for p in shared.store.iterdir()) == list(CASES)


def test_a_new_job_stands_at_the_first_step_with_the_seeds_network(loaded, folder):
    job = result_of(set_up(loaded, folder, None, None, CPU))
    assert (job.state.step, job.state.steps_per_epoch, job.state.total_steps) == (0, 3, 6)
    wanted = make_model(job.plan, loaded.config.model, job.answer, seed=0).state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in job.state.model.state_dict().items())


def test_the_record_says_what_is_needed_to_repeat_the_run(loaded, folder):
    job = result_of(set_up(loaded, folder, None, None, CPU))
    record = json.loads(folder.record.read_text())
    assert record["plan"] == job.plan.hash
    assert record["seed"] == 0
    assert record["total_steps"] == 6
    assert record["cases"] == {"train": len(job.fold.train), "validation": len(job.fold.validation)}
    assert record["data"].keys() == set(CASES)


def test_a_loss_that_needs_a_caution_is_told_with_it(study, folder):
    loaded = load(study, "loss={name: post/dice}")
    events = list(set_up(loaded, folder, None, None, CPU))
    assert [type(e) for e in events[-5:]] == [CasePrepared] * 5
    assert [e.text for e in events if isinstance(e, Note)] != []


def test_a_budget_is_turned_into_a_number_of_steps_before_anything_is_trained(study, folder):
    job = result_of(set_up(load(study, "training.budget_minutes=0.01"), folder, None, None, CPU))
    state = job.state
    assert state.steps_per_epoch > 0
    assert state.total_steps == 2 * state.steps_per_epoch
    assert (state.step, state.losses, state.optimiser.state) == (0, [], {})
    untouched = make_model(job.plan, job.loaded.config.model, job.answer, seed=0).state_dict()
    assert all(torch.equal(value, untouched[key]) for key, value in state.model.state_dict().items())


def test_a_larger_budget_buys_more_steps(study, tmp_path):
    steps = []
    for minutes in (0.005, 0.5):
        folder = RunFolder(tmp_path / str(minutes))
        job = result_of(set_up(load(study, f"training.budget_minutes={minutes}"), folder, None, None, CPU))
        steps.append(job.state.steps_per_epoch)
    assert steps[1] > steps[0]


def test_a_budget_below_one_step_still_trains(study, folder):
    job = result_of(set_up(load(study, "training.budget_minutes=1e-9"), folder, None, None, CPU))
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


def test_a_job_knows_where_its_cases_lie(loaded, folder):
    job = result_of(set_up(loaded, folder, None, None, CPU))
    assert [case.id for case in job.cases] == list(CASES)
    assert job.stored.keys() == set(CASES)
    assert job.predictor.model is job.state.model
    assert isinstance(job.folder.path, Path)
