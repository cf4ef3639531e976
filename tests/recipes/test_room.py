"""Room is asked for before anything is prepared, trained or predicted, with the numbers that will then be written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segtrain.config.load import load_config
from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import OutOfMemory, ResourceError
from segtrain.data import sources
from segtrain.data.cases import find_cases
from segtrain.recipes import room
from segtrain.recipes.assemble import answer_for, make_model
from segtrain.recipes.fit import fit
from segtrain.recipes.fitting.decide import read_plan
from segtrain.recipes.room import (
    VOXELS_A_MASK_BYTE,
    Need,
    cases_need,
    checkpoint_bytes,
    masks_need,
    require_memory,
    require_room,
    step_bytes,
)
from segtrain.training.settings import TrainingSettings
from tests.plans import small_plan
from tests.recipes.projects import SHAPE


def size_below(folder: Path, pattern: str) -> int:
    return sum(file.stat().st_size for file in folder.rglob(pattern))


def test_what_fits_is_no_fault(tmp_path):
    require_room([Need("masks", tmp_path / "not" / "there" / "yet", 1)])
    require_room([])


def test_all_that_lies_on_one_disk_is_added_and_said_in_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "free_disk_bytes", lambda place: 3 * 2**20)
    needs = [Need("prepared cases", tmp_path / "a", 2 * 2**20), Need("3 checkpoints", tmp_path / "b", 2 * 2**20)]
    require_room(needs[:1])
    with pytest.raises(ResourceError, match=r"4\.0 MiB will be written, 3\.0 MiB are free") as caught:
        require_room(needs)
    (problem,) = caught.value.problems
    assert problem.why == "prepared cases: 2.0 MiB, 3 checkpoints: 2.0 MiB"
    assert problem.where == str(tmp_path / "a")


def test_every_disk_that_is_too_small_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_disk_of", lambda place: hash(place.name))
    monkeypatch.setattr(room, "free_disk_bytes", lambda place: 10)
    with pytest.raises(ResourceError) as caught:
        require_room(
            [Need("masks", tmp_path / "a", 11), Need("masks", tmp_path / "b", 10), Need("x", tmp_path / "c", 99)]
        )
    assert [problem.where for problem in caught.value.problems] == [str(tmp_path / "a"), str(tmp_path / "c")]


def test_a_disk_that_does_not_tell_is_taken_to_be_large_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "free_disk_bytes", lambda place: None)
    require_room([Need("masks", tmp_path, 2**60)])


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_a_checkpoint_is_as_large_as_was_said(study, tmp_path, optimiser, ema_decay):
    changes = [f"training.optimiser={optimiser}", f"training.ema_decay={'null' if ema_decay is None else ema_decay}"]
    loaded = load_config(study / "config.yaml", ["training.epochs=1", "training.steps_per_epoch=1", *changes])
    for _ in fit(loaded, tmp_path / "run"):
        pass
    plan, config = read_plan(tmp_path / "run" / "plan.json"), loaded.config
    model = make_model(plan, config.model, answer_for(config.task, config.loss.name, loaded.folder), 0)
    written = size_below(tmp_path / "run" / "checkpoints" / "last", "*.safetensors")
    assert checkpoint_bytes(model, config.training) == pytest.approx(written, rel=0.3)  # names take some of so little


def test_prepared_cases_are_as_large_as_was_said_and_nothing_once_they_are_there(study, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "SETTLED_SECONDS", -1.0)  # scans are remembered at once
    loaded = load_config(study / "config.yaml", ["training.epochs=1", "training.steps_per_epoch=1"])
    run = tmp_path / "run"
    for _ in fit(loaded, run):
        pass
    plan, cases, store = read_plan(run / "plan.json"), find_cases(loaded.config.data), run / "prepared"
    assert cases_need(loaded, cases, plan, store).size_bytes == 0
    written = list(store.glob("*.safetensors"))
    size = sum(file.stat().st_size for file in written)
    for file in written:
        file.unlink()
    assert cases_need(loaded, cases, plan, store).size_bytes == pytest.approx(size, rel=0.5)  # centres are as many


def test_masks_are_known_by_the_headers_of_their_scans_and_others_are_taken_to_be_alike(study, tmp_path):
    files = sorted((study / "images").iterdir())
    cases = [Case(file.name, "", (ScanSource(file),)) for file in files[:2]]
    voxels = SHAPE[0] * SHAPE[1] * SHAPE[2]
    assert masks_need(cases, tmp_path).size_bytes == 2 * (voxels // VOXELS_A_MASK_BYTE)
    assert masks_need(cases, tmp_path, 3).size_bytes == 2 * (voxels // VOXELS_A_MASK_BYTE + 2 * 3 * voxels)
    unknown = Case("series", "", (ScanSource(tmp_path),))
    assert masks_need([*cases, unknown], tmp_path).size_bytes == 3 * (voxels // VOXELS_A_MASK_BYTE)
    assert masks_need([unknown], tmp_path, 3).size_bytes == 0


def test_a_step_keeps_the_result_of_each_convolution():
    plan = small_plan(patch=(8, 8, 8), batch=2)
    fine, coarse = 8 * 8 * 8 * 4 * (1 + 1), 4 * 4 * 4 * 8
    assert step_bytes(plan) == 4 * (fine + coarse)


def test_a_step_that_the_machine_cannot_hold_is_refused_with_the_numbers(monkeypatch):
    plan = small_plan(patch=(8, 8, 8), batch=2)
    needed = step_bytes(plan) * 2
    monkeypatch.setattr(room, "available_ram_bytes", lambda: needed)
    require_memory(plan, TrainingSettings(), torch.device("cpu"))
    monkeypatch.setattr(room, "available_ram_bytes", lambda: needed - 1)
    with pytest.raises(OutOfMemory, match="at least") as caught:
        require_memory(plan, TrainingSettings(), torch.device("cpu"))
    assert caught.value.problems[0].why == "patch 8x8x8, batch 2"
    require_memory(plan, TrainingSettings(accumulation=2), torch.device("cpu"))
    require_memory(plan, TrainingSettings(), torch.device("cuda"))


def test_a_fit_without_room_prepares_and_trains_nothing(study, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "free_disk_bytes", lambda place: 10_000)
    run = tmp_path / "run"
    with pytest.raises(ResourceError, match="too little room"):
        for _ in fit(load_config(study / "config.yaml"), run):
            pass
    assert not (run / "checkpoints").exists()
    assert list((run / "prepared").glob("*.safetensors")) == []
