"""Scans or masks in, scores, volumes and a report out; a case that cannot be used costs the others nothing."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import CheckpointError, ConfigError, DataError
from segtrain.core.events import CaseFailed, CaseScored, Note
from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap
from segtrain.data.nifti import read_nifti, write_nifti, write_nifti_image
from segtrain.data.read import read_labels
from segtrain.inference.predict import Ensemble
from segtrain.recipes.evaluate import evaluate_masks, evaluate_run, predict_cases
from segtrain.recipes.report import rebuild
from segtrain.recipes.trained import load_predictor
from tests.phantoms import grid, scan
from tests.recipes.projects import CANARY, OWN_METRIC, SHAPE, finished, result_of, write_study

ML = Grid((4, 3, 2), np.diag([10.0, 10.0, 10.0, 1.0]))
"""Voxels of 1 ml."""


def write_mask(path, *ids, on=ML):
    """A mask whose first voxels hold `ids`."""
    array = np.zeros(on.shape, np.int16)
    array.flat[: len(ids)] = ids
    write_nifti(path, LabelMap(array, on))


@pytest.fixture
def masks(tmp_path):
    """Two references and their predictions, with labels 1 and 7."""
    found, wanted = tmp_path / "found", tmp_path / "wanted"
    write_mask(wanted / "a.nii.gz", 1, 1, 1, 7)
    write_mask(found / "a.nii.gz", 1, 1, 0, 7)
    write_mask(wanted / "b.nii.gz", 1, 1)
    write_mask(found / "b.nii.gz", 1, 1)
    return found, wanted


def score(masks, out, names=None, metrics=("dice", "iou")):
    return evaluate_masks(*masks, out, label_names=names, metrics=metrics)


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_task_is_made_of_the_ids_in_the_masks(masks, tmp_path):
    metrics = finished(score(masks, tmp_path / "out")).result["metrics"]
    assert list(metrics["labels"]) == ["label_1", "label_7"]
    assert metrics["labels"]["label_1"]["dice"]["mean"] == pytest.approx((0.8 + 1.0) / 2)
    assert metrics["labels"]["label_7"]["dice"]["n_undefined"] == 1


@pytest.mark.parametrize(
    "names", [{"liver": 1, "cyst": 7}, {"background": 0, "liver": 1, "cyst": 7}, {"air": 0, "liver": 1, "cyst": 7}]
)
def test_labels_may_be_named_with_or_without_the_background(masks, tmp_path, names):
    result = finished(score(masks, tmp_path / "out", names)).result
    assert list(result["metrics"]["labels"]) == ["liver", "cyst"]


@pytest.mark.parametrize("names", [{"liver": 1, "cyst": 1}, {"background": 0}])
def test_labels_that_are_no_task_are_refused(masks, tmp_path, names):
    with pytest.raises(ConfigError, match="labels"):
        list(score(masks, tmp_path / "out", names))


def test_a_label_that_nobody_named_fails_its_case_alone(masks, tmp_path):
    events = list(score(masks, tmp_path / "out", {"liver": 1}))
    assert [(type(e), e.case) for e in events[:2]] == [(CaseFailed, "a"), (CaseScored, "b")]
    assert events[-1].failed == ("a",)
    assert events[-1].result["metrics"]["failed"] == ["a"]


def test_a_damaged_mask_fails_its_case_alone(masks, tmp_path):
    (masks[0] / "a.nii.gz").write_bytes(b"no mask")
    end = finished(score(masks, tmp_path / "out"))
    assert end.failed == ("a",)
    assert end.result["metrics"]["cases"] == 1


def test_a_mask_on_another_grid_fails_its_case_alone(masks, tmp_path):
    write_mask(masks[0] / "b.nii.gz", 1, on=Grid((2, 2, 2), ML.affine))
    assert finished(score(masks, tmp_path / "out")).failed == ("b",)


def test_a_mask_a_little_off_is_scored_and_noted(masks, tmp_path):
    shifted = np.array(ML.affine)
    shifted[0, 3] = 2.0
    write_mask(masks[0] / "b.nii.gz", 1, 1, on=Grid(ML.shape, shifted))
    events = list(score(masks, tmp_path / "out"))
    assert "b: the prediction lies" in next(e.text for e in events if isinstance(e, Note))
    assert events[-1].failed == ()


def test_a_missing_mask_on_either_side_is_named_before_anything_is_scored(masks, tmp_path):
    shutil.copy(masks[1] / "a.nii.gz", masks[1] / "c.nii.gz")
    shutil.copy(masks[0] / "a.nii.gz", masks[0] / "d.nii.gz")
    with pytest.raises(DataError) as error:
        list(score(masks, tmp_path / "out"))
    assert [p.what for p in error.value.problems] == ["c has no prediction", "d has no reference"]
    assert not (tmp_path / "out").exists()


def test_masks_without_any_label_are_refused(tmp_path):
    write_mask(tmp_path / "found" / "a.nii.gz")
    write_mask(tmp_path / "wanted" / "a.nii.gz")
    with pytest.raises(DataError, match="no mask holds a label"):
        list(score((tmp_path / "found", tmp_path / "wanted"), tmp_path / "out"))


def test_an_unknown_metric_is_refused(masks, tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'dice'"):
        list(score(masks, tmp_path / "out", metrics=("dicee",)))


def test_volumes_are_those_of_the_predictions_in_millilitres(masks, tmp_path):
    result = finished(score(masks, tmp_path / "out")).result
    assert result["volumes_ml"]["a"] == pytest.approx({"label_1": 2.0, "label_7": 1.0})
    assert result["volumes_ml"]["b"] == pytest.approx({"label_1": 2.0, "label_7": 0.0})
    row = table(tmp_path / "out" / "volumes.csv")[0]
    assert row.pop("case") == "a"
    assert {key: float(text) for key, text in row.items()} == pytest.approx({"label_1_ml": 2.0, "label_7_ml": 1.0})


def test_what_is_returned_is_what_is_written(masks, tmp_path):
    result = finished(score(masks, tmp_path / "out")).result
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == result["metrics"]
    assert result["report"] == str(tmp_path / "out" / "report.html")


def test_a_report_is_rebuilt_from_the_files_alone(masks, tmp_path):
    finished(score(masks, tmp_path / "out"))
    page = tmp_path / "out" / "report.html"
    first = page.read_bytes()
    page.unlink()
    assert rebuild(tmp_path / "out") == page
    assert page.read_bytes() == first


@pytest.fixture
def scans(tmp_path):
    """Scans that the run was not trained on."""
    write_study(tmp_path / "new", cases=("P8_a", "P9_a"))
    return tmp_path / "new" / "images", tmp_path / "new" / "labels"


def test_scans_are_predicted_and_scored_where_labels_are(trained, scans, tmp_path):
    events = list(evaluate_run(trained, *scans, tmp_path / "out", device="cpu"))
    assert [e.case for e in events[:-1]] == ["P8_a", "P9_a"]
    rows = table(tmp_path / "out" / "cases.csv")
    assert {(row["case"], row["patient"]) for row in rows} == {("P8_a", "P8"), ("P9_a", "P9")}
    assert {row["metric"] for row in rows} == {"dice", "iou", "reference_ml", "prediction_ml"}


def test_a_prediction_lies_on_the_grid_of_its_scan(trained, tmp_path):
    image, _ = scan(grid((17, 13, 9), degrees=30, flips=(-1, 1, -1)))
    write_nifti_image(tmp_path / "images" / "P8_a.nii.gz", image)
    finished(evaluate_run(trained, tmp_path / "images", None, tmp_path / "out", device="cpu"))
    found = read_nifti(tmp_path / "out" / "predictions" / "P8_a.nii.gz")
    assert found.grid.shape == image.grid.shape
    assert np.array_equal(found.grid.affine, read_nifti(tmp_path / "images" / "P8_a.nii.gz").grid.affine)


def test_without_labels_there_are_volumes_and_no_scores(trained, scans, tmp_path):
    result = finished(evaluate_run(trained, scans[0], None, tmp_path / "out", device="cpu")).result
    assert result["volumes_ml"].keys() == {"P8_a", "P9_a"}
    assert result["metrics"]["mean"] == {}


@pytest.mark.parametrize("fault", ["damaged", "channels"])
def test_a_scan_that_cannot_be_used_costs_the_others_nothing(trained, scans, tmp_path, fault):
    file = scans[0] / "P8_a.nii.gz"
    if fault == "damaged":
        file.write_bytes(b"no scan")
    else:
        write_nifti_image(file, scan(grid(SHAPE), channels=2)[0])
    events = list(evaluate_run(trained, *scans, tmp_path / "out", device="cpu"))
    assert [type(e) for e in events[:2]] == [CaseFailed, CaseScored]
    assert events[-1].failed == ("P8_a",)


def test_the_held_out_cases_are_scored_as_in_the_validation_of_the_run(trained, study, tmp_path):
    held_out = table(trained / "validation" / "cases.csv")
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
        for case in {row["case"] for row in held_out}:
            shutil.copy(study / part / f"{case}.nii.gz", tmp_path / part)
    finished(evaluate_run(trained, tmp_path / "images", tmp_path / "labels", tmp_path / "out", device="cpu"))
    assert table(tmp_path / "out" / "cases.csv") == held_out


def test_a_scan_that_lies_a_little_beside_its_mask_is_noted(trained, scans, tmp_path):
    mask = read_labels(ScanSource(scans[1] / "P8_a.nii.gz"))
    shifted = mask.grid.affine.copy()
    shifted[:3, 3] += 0.2 * shifted[:3, 0]
    write_nifti(scans[1] / "P8_a.nii.gz", LabelMap(mask.array, Grid(mask.grid.shape, shifted)))
    events = list(evaluate_run(trained, *scans, tmp_path / "out", device="cpu"))
    assert [e.text.partition(" lies")[0] for e in events if isinstance(e, Note)] == ["P8_a: the label"]


def test_new_scans_may_be_named_in_another_way(trained, tmp_path):
    write_study(tmp_path, cases=("visit-1", "P8_a"))
    finished(evaluate_run(trained, tmp_path / "images", tmp_path / "labels", tmp_path / "out", device="cpu"))
    rows = table(tmp_path / "out" / "cases.csv")
    assert {(row["case"], row["patient"]) for row in rows} == {("visit-1", "visit-1"), ("P8_a", "P8")}


@pytest.fixture
def with_own_metric(trained, tmp_path):
    """A run whose config names a metric that must not be imported unasked."""
    run = shutil.copytree(trained, tmp_path / "run", ignore=shutil.ignore_patterns("prepared", "validation"))
    text = (run / "config.yaml").read_text()
    assert "metrics: [dice, iou]" in text
    (run / "config.yaml").write_text(text.replace("metrics: [dice, iou]", "metrics: ['metric.py:Missed']"))
    (run / "metric.py").write_text(CANARY)
    return run


def test_a_metric_that_a_run_names_is_not_imported_unless_it_is_trusted(with_own_metric, scans, tmp_path):
    with pytest.raises(CheckpointError, match=r"names code[\s\S]*metric\.py:Missed[\s\S]*--allow-code"):
        list(evaluate_run(with_own_metric, *scans, tmp_path / "out", device="cpu"))
    assert not (tmp_path / "out").exists()
    (with_own_metric / "metric.py").write_text(OWN_METRIC)
    end = finished(evaluate_run(with_own_metric, *scans, tmp_path / "out", device="cpu", allow_code=True))
    (name,) = end.result["metrics"]["mean"]
    assert name.endswith("/run/metric.py:Missed")


def test_a_metric_that_is_gone_is_told_before_anything_is_predicted(with_own_metric, scans, tmp_path):
    (with_own_metric / "metric.py").unlink()
    with pytest.raises(ConfigError, match="there is no file"):
        list(evaluate_run(with_own_metric, *scans, tmp_path / "out", device="cpu", allow_code=True))
    assert not (tmp_path / "out").exists()


def test_results_are_not_mixed_with_those_of_other_scans(trained, scans, tmp_path):
    out = tmp_path / "out"
    finished(evaluate_run(trained, *scans, out, device="cpu"))
    for folder in scans:
        (folder / "P9_a.nii.gz").unlink()
    with pytest.raises(ConfigError, match=r"holds results already[\s\S]*--overwrite"):
        list(evaluate_run(trained, *scans, out, device="cpu"))
    finished(evaluate_run(trained, *scans, out, device="cpu", overwrite=True))
    assert [path.name for path in (out / "predictions").iterdir()] == ["P8_a.nii.gz"]


def test_results_are_not_written_into_a_run(trained, scans, tmp_path):
    before = (trained / "report.html").read_bytes()
    with pytest.raises(ConfigError, match="not written into a run"):
        list(evaluate_run(trained, *scans, trained, device="cpu", overwrite=True))
    assert (trained / "report.html").read_bytes() == before


def test_cases_that_trained_the_network_are_told(study, trained, tmp_path):
    events = list(evaluate_run(trained, study / "images", study / "labels", tmp_path / "out", device="cpu"))
    told = [event.text for event in events if isinstance(event, Note)]
    assert any("have the name of one that trained this run" in text for text in told)


def test_what_predict_wrote_is_scored_as_a_folder(masks, tmp_path):
    (tmp_path / "predicted").mkdir()
    shutil.copytree(masks[0], tmp_path / "predicted" / "predictions")
    for folder, out in ((tmp_path / "predicted", "a"), (masks[0], "b")):
        finished(evaluate_masks(folder, masks[1], tmp_path / out, label_names=None, metrics=("dice",)))
    assert (tmp_path / "a" / "cases.csv").read_bytes() == (tmp_path / "b" / "cases.csv").read_bytes()


def test_masks_may_be_scored_beside_the_predictions(masks, tmp_path):
    (tmp_path / "predictions").mkdir()
    shutil.copy(masks[0] / "a.nii.gz", tmp_path / "predictions")
    finished(score(masks, tmp_path))
    with pytest.raises(ConfigError, match="holds results already"):
        list(score(masks, tmp_path))
    finished(evaluate_masks(*masks, tmp_path, label_names=None, metrics=("dice",), overwrite=True))
    assert (tmp_path / "predictions" / "a.nii.gz").is_file()


@pytest.mark.parametrize("part", ["channel", "label"])
def test_neither_a_channel_nor_a_label_is_written_over(trained, scans, tmp_path, part):
    predictor = load_predictor(trained, device="cpu", allow_code=False)
    image, label = (ScanSource(folder / "P8_a.nii.gz") for folder in scans)
    target = tmp_path / "predictions" / "P8_a.nii.gz"
    target.parent.mkdir()
    shutil.copy(label.path, target)
    images = (image,) if part == "label" else (image, ScanSource(target))
    case = Case("P8_a", "P8", images, ScanSource(target) if part == "label" else None)
    if part == "channel":
        target.write_bytes(image.path.read_bytes())
        predictor = replace(predictor, plan=two_channels(predictor.plan), model=FirstChannel(predictor.model))
    before = target.read_bytes()
    outcome = result_of(predict_cases(Ensemble((predictor,)), [case], tmp_path, ()))
    assert "written over" in outcome.failed[0][1]
    assert target.read_bytes() == before


def two_channels(plan):
    (rule,) = plan.intensity
    return plan.model_copy(update={"intensity": (rule, rule.model_copy(update={"channel": "T2"}))})


class FirstChannel(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return self.model(images[:, :1])
