"""Wrong data, settings and places: the exit code of the contract, what to mend where, and nothing left behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests import phantoms
from tests.commands.conftest import Trained
from tests.commands.projects import (
    CONFIG,
    GRIDS,
    SHAPE,
    answer,
    assert_untouched,
    done,
    refused,
    study,
    truncate,
    words_of,
    write_case,
    write_image,
    write_mask,
)
from tests.faults.table import fault


def with_nan(root: Path) -> None:
    write_image(root / "images" / "P1.nii.gz", np.full(GRIDS[1].shape, np.nan), GRIDS[1])


DATA: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "no folder of images": (lambda root: shutil.rmtree(root / "images"), ["there is no such folder", "images"]),
    "an empty folder of labels": (
        lambda root: [file.unlink() for file in (root / "labels").iterdir()],
        ["the folder holds no scan", "labels"],
    ),
    "an image without a label": (
        lambda root: (root / "labels" / "P1.nii.gz").unlink(),
        ["image P1 has no label", "images/P1.nii.gz"],
    ),
    "a label without an image": (
        lambda root: (root / "images" / "P2.nii.gz").unlink(),
        ["label P2 has no image", "labels/P2.nii.gz"],
    ),
    "half an image": (
        lambda root: truncate(root / "images" / "P1.nii.gz", lambda n: n // 2),
        ["P1", "images/P1.nii.gz", "ends in the middle"],
    ),
    "a mask without its last 20 bytes": (
        lambda root: truncate(root / "labels" / "P1.nii.gz", lambda n: n - 20),
        ["P1", "labels/P1.nii.gz", "ends in the middle"],
    ),
    "a web page": (
        lambda root: (root / "images" / "P1.nii.gz").write_text("<!DOCTYPE html><html>403 Forbidden</html>"),
        ["P1", "images/P1.nii.gz", "HTML"],
    ),
    "an empty file": (lambda root: (root / "images" / "P1.nii.gz").write_bytes(b""), ["P1", "images/P1.nii.gz"]),
    "voxels that are no numbers": (with_nan, ["P1", "3072 of 3072 voxels are NaN"]),
    "an id that the task does not know": (
        lambda root: write_mask(root / "labels" / "P1.nii.gz", np.full(SHAPE, 7), phantoms.grid(SHAPE, degrees=20)),
        ["P1", "labels/P1.nii.gz", "7 (3072 voxels)", "task.labels"],
    ),
    "a mask of another shape": (
        lambda root: write_mask(root / "labels" / "P1.nii.gz", np.ones((16, 16, 8)), phantoms.grid((16, 16, 8))),
        ["P1", "16x16x8", "16x16x12"],
    ),
    "a mask that is turned": (
        lambda root: write_mask(root / "labels" / "P1.nii.gz", np.ones(SHAPE), phantoms.grid(SHAPE, flips=(-1, 1, 1))),
        ["P1", "voxels"],
    ),
}


@pytest.mark.parametrize("fault", DATA)
@fault(
    "F1",
    "half an image, a mask without its end, HTML, nothing, NaN, other shapes and ids",
    then="3, the case, the file and the remedy; nothing is begun",
)
def test_data_that_cannot_be_used(tmp_path: Path, fault: str) -> None:
    config = study(tmp_path)
    spoil, words = DATA[fault]
    spoil(tmp_path)
    problems = refused("fit", "--config", config, "--run", tmp_path / "run", code=3)
    assert len(problems) == 1
    text = words_of(problems)
    assert [word for word in words if word not in text] == []
    assert problems[0]["where"]
    assert_untouched(tmp_path / "run")
    assert answer("check", "--config", config, code=1)["problems"] == problems


def test_all_faults_of_the_data_are_named_at_once_and_the_mended_data_train(tmp_path: Path) -> None:
    config = study(tmp_path)
    for name in ("images/P0", "labels/P2"):
        truncate(tmp_path / f"{name}.nii.gz", lambda n: n // 2)
    problems = refused("fit", "--config", config, "--run", tmp_path / "run", code=3)
    assert [("P0" in problem["where"], "P2" in problem["where"]) for problem in problems] == [(1, 0), (0, 1)]
    for number in (0, 2):
        write_case(tmp_path, f"P{number}", phantoms.grid(SHAPE), seed=number)
    done("fit", "--config", config, "--run", tmp_path / "run")
    truncate(tmp_path / "images" / "P1.nii.gz", lambda n: n // 2)
    refused("compare-losses", "--config", config, "--run", tmp_path / "sweep", code=3)
    assert_untouched(tmp_path / "sweep")


SETTINGS: dict[str, tuple[str, list[str]]] = {
    "an unknown key": ("training.epoch=3", ["training.epoch", "did you mean 'epochs'"]),
    "a number that is none": ("training.epochs=many", ["training.epochs", "many"]),
    "a number out of range": ("training.validation_share=1.5", ["training.validation_share", "1.5"]),
    "an unknown loss": ("loss.name=tversk", ["tversk", "did you mean 'tversky'"]),
    "an unknown option of a loss": ("loss={name: tversky, fn_wight: 0.7}", ["fn_wight", "did you mean 'fn_weight'"]),
    "an option out of range": ("loss={name: tversky, fn_weight: -1}", ["fn_weight", "-1"]),
    "a file of a loss that is not there": ("loss.name=nowhere.py:Loss", ["nowhere.py", "there is no file"]),
    "a patch that strides do not divide": ("model.patch_size=[8, 9, 8]", ["patch_size 9 on axis 1", "multiple of 2"]),
    "a regular expression that is none": ("data.patient_from='(P'", ["data.patient_from"]),
    "more folds than patients": ("training.folds=9", ["9"]),
}


@pytest.mark.parametrize("fault", SETTINGS)
def test_a_wrong_setting(trained: Trained, tmp_path: Path, fault: str) -> None:
    override, words = SETTINGS[fault]
    fold, code = (["--fold", "0"], 3) if "folds" in fault else ([], 2)
    run = tmp_path / "run"
    problems = refused("fit", "--config", trained.config, override, "--run", run, *fold, code=code)
    text = words_of(problems)
    assert [word for word in words if word not in text] == []
    assert_untouched(run)


def test_faults_of_a_config_are_all_named_with_their_lines(tmp_path: Path) -> None:
    config = study(tmp_path, config=CONFIG.replace("epochs: 2", "epoks: 2").replace("widths", "width"))
    problems = refused("fit", "--config", config, "--run", tmp_path / "run", code=2)
    assert sorted(problem["where"] for problem in problems) == ["config.yaml, line 3", "config.yaml, line 4"]
    assert not (tmp_path / "run").exists()


def test_a_config_that_is_not_there_is_answered_with_the_nearest(trained: Trained, tmp_path: Path) -> None:
    wrong = trained.root / "confg.yaml"
    problem = refused("fit", "--config", wrong, "--run", tmp_path / "run", code=2)[0]
    assert "there is no config" in problem["what"]
    assert str(trained.config) in problem["fix"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
@fault("F26", "`--device cuda` without a GPU", then="4, `--device auto`")
def test_a_device_that_is_not_there(trained: Trained, tmp_path: Path) -> None:
    run = tmp_path / "run"
    problem = refused("fit", "--config", trained.config, "--run", run, "--device", "cuda", code=4)[0]
    assert "cuda" in problem["what"]
    assert "--device auto" in problem["fix"]
    assert_untouched(run)
    places = ("--run", trained.run, "--images", trained.root / "images", "--out", tmp_path / "out")
    refused("predict", *places, "--device", "cuda", code=4)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["fit", "compare-losses", "eval", "predict", "demo"])
@fault("F11", "a place that cannot be written to", then="4, the path; what was there stays")
def test_a_folder_that_cannot_be_written(trained: Trained, tmp_path: Path, command: str) -> None:
    (tmp_path / "file").write_text("mine")
    place = tmp_path / "file" / "out"
    images = ("--run", trained.run, "--images", trained.root / "images", "--out", place)
    config = ("--config", trained.config, "--run", place)
    arguments = {"eval": images, "predict": images, "demo": (place,)}.get(command, config)
    problem = refused(command, *arguments, code=4)[0]
    assert str(tmp_path / "file") in words_of([problem])
    assert (tmp_path / "file").read_text() == "mine"
