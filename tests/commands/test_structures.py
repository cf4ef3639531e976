"""Overlapping regions, and cases whose masks have not all labels, from the config to the scores of new scans."""

from __future__ import annotations

import csv
from pathlib import Path

import nibabel as nib
import numpy as np

from segtrain.core.volume import LabelMap
from segtrain.data.files.nifti import write_nifti
from tests import phantoms
from tests.commands.projects import CONFIG, GRIDS, answer, done, refused, study

LABELS = "task: {labels: {background: 0, rim: 1, core: 2}"
REGIONS = LABELS + ", regions: {whole: [rim, core], core: [core]}}"
PARTIAL = LABELS + ", partial: {P3: [rim], P0: [rim]}}"
TASK = "task: {labels: {background: 0, organ: 1}}"
SHORT = ("training.epochs=1", "training.steps_per_epoch=2", "data.workers=0")


def with_core(root: Path, *cases: str) -> None:
    """Give the masks of these cases a second label in the middle of the organ."""
    for case in cases:
        grid = GRIDS[int(case[1:]) % len(GRIDS)]
        _, organ = phantoms.scan(grid, seed=int(case[1:]))
        core = phantoms.ellipsoid(grid, radius=(0.12, 0.12, 0.12))
        write_nifti(root / "labels" / f"{case}.nii.gz", LabelMap(np.where(core, 2, organ.array).astype(np.uint8), grid))


def scores(file: Path) -> dict[tuple[str, str], str]:
    """(case, label) -> status."""
    with file.open(encoding="utf-8", newline="") as text:
        return {(row["case"], row["label"]): row["status"] for row in csv.DictReader(text)}


def test_regions_are_trained_drawn_and_scored(tmp_path: Path) -> None:
    config, run, out = study(tmp_path, config=CONFIG.replace(TASK, REGIONS)), tmp_path / "run", tmp_path / "out"
    with_core(tmp_path, "P0", "P1", "P2", "P3")
    fitted = answer("fit", "--config", config, *SHORT, "--run", run)
    assert list(fitted["metrics"]["labels"]) == ["whole", "core"]
    images, labels = tmp_path / "images", tmp_path / "labels"
    judged = answer("eval", "--run", run, "--images", images, "--labels", labels, "--out", out)
    assert list(judged["metrics"]["labels"]) == ["whole", "core"]
    for mask in (out / "predictions").iterdir():
        assert set(np.unique(nib.load(mask).dataobj)) <= {0, 1, 2}


def test_labels_that_were_not_drawn_are_neither_trained_nor_scored(tmp_path: Path) -> None:
    config, run, out = study(tmp_path, config=CONFIG.replace(TASK, PARTIAL)), tmp_path / "run", tmp_path / "out"
    with_core(tmp_path, "P1", "P2")
    done("fit", "--config", config, *SHORT, "--run", run)
    images, labels = tmp_path / "images", tmp_path / "labels"
    judged = answer("eval", "--run", run, "--images", images, "--labels", labels, "--out", out)
    found = scores(out / "cases.csv")
    assert {case for (case, label), status in found.items() if status == "not_drawn"} == {"P0", "P3"}
    core = judged["metrics"]["labels"]["core"]["dice"]
    assert core["n"] + core["n_undefined"] == 4
    assert core["n_undefined"] >= 2
    assert "not drawn" in (out / "report.html").read_text(encoding="utf-8")


def test_a_label_that_should_not_be_there_is_a_fault_of_its_case(tmp_path: Path) -> None:
    config = study(tmp_path, config=CONFIG.replace(TASK, PARTIAL))
    with_core(tmp_path, "P0", "P1", "P2")
    (problem,) = refused("fit", "--config", config, *SHORT, "--run", tmp_path / "run", code=3)
    assert "P0" in problem["where"]
    assert "task.partial calls not drawn" in problem["what"]
    assert "core (" in problem["why"]
