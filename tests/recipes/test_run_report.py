"""The contents of a report, from files alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import DataError
from segtrain.core.volume import LabelMap
from segtrain.data.files.nifti import write_nifti, write_nifti_image
from segtrain.recipes.run_folder import RunFolder
from segtrain.recipes.run_report import (
    RECORD,
    SHOWN_CASES,
    ScoredFiles,
    config_rows,
    epoch_rows,
    evaluation_report,
    write_run_report,
    write_scores_report,
)
from segtrain.recipes.score_masks import evaluate_masks
from segtrain.reports.sheets import Sheet, sheet_of
from tests.phantoms import grid, scan
from tests.recipes.projects import SHAPE, finished

SHIFTS = {"a": 3, "b": 0, "c": 5, "d": 1, "e": 4, "f": 2}
"""Case -> voxels by which its prediction lies beside its reference."""


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """An evaluation of six masks, some better than others."""
    root = tmp_path_factory.mktemp("scored")
    _, mask = scan(grid(SHAPE))
    for name, shift in SHIFTS.items():
        write_nifti(root / "wanted" / f"{name}.nii.gz", mask)
        write_nifti(root / "found" / f"{name}.nii.gz", LabelMap(np.roll(mask.array, shift, axis=0), mask.grid))
    finished(
        evaluate_masks(root / "found", root / "wanted", root / "out", overrides=["evaluation.metrics=[dice, iou]"])
    )
    return root / "out"


def black(plane) -> Sheet:
    """The sheet of as many slices without an image."""
    width, height = plane.sheet.tile
    return sheet_of(np.zeros((len(plane.offsets), height, width), np.uint8))


def with_files(scored, folder: Path, **changes):
    """A copy of the evaluation in which the files of case `c` are others."""
    shutil.copytree(scored, folder)
    record = json.loads((folder / RECORD).read_text())
    for files in record["files"]:
        if files["case"] == "c":
            files.update(changes)
    (folder / RECORD).write_text(json.dumps(record))
    return evaluation_report(folder)


def test_pictures_are_of_the_worst_cases_the_worst_first(scored):
    shown = [overlay.case for overlay in evaluation_report(scored).overlays]
    assert shown == sorted(SHIFTS, key=SHIFTS.get, reverse=True)[:SHOWN_CASES] == ["c", "e", "a", "f", "d"]


def test_a_picture_says_how_good_its_case_is(scored):
    best = evaluation_report(scored).overlays[-1]
    assert best.caption.startswith("Dice 0.8")
    assert "IoU 0." in best.caption


def test_a_case_without_a_prediction_is_noted_and_the_next_ones_are_shown(scored, tmp_path):
    shutil.copytree(scored, tmp_path / "out")
    record = json.loads((scored / RECORD).read_text())
    record["files"] = [files for files in record["files"] if files["case"] != "c"]
    (tmp_path / "out" / RECORD).write_text(json.dumps(record))
    report = evaluation_report(tmp_path / "out")
    assert [view.case for view in report.overlays] == ["e", "a", "f", "d", "b"]
    assert report.notes == ["no picture where nothing was predicted: c"]


def test_a_report_says_why_its_metrics_were_chosen_where_its_record_does(scored, tmp_path):
    assert evaluation_report(scored).profile == ""
    shutil.copytree(scored, tmp_path / "out")
    record = json.loads((scored / RECORD).read_text())
    (tmp_path / "out" / RECORD).write_text(json.dumps({**record, "profile": "Profile organ: because."}))
    assert evaluation_report(tmp_path / "out").profile == "Profile organ: because."


def test_without_an_image_outlines_are_shown_on_black(scored):
    view = evaluation_report(scored).overlays[0]
    assert {plane.sheet.url for plane in view.planes} == {black(plane).url for plane in view.planes}
    assert view.roles == ("reference", "prediction")
    assert all(plane.path(role) for plane in view.planes for role in view.roles)


@pytest.mark.parametrize("missing", ["label", "prediction"])
def test_a_scan_that_is_gone_is_noted_and_the_others_are_shown(scored, tmp_path, missing):
    report = with_files(scored, tmp_path / "out", **{missing: [str(tmp_path / "gone.nii.gz"), ""]})
    assert [overlay.case for overlay in report.overlays] == ["e", "a", "f", "d"]
    (note,) = report.notes
    assert note.startswith("no picture of case c: ")
    assert "gone.nii.gz" in note


def test_a_scan_that_became_another_one_is_noted(scored, tmp_path):
    write_nifti_image(tmp_path / "other.nii.gz", scan(grid((9, 16, 12)))[0])
    report = with_files(scored, tmp_path / "out", images=[[str(tmp_path / "other.nii.gz"), ""]])
    assert [overlay.case for overlay in report.overlays] == ["e", "a", "f", "d"]
    assert "case c" in report.notes[0]
    assert "their shapes differ" in report.notes[0]


def test_a_note_reaches_the_page(scored, tmp_path):
    with_files(scored, tmp_path / "out", label=[str(tmp_path / "gone.nii.gz"), ""])
    assert "no picture of case c" in write_scores_report(tmp_path / "out").read_text(encoding="utf-8")


def test_scores_come_back_as_they_were_written(scored):
    report = evaluation_report(scored)
    assert {case.case for case in report.scores} == set(SHIFTS)
    assert report.summary == json.loads((scored / "metrics.json").read_text())
    assert (report.failed, report.volumes_only) == ([], False)


def test_the_pictures_of_a_run_show_its_scans(trained):
    report = evaluation_report(trained / "validation")
    assert len(report.overlays) == report.summary["cases"]
    assert all(plane.sheet.url != black(plane).url for overlay in report.overlays for plane in overlay.planes)
    assert report.notes == []


def test_every_key_of_a_run_keeps_its_origin(trained):
    origins = {key: origin for key, _, origin in config_rows(RunFolder(trained))}
    assert origins["training.epochs"] == "file"
    assert origins["training.weight_decay"] == "default"
    assert origins["compare"] == "command line"


def test_rows_of_the_curves_are_numbers(trained):
    rows = epoch_rows(RunFolder(trained))
    assert [row["epoch"] for row in rows] == [1.0, 2.0]
    assert all(isinstance(row["train_loss"], float) for row in rows)


def test_an_epoch_that_was_not_validated_has_no_score(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,dice\n1,\n2,0.5\n")
    assert epoch_rows(RunFolder(tmp_path)) == [{"epoch": 1.0, "dice": None}, {"epoch": 2.0, "dice": 0.5}]


def test_a_run_without_a_finished_epoch_has_no_curve(tmp_path):
    assert epoch_rows(RunFolder(tmp_path)) == []


def test_the_files_of_a_case_come_back_as_they_were(tmp_path):
    series = ScanSource(tmp_path / "dicom", "1.2.3")
    case = Case("a", "p", (series, ScanSource(tmp_path / "b.nii.gz")), None)
    files = ScoredFiles.of(case, tmp_path / "mask.nii.gz")
    assert ScoredFiles.from_json(json.loads(json.dumps(files.to_json()))) == files


@pytest.mark.parametrize("name", ["metrics.json", RECORD, "cases.csv"])
@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"task": {}, "files": 3, "failed": [], "labels": 3}'])
def test_a_file_of_an_evaluation_that_is_missing_or_foreign_is_named(scored, tmp_path, name, text):
    folder = shutil.copytree(scored, tmp_path / "out")
    (folder / name).unlink()
    if text is not None:
        (folder / name).write_text(text)
    with pytest.raises(DataError, match=name):
        write_scores_report(folder)


@pytest.mark.parametrize("change", [("label", ["x"]), ("prediction", 3), ("images", [[]])])
def test_a_record_with_other_files_in_it_is_named(scored, tmp_path, change):
    with pytest.raises(DataError, match=RECORD):
        with_files(scored, tmp_path / "out", **dict([change]))


@pytest.mark.parametrize(
    "text", ["dice\n0.5\n", "epoch,dice\n1,good\n", "epoch,dice\n,0.5\n", "epoch\n1,2\n", "epoch\n\xff\n"]
)
def test_a_table_of_epochs_that_is_damaged_is_named(tmp_path, text):
    (tmp_path / "metrics.csv").write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=r"metrics\.csv"):
        epoch_rows(RunFolder(tmp_path))


@pytest.mark.parametrize("record", [{"cases": []}, {"parameters": "many"}, {"versions": None}])
def test_a_record_of_a_run_that_is_damaged_is_named(trained, tmp_path, record):
    run = RunFolder(shutil.copytree(trained, tmp_path / "run", ignore=shutil.ignore_patterns("prepared", "validation")))
    run.record.write_text(json.dumps(record))
    with pytest.raises(DataError, match=r"run\.json"):
        write_run_report(run)
