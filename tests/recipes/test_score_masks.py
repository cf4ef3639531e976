"""A folder of masks against a folder of references."""

import csv
import json

import numpy as np
import pytest

from segtrain.core.errors import ConfigError, DataError
from segtrain.core.events import CaseFailed, CaseScored, Note
from segtrain.core.grid import Grid
from segtrain.core.scores import CaseScores, Score
from segtrain.core.volume import LabelMap
from segtrain.data.files.nifti import write_nifti
from segtrain.recipes import score_masks
from segtrain.recipes.report import rebuild
from segtrain.recipes.score_masks import evaluate_masks
from segtrain.reports.summary import summarise
from tests.data.folders import write_structures
from tests.faults.table import fault
from tests.phantoms import grid
from tests.recipes.projects import finished

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


def score(masks, out, names=None, *overrides, **flags):
    return evaluate_masks(*masks, out, label_names=names, overrides=overrides, **flags)


def rows(out):
    with (out / "cases.csv").open(encoding="utf-8", newline="") as file:
        return {(r["case"], r["label"], r["metric"]): (r["value"], r["status"]) for r in csv.DictReader(file)}


def test_a_task_is_made_of_the_ids_in_the_masks(masks, tmp_path):
    metrics = finished(score(masks, tmp_path / "out")).result["metrics"]
    assert list(metrics["labels"]) == ["label_1", "label_7"]
    assert metrics["labels"]["label_1"]["dice"]["mean"] == pytest.approx((0.8 + 1.0) / 2)
    assert metrics["labels"]["label_7"]["dice"]["n_undefined"] == 1


def test_what_is_no_mask_fails_by_its_name_and_costs_no_other(masks, tmp_path):
    (masks[1] / "notes").mkdir()
    (masks[0] / "b.nii.gz").rename(masks[0] / "b.nii")
    write_mask(masks[0] / "b.nii.gz", 1, 1)
    events = list(score(masks, tmp_path / "out"))
    assert events[-1].failed == ("b", "notes")
    assert [e.case for e in events if isinstance(e, CaseFailed)] == ["b", "notes"]
    assert any("b is there twice" in e.text for e in events if isinstance(e, Note))
    assert rows(tmp_path / "out")["b", "label_1", "dice"][0] == "0.0"


@pytest.mark.parametrize(
    "names",
    [
        {"liver": [1], "cyst": [7]},
        {"background": [0], "liver": [1], "cyst": [7]},
        {"air": [0], "liver": [1], "cyst": [7]},
    ],
)
def test_labels_may_be_named_with_or_without_the_background(masks, tmp_path, names):
    assert list(finished(score(masks, tmp_path / "out", names)).result["metrics"]["labels"]) == ["liver", "cyst"]


@pytest.mark.parametrize("names", [{"liver": [1], "cyst": [1]}, {"background": [0]}, {"whole": [0, 1, 7]}])
def test_labels_that_are_no_task_are_refused(masks, tmp_path, names):
    with pytest.raises(ConfigError, match="labels"):
        list(score(masks, tmp_path / "out", names))


def test_a_region_is_scored_as_one_structure(masks, tmp_path):
    found = finished(score(masks, tmp_path / "out", {"cyst": [7], "whole": [1, 7]})).result["metrics"]["labels"]
    assert list(found) == ["label_1", "cyst", "whole"]
    assert found["whole"]["dice"]["mean"] == pytest.approx((6 / 7 + 1) / 2)


class TestStructureFolders:
    """Folders with a file a structure, whose voxel (1, 0, 0) is in both structures of the reference."""

    NAMES = {"liver": [1], "spleen": [2]}  # noqa: RUF012

    @pytest.fixture
    def folders(self, tmp_path):
        found, wanted = tmp_path / "found", tmp_path / "wanted"
        write_structures(wanted / "a", {"liver": [(0, 0, 0), (1, 0, 0)], "spleen": [(1, 0, 0), (2, 0, 0)]})
        write_structures(found / "a", {"liver": [(0, 0, 0), (1, 0, 0)], "spleen": [(2, 0, 0)]})
        return found, wanted

    def test_overlaps_are_refused_with_the_flag_that_takes_them(self, folders, tmp_path):
        *_, failed, end = score(folders, tmp_path / "out", self.NAMES)
        assert end.failed == ("a",)
        assert "liver and spleen (1 voxel)" in failed.message
        assert "--overlap later of `segtrain eval --predictions`" in failed.message

    def test_the_later_label_has_the_voxel_where_that_is_asked_for(self, folders, tmp_path):
        *events, end = score(folders, tmp_path / "out", self.NAMES, overlap="later")
        assert end.failed == ()
        assert rows(tmp_path / "out")["a", "liver", "dice"][0] == pytest.approx(str(2 / 3))
        assert rows(tmp_path / "out")["a", "spleen", "dice"][0] == pytest.approx(str(2 / 3))
        noted = [event.text for event in events if isinstance(event, Note)]
        assert noted == ["a: structures overlap, and the higher id has the voxels: liver and spleen (1 voxel)"]

    def test_a_task_made_of_the_masks_counts_overlapping_ones_too(self, tmp_path):
        found, wanted = tmp_path / "found", tmp_path / "wanted"
        for folder in (found, wanted):
            write_structures(folder / "a", {"label_1": [(0, 0, 0)], "label_2": [(0, 0, 0), (1, 0, 0)]})
        end = finished(score((found, wanted), tmp_path / "out", overlap="later"))
        assert list(end.result["metrics"]["labels"]) == ["label_2"]


def test_regions_may_overlap_in_any_way(masks, tmp_path):
    names = {"liver": [1], "cyst": [7], "whole": [1, 7], "again": [7, 1]}
    found = finished(score(masks, tmp_path / "out", names)).result["metrics"]["labels"]
    assert list(found) == ["liver", "cyst", "whole", "again"]
    assert found["whole"] == found["again"]


def test_a_label_that_nobody_named_is_background_and_told_once(masks, tmp_path):
    *events, end = score(masks, tmp_path / "out", {"liver": [1]})
    assert events[-1] == Note("ids that have no --label, and counted as background: 7")
    assert end.failed == ()
    assert list(end.result["metrics"]["labels"]) == ["liver"]


@fault("F27", "a damaged mask", then="1, its case fails by name")
def test_a_damaged_mask_fails_its_case_alone(masks, tmp_path):
    (masks[0] / "a.nii.gz").write_bytes(b"no mask")
    events = list(score(masks, tmp_path / "out"))
    assert [(type(e), e.case) for e in events[:2]] == [(CaseFailed, "a"), (CaseScored, "b")]
    assert events[-1].failed == ("a",)
    assert events[-1].result["metrics"]["failed"] == ["a"]


def test_a_damaged_mask_is_no_better_than_a_missing_one(masks, tmp_path):
    (masks[0] / "a.nii.gz").write_bytes(b"no mask")
    damaged = finished(score(masks, tmp_path / "damaged")).result["metrics"]["labels"]
    (masks[0] / "a.nii.gz").unlink()
    assert finished(score(masks, tmp_path / "missing")).result["metrics"]["labels"] == damaged


def test_a_damaged_reference_leaves_the_case_out(masks, tmp_path):
    (masks[1] / "a.nii.gz").write_bytes(b"no mask")
    end = finished(score(masks, tmp_path / "out"))
    assert end.failed == ("a",)
    assert end.result["metrics"]["cases"] == 1


class TestMissing:
    def test_a_missing_prediction_is_scored_as_the_worst_and_fails_by_name(self, masks, tmp_path):
        (masks[0] / "a.nii.gz").unlink()
        end = finished(score(masks, tmp_path / "out", None, "evaluation.metrics=[dice, hd95]"))
        assert end.failed == ("a",)
        found = rows(tmp_path / "out")
        assert found["a", "label_1", "dice"] == ("0.0", "no_prediction")
        assert found["a", "label_1", "hd95"] == ("inf", "no_prediction")
        statistics = end.result["metrics"]["labels"]["label_1"]["hd95"]
        assert (statistics["n"], statistics["n_infinite"]) == (2, 1)
        assert statistics["mean"] == pytest.approx(np.linalg.norm([40, 30, 20]) / 2)

    def test_it_is_no_true_negative_where_the_label_is_absent(self, masks, tmp_path):
        (masks[0] / "b.nii.gz").unlink()
        for policy in ("strict", "challenge"):
            out = tmp_path / policy
            metrics = finished(score(masks, out, None, f"evaluation.empty_policy={policy}")).result["metrics"]
            assert rows(out)["b", "label_7", "dice"] == ("0.0", "no_prediction")
            assert metrics["presence"]["label_7"]["absent"] == 0

    def test_it_may_be_left_out(self, masks, tmp_path):
        (masks[0] / "a.nii.gz").unlink()
        *events, end = score(masks, tmp_path / "out", allow_missing=True)
        assert events[0] == Note("left out, because there is no prediction: a")
        assert end.failed == ()
        assert end.result["metrics"]["cases"] == 1

    def test_a_prediction_without_a_reference_is_named(self, masks, tmp_path):
        write_mask(masks[0] / "c.nii.gz", 1)
        *events, end = score(masks, tmp_path / "out")
        assert events[0] == Note("not scored, because there is no reference: c")
        assert end.failed == ()

    def test_folders_that_have_no_name_in_common_are_refused(self, masks, tmp_path):
        for name in "ab":
            (masks[0] / f"{name}.nii.gz").rename(masks[0] / f"{name}_0000.nii.gz")
        with pytest.raises(DataError, match=r"has the name of a reference[\s\S]*a_0000, b_0000 against a, b"):
            list(score(masks, tmp_path / "out"))
        assert not (tmp_path / "out").exists()


def test_every_voxel_of_every_mask_is_0(tmp_path):
    for folder in ("found", "wanted"):
        write_mask(tmp_path / folder / "a.nii.gz")
    with pytest.raises(DataError, match="no mask holds a label"):
        list(score((tmp_path / "found", tmp_path / "wanted"), tmp_path / "out"))


def test_another_grid_fails_its_case_with_both_grids_named(masks, tmp_path):
    write_mask(masks[0] / "a.nii.gz", 1, on=grid())
    end = finished(score(masks, tmp_path / "out"))
    assert end.failed == ("a",)


def test_what_the_metrics_mean_stands_in_the_files(masks, tmp_path):
    overrides = ("evaluation.profile=organ", "evaluation.nsd_tolerance_mm=2.5")
    metrics = finished(score(masks, tmp_path / "out", None, *overrides)).result["metrics"]
    assert list(metrics["definitions"]) == ["dice", "nsd", "hd95", "relative_volume_error"]
    assert metrics["definitions"]["nsd"]["definition"].endswith("Tolerance: 2.5 mm.")
    assert metrics["definitions"]["hd95"]["unit"] == "mm"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("evaluation.metrics=[dice, nsd]", "nsd needs a tolerance"),
        ("evaluation.metrics=[iuo]", "did you mean 'iou'"),
        ("evaluation.profile=bone", "profile"),
        ("evaluation.metricz=[dice]", "metrics"),
        ("evaluation.profile=[organ]", "profile"),
        ("evaluation.nsd_tolerance_mm={label_1: 1, livr: 2}", "there is no structure 'livr'"),
        ("evaluation.regions={whole: [label_9]}", "'label_9' is no label"),
        ("inference.overlap=0.9", "inference.overlap cannot be changed here"),
    ],
)
def test_wrong_wishes_are_told_before_anything_is_written(masks, tmp_path, override, words):
    with pytest.raises(ConfigError, match=words):
        list(score(masks, tmp_path / "out", None, override))
    assert not (tmp_path / "out").exists()


def test_several_processes_give_what_one_gives(masks, tmp_path, monkeypatch):
    for number in range(4):
        write_mask(masks[0] / f"more{number}.nii.gz", *[1] * (number + 1))
        write_mask(masks[1] / f"more{number}.nii.gz", 1, 1)
    one = finished(score(masks, tmp_path / "one"))
    monkeypatch.setattr(score_masks, "PROCESSES_PAY_SECONDS", 0.0)
    monkeypatch.setattr(score_masks, "usable_cores", lambda: 2)
    several = finished(score(masks, tmp_path / "several"))
    assert several.result["metrics"] == one.result["metrics"]
    assert (tmp_path / "one" / "cases.csv").read_bytes() == (tmp_path / "several" / "cases.csv").read_bytes()


def test_the_folder_of_a_prediction_is_taken_as_it_is(masks, tmp_path):
    (tmp_path / "predicted").mkdir()
    masks[0].rename(tmp_path / "predicted" / "predictions")
    finished(score((tmp_path / "predicted", masks[1]), tmp_path / "out"))
    assert ("a", "label_1", "dice") in rows(tmp_path / "out")


def test_results_are_not_written_over_unasked_and_masks_are_never_deleted(masks, tmp_path):
    beside = tmp_path / "found"
    finished(score(masks, beside))
    with pytest.raises(ConfigError, match="holds results already"):
        list(score(masks, beside))
    finished(score(masks, beside, overwrite=True))
    assert (beside / "a.nii.gz").is_file()


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_mask_a_little_off_is_scored_and_noted(masks, tmp_path):
    shifted = np.array(ML.affine)
    shifted[0, 3] = 2.0
    write_mask(masks[0] / "b.nii.gz", 1, 1, on=Grid(ML.shape, shifted))
    events = list(score(masks, tmp_path / "out"))
    assert "b: the prediction lies" in next(e.text for e in events if isinstance(e, Note))
    assert events[-1].failed == ()


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


@fault("F27", "a label that only a prediction has", then="0, told")
def test_an_id_that_only_a_prediction_holds_is_told(masks, tmp_path):
    write_mask(masks[0] / "b.nii.gz", 1, 1, 9)
    *events, _ = score(masks, tmp_path / "out")
    assert "ids that are in predictions only, and are scored all the same: 9" in events[0].text


def test_a_label_that_no_mask_holds_is_told(masks, tmp_path):
    *events, _ = score(masks, tmp_path / "out", {"liver": [1], "spleen": [5]})
    assert any(event.text.startswith("in no mask: spleen") for event in events if isinstance(event, Note))


class TestPatients:
    """Masks P1_a, P1_b and P2_a: without a word each is a case of its own."""

    @pytest.fixture
    def visits(self, tmp_path):
        found, wanted = tmp_path / "found", tmp_path / "wanted"
        for case, ids in (("P1_a", (1, 1)), ("P1_b", (1, 0)), ("P2_a", (1, 1))):
            write_mask(wanted / f"{case}.nii.gz", 1, 1)
            write_mask(found / f"{case}.nii.gz", *ids)
        return found, wanted

    def told(self, visits, out, *overrides):
        metrics = finished(score(visits, out, None, *overrides)).result["metrics"]
        with (out / "cases.csv").open(encoding="utf-8", newline="") as file:
            patients = {row["case"]: row["patient"] for row in csv.DictReader(file)}
        return metrics, patients, (out / "report.html").read_text(encoding="utf-8")

    def test_are_not_known_unless_somebody_says_so(self, visits, tmp_path):
        metrics, patients, page = self.told(visits, tmp_path / "out")
        assert (metrics["patients"], metrics["unit"]) == (None, "case")
        assert patients == {case: case for case in ("P1_a", "P1_b", "P2_a")}
        assert "patients are not known" in page

    def test_are_what_intervals_are_over_where_names_tell_them(self, visits, tmp_path):
        metrics, patients, page = self.told(visits, tmp_path / "out", r"evaluation.patient_from=(P\d+)_")
        assert (metrics["cases"], metrics["patients"], metrics["unit"]) == (3, 2, "patient")
        assert patients == {"P1_a": "P1", "P1_b": "P1", "P2_a": "P2"}
        assert "of 2 patients" in page
        found = metrics["labels"]["label_1"]["dice"]
        by_hand = summarise([scored(case, patient) for case, patient in patients.items()])["labels"]["organ"]["dice"]
        assert found["ci95"] == by_hand["ci95"]

    def test_every_name_without_one_is_told_before_anything_is_scored(self, visits, tmp_path):
        with pytest.raises(DataError) as caught:
            list(score(visits, tmp_path / "out", None, "evaluation.patient_from=(P2)"))
        assert [problem.what.split()[-1] for problem in caught.value.problems] == ["P1_a", "P1_b"]
        assert not (tmp_path / "out").exists()

    def test_what_is_no_regular_expression_is_refused(self, visits, tmp_path):
        with pytest.raises(ConfigError, match=r"evaluation\.patient_from is no regular expression"):
            list(score(visits, tmp_path / "out", None, "evaluation.patient_from=(P"))


def scored(case, patient):
    dice = 2 / 3 if case == "P1_b" else 1.0
    return CaseScores(case, patient, {"organ": {"dice": Score(dice, "ok")}}, {"organ": 2.0}, {"organ": 2.0})
