"""Evaluations of several folds as one: what is pooled is what one evaluation of all cases would have been."""

from __future__ import annotations

import json

import numpy as np
import pytest

from segtrain.core.case import ScanSource
from segtrain.core.errors import DataError
from segtrain.core.grid import Grid
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.data.files.nifti import write_nifti
from segtrain.metrics.score_case import score_case
from segtrain.metrics.settings import EvaluationSettings
from segtrain.recipes.evaluate import finish_evaluation
from segtrain.recipes.run_report import ScoredFiles
from segtrain.recipes.scoring.outcome import Outcome
from segtrain.recipes.scoring.pooled import pool_folds

SCORING = EvaluationSettings(metrics=("dice", "iou", "hd95"))
TASK = Task(labels={"background": 0, "organ": 1})
GRID = Grid((4, 4, 4), np.diag([10.0, 10.0, 10.0, 1.0]))
"""A voxel is 1 ml."""


def mask(voxels):
    array = np.zeros(64, np.uint8)
    array[list(voxels)] = 1
    return LabelMap(array.reshape(4, 4, 4), GRID)


CASES = {
    "a": (mask(range(8)), mask(range(8))),
    "b": (mask(()), mask(range(4))),
    "c": (mask(range(6)), mask(range(3, 9))),
    "d": (mask(range(2)), mask(())),
}
"""Case -> prediction and reference: right, missed, half of it, invented."""


def evaluation(folder, cases, failed=()):
    scores, files = [], []
    for case in cases:
        prediction, reference = CASES[case]
        for name, found in (("prediction", prediction), ("reference", reference)):
            write_nifti(folder / name / f"{case}.nii.gz", found)
        scores.append(score_case(case, f"patient {case}", prediction, reference, TASK, SCORING))
        places = [ScanSource(folder / name / f"{case}.nii.gz") for name in ("reference", "prediction")]
        files.append(ScoredFiles(case, (), *places))
    finish_evaluation(folder, TASK, Outcome(tuple(scores), tuple(files), tuple(failed)), {}, SCORING)
    return folder


def test_it_is_what_one_evaluation_of_all_cases_would_be(tmp_path):
    halves = [evaluation(tmp_path / "0", "ab", [("x", "no scan")]), evaluation(tmp_path / "1", "cd")]
    whole = evaluation(tmp_path / "whole", "abcd", [("x", "no scan")])
    found = pool_folds(tmp_path / "pooled", halves)
    assert found["metrics"] == json.loads((whole / "metrics.json").read_text())
    assert found["metrics"]["presence"]["organ"]["false_negative_ml"] == pytest.approx(4)
    for name in ("metrics.json", "cases.csv", "volumes.csv"):
        assert (tmp_path / "pooled" / name).read_bytes() == (whole / name).read_bytes()
    page = (tmp_path / "pooled" / "report.html").read_text(encoding="utf-8")
    assert "no picture" not in page
    assert all(f">{case}<" in page for case in "abcdx")


def test_an_evaluation_that_cannot_be_read_is_named(tmp_path):
    broken = evaluation(tmp_path / "0", "ab")
    (broken / "metrics.json").write_text("{")
    with pytest.raises(DataError, match=r"0.metrics\.json"):
        pool_folds(tmp_path / "pooled", [broken])
