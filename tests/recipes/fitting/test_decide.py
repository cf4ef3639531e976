"""The split is decided first, then the plan from the training cases alone; each is written down and read back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segtrain.core.case import ScanSource
from segtrain.core.errors import ConfigError, DataError
from segtrain.core.plan import Plan
from segtrain.core.volume import Volume
from segtrain.data.cases import find_cases
from segtrain.data.files.nifti import write_nifti_image
from segtrain.data.read import read_volume
from segtrain.data.splits import Splits, split_folds
from segtrain.recipes.fitting.decide import (
    decide_plans,
    draw_split,
    keep_splits,
    prepare_cases,
    require_same_data,
    store_of,
)
from segtrain.recipes.run_folder import RunFolder, write_record
from tests.plans import small_plan
from tests.recipes.projects import CASES, load, result_of, write_study

CPU = torch.device("cpu")


@pytest.fixture
def loaded(study):
    return load(study)


def cases_of(loaded):
    return find_cases(loaded.config.data)


def plan_of(loaded, path, fold=None):
    cases = cases_of(loaded)
    (plan,) = result_of(decide_plans(loaded, {path: draw_split(loaded, cases, fold).folds[0]}, cases, CPU))
    return plan


def test_the_plan_follows_from_data_and_wishes_and_is_written_down(loaded, tmp_path):
    plan = plan_of(loaded, tmp_path / "plan.json")
    assert (plan.widths, plan.patch_size, plan.batch_size, plan.channels) == ((4, 8), (16, 8, 8), 1, ("T1",))
    assert Plan.model_validate_json((tmp_path / "plan.json").read_text()) == plan


def test_a_plan_that_was_edited_by_hand_is_the_plan_and_no_scan_is_read(loaded, tmp_path):
    edited = small_plan(widths=(6, 12))
    (tmp_path / "plan.json").write_text(edited.model_dump_json())
    work = decide_plans(loaded, {tmp_path / "plan.json": draw_split(loaded, cases_of(loaded), None).folds[0]}, [], CPU)
    assert result_of(work) == [edited]


def test_an_image_that_trains_and_judges_is_refused_before_there_is_a_plan(tmp_path):
    write_study(tmp_path)
    loaded = load(tmp_path)
    fold = draw_split(loaded, cases_of(loaded), None).folds[0]
    one, other = fold.train[0], fold.validation[0]
    image = read_volume([ScanSource(tmp_path / "images" / f"{one}.nii.gz")])
    (tmp_path / "images" / f"{other}.nii.gz").unlink()
    write_nifti_image(tmp_path / "images" / f"{other}.nii", Volume(image.array.astype(np.float64), image.grid))
    with pytest.raises(DataError, match="the same image trains and judges") as error:
        plan_of(loaded, tmp_path / "plan.json")
    assert set(error.value.problems[0].where.split()[1::2]) == {one, other}
    assert not (tmp_path / "plan.json").exists()


@pytest.mark.parametrize("text", ["[]", "{}", "{", '{"dims": 3}'])
def test_a_file_that_is_no_plan_is_named(loaded, tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(DataError, match=r"plan\.json"):
        plan_of(loaded, tmp_path / "plan.json")


@pytest.fixture
def ct(tmp_path):
    """A study of its own whose intensities are scaled by the training set."""
    write_study(tmp_path)
    return load(tmp_path, "data.modality=ct")


def brighten(loaded, case):
    (source,) = next(c.images for c in cases_of(loaded) if c.id == case)
    volume = read_volume([ScanSource(source.path)])
    write_nifti_image(source.path, Volume(volume.array * 9 + 1000, volume.grid))


def test_a_case_that_judges_has_no_say_in_the_plan(ct, tmp_path):
    fold = draw_split(ct, cases_of(ct), 1).folds[0]
    before = plan_of(ct, tmp_path / "before.json", 1)
    assert before.intensity[0].rule == "ct"
    for case in fold.validation:
        brighten(ct, case)
    assert plan_of(ct, tmp_path / "after.json", 1) == before
    brighten(ct, fold.train[0])
    assert plan_of(ct, tmp_path / "other.json", 1) != before


def test_a_case_that_judges_is_checked_for_faults_all_the_same(ct, tmp_path):
    judge = draw_split(ct, cases_of(ct), 1).folds[0].validation[0]
    (tmp_path / "images" / f"{judge}.nii.gz").write_bytes(b"no scan")
    with pytest.raises(DataError, match=judge):
        plan_of(ct, tmp_path / "plan.json", 1)


def test_each_fold_has_its_own_plan_and_scans_are_read_once_for_all(ct, tmp_path, monkeypatch):
    cases = cases_of(ct)
    folds = split_folds(cases, 2, 0).folds
    alone = [plan_of(load(tmp_path, "data.modality=ct"), tmp_path / f"alone_{k}.json", k) for k in (0, 1)]
    read = []

    def reading(case, *more):
        read.append(case.id)
        return whole(case, *more)

    from segtrain.recipes import one_case

    whole = one_case.read_case
    monkeypatch.setattr(one_case, "read_case", reading)
    paths = {tmp_path / "plans" / f"{k}.json": fold for k, fold in enumerate(folds)}
    assert result_of(decide_plans(ct, paths, cases, CPU)) == alone
    assert alone[0].intensity != alone[1].intensity
    assert read == list(CASES)


def test_without_a_fold_a_share_of_the_cases_is_held_out_by_whole_patients(loaded):
    fold = draw_split(loaded, cases_of(loaded), None).folds[0]
    patients = [{case.partition("_")[0] for case in side} for side in (fold.train, fold.validation)]
    assert patients[0].isdisjoint(patients[1])
    assert sorted((*fold.train, *fold.validation)) == list(CASES)


def test_every_case_is_held_out_in_one_fold(loaded):
    held = [c for k in (0, 1) for c in draw_split(loaded, cases_of(loaded), k).folds[0].validation]
    assert sorted(held) == list(CASES)


def test_a_sweep_gives_its_own_folds(loaded):
    every = split_folds(cases_of(loaded), 2, seed=11)
    assert draw_split(loaded, cases_of(loaded), 1, every) == Splits((every.folds[1],), 11)


def test_a_fold_that_is_not_there_is_refused(loaded):
    with pytest.raises(ConfigError, match="there is no fold 2 of 2"):
        draw_split(loaded, cases_of(loaded), 2)


def test_the_split_is_read_back_and_not_drawn_again(loaded, tmp_path, study):
    cases = cases_of(loaded)
    first = keep_splits(tmp_path / "splits.json", cases, draw_split(loaded, cases, 1))
    other = draw_split(load(study, "training.seed=7"), cases, 1)
    assert other != first
    assert keep_splits(tmp_path / "splits.json", cases, other) == first == Splits.read(tmp_path / "splits.json")


def test_a_split_about_other_cases_is_refused(loaded, tmp_path):
    cases = cases_of(loaded)
    drawn = draw_split(loaded, cases[:4], None)
    keep_splits(tmp_path / "splits.json", cases[:4], drawn)
    with pytest.raises(DataError, match=r"not in the split[\s\S]*P3_a"):
        keep_splits(tmp_path / "splits.json", cases, drawn)


def test_a_split_into_another_number_of_folds_is_refused(loaded, tmp_path):
    cases = cases_of(loaded)
    keep_splits(tmp_path / "splits.json", cases, split_folds(cases, 2, 0))
    with pytest.raises(DataError, match="it has 2 folds, not 3"):
        keep_splits(tmp_path / "splits.json", cases, split_folds(cases, 3, 0))


def test_other_scans_are_named(tmp_path):
    folder = RunFolder(tmp_path)
    write_record(folder, {"data": {"a": "1", "b": "2"}})
    require_same_data(folder.record, {"a": "1", "b": "2"})
    with pytest.raises(DataError, match=r"not the ones this run began with[\s\S]*cases b"):
        require_same_data(folder.record, {"a": "1", "b": "3"})


def test_cases_are_kept_with_the_run_or_where_the_config_says(loaded, tmp_path):
    assert store_of(loaded, RunFolder(tmp_path / "run")) == tmp_path / "run" / "prepared"
    elsewhere = load(loaded.folder, f"data.store={tmp_path / 'shared'}")
    assert store_of(elsewhere, RunFolder(tmp_path / "run")) == tmp_path / "shared"


def test_a_second_run_reads_no_scan_that_the_store_knows(loaded, tmp_path, monkeypatch):
    cases, store = cases_of(loaded), tmp_path / "store"
    folds = {tmp_path / f"{n}.json": draw_split(loaded, cases, None).folds[0] for n in (1, 2)}

    def decided(path):
        (plan,) = result_of(decide_plans(loaded, {path: folds[path]}, cases, CPU, store))
        return plan, result_of(prepare_cases(loaded, cases, plan, store))

    first, second = folds
    done = decided(first)
    monkeypatch.setattr("segtrain.recipes.one_case.read_case", None)
    assert decided(second) == done
