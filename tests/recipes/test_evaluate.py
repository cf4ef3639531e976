"""Scans or masks in, scores, volumes and a report out; a case that cannot be used costs the others nothing."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest

from segtrain.core.case import ScanSource
from segtrain.core.errors import CheckpointError, ConfigError, DataError
from segtrain.core.events import CaseFailed, CaseScored, Note
from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap
from segtrain.data.files.nifti import read_nifti, write_nifti, write_nifti_image
from segtrain.data.read import read_labels
from segtrain.data.splits import Splits
from segtrain.recipes.evaluate import evaluate_run
from tests.phantoms import grid, scan
from tests.recipes.projects import CANARY, OWN_METRIC, SHAPE, finished, write_case, write_study


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


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


def test_a_label_without_an_image_and_an_image_without_a_label_fail_by_their_names(trained, scans, tmp_path):
    (scans[0] / "P8_a.nii.gz").unlink()
    (scans[1] / "P9_a.nii.gz").rename(scans[1] / "widow.nii.gz")
    write_case(scans[0].parent, "P5_a")
    end = finished(evaluate_run(trained, *scans, tmp_path / "out", device="cpu"))
    assert sorted(end.failed) == ["P8_a", "P9_a", "widow"]
    assert end.result["metrics"]["cases"] == 1


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


def test_cases_that_trained_the_network_are_told_whatever_they_are_called(study, trained, tmp_path):
    train = Splits.read(trained / "splits.json").folds[0].train
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        shutil.copy(study / folder / f"{train[0]}.nii.gz", tmp_path / folder / "P7_renamed.nii.gz")
        shutil.copy(study / folder / f"{train[1]}.nii.gz", tmp_path / folder)
    write_case(tmp_path, train[2], seed=77)
    places = (tmp_path / "images", tmp_path / "labels", tmp_path / "out")
    events = list(evaluate_run(trained, *places, device="cpu"))
    told = " ".join(event.text for event in events if isinstance(event, Note))
    assert "2 of 3 cases trained this run" in told
    assert f"P7_renamed, which is {train[0]}" in told
    assert f"1 of 1 cases have the name of one that trained this run ({train[2]})" in told


class TestPatients:
    """Whose the scans are, where the config does not say it, or says it for scans of other names."""

    def of_rows(self, out):
        return {(row["case"], row["patient"]) for row in table(out / "cases.csv")}

    def test_may_be_told_for_the_scans_alone(self, trained, tmp_path):
        write_study(tmp_path, cases=("S8-one", "S8-two", "S9-one"))
        scans = tmp_path / "images", tmp_path / "labels"
        told = ["evaluation.patient_from=(S.)-"]
        metrics = finished(evaluate_run(trained, *scans, tmp_path / "out", device="cpu", overrides=told)).result[
            "metrics"
        ]
        assert self.of_rows(tmp_path / "out") == {("S8-one", "S8"), ("S8-two", "S8"), ("S9-one", "S9")}
        assert (metrics["patients"], metrics["unit"]) == (2, "patient")

    def test_must_be_told_by_every_name_before_anything_is_predicted(self, trained, scans, tmp_path):
        told = ["evaluation.patient_from=(P8)"]
        with pytest.raises(DataError, match=r"case id P9_a\n.*evaluation\.patient_from is '\(P8\)'"):
            list(evaluate_run(trained, *scans, tmp_path / "out", device="cpu", overrides=told))
        assert not (tmp_path / "out").exists()
