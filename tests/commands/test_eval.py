"""`eval`, `predict`, `report` and `info` on scans of every orientation, and on masks that a person can count."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from tests.commands.conftest import Trained
from tests.commands.projects import GRIDS, answer, done, files_in, read, rows, write_mask
from tests.faults.table import fault

Evaluated = tuple[Path, dict[str, Any]]

CASES = ["P0", "P1", "P2", "P3"]


def cube(*extent: slice, shape: tuple[int, int, int] = (10, 10, 10), label: int = 1) -> np.ndarray:
    """A mask with one box."""
    mask = np.zeros(shape, np.uint8)
    mask[extent] = label
    return mask


def values(out: Path) -> dict[tuple[str, str, str], tuple[float | None, str]]:
    """cases.csv: (case, label, metric) -> value and status."""
    found = rows(out / "cases.csv")
    return {
        (r["case"], r["label"], r["metric"]): (float(r["value"]) if r["value"] else None, r["status"]) for r in found
    }


@pytest.fixture(scope="module")
def evaluated(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    """An evaluation of the study, and what `--json` printed."""
    out = tmp_path_factory.mktemp("eval") / "out"
    places = ("--images", trained.root / "images", "--labels", trained.root / "labels", "--out", out)
    return out, answer("eval", "--run", trained.run, *places)


class TestScansWithLabels:
    def test_every_file_of_the_contract_is_there(self, evaluated: Evaluated) -> None:
        out, result = evaluated
        assert {"metrics.json", "cases.csv", "report.html", "volumes.csv"} <= set(files_in(out))
        assert [p.name for p in sorted((out / "predictions").iterdir())] == [f"{case}.nii.gz" for case in CASES]
        assert result["metrics"] == read(out / "metrics.json")
        assert (result["metrics"]["cases"], result["failed"]) == (4, [])
        assert Path(result["report"]) == out / "report.html"

    def test_predictions_lie_on_the_grid_of_their_scan_bit_for_bit(
        self, trained: Trained, evaluated: Evaluated
    ) -> None:
        out, _ = evaluated
        for case in CASES:
            scan = nib.load(trained.root / "images" / f"{case}.nii.gz")
            mask = nib.load(out / "predictions" / f"{case}.nii.gz")
            assert mask.shape == scan.shape
            np.testing.assert_array_equal(mask.affine, scan.affine)
            np.testing.assert_allclose(mask.affine, GRIDS[CASES.index(case)].affine, atol=1e-5)

    def test_scores_and_volumes_are_those_of_the_files(self, trained: Trained, evaluated: Evaluated) -> None:
        out, _ = evaluated
        found = values(out)
        for case in CASES:
            mask = np.asarray(nib.load(out / "predictions" / f"{case}.nii.gz").dataobj) == 1
            label = np.asarray(nib.load(trained.root / "labels" / f"{case}.nii.gz").dataobj) == 1
            both, either = (mask & label).sum(), (mask | label).sum()
            voxel_ml = np.prod(GRIDS[CASES.index(case)].spacing_mm) / 1000
            assert found[case, "organ", "dice"][0] == pytest.approx(2 * both / (mask.sum() + label.sum()))
            assert found[case, "organ", "iou"][0] == pytest.approx(both / either)
            assert found[case, "organ", "reference_ml"][0] == pytest.approx(label.sum() * voxel_ml)
            assert found[case, "organ", "prediction_ml"][0] == pytest.approx(mask.sum() * voxel_ml)

    def test_the_held_out_case_scores_as_it_did_after_training(self, trained: Trained, evaluated: Evaluated) -> None:
        out, _ = evaluated
        held_out = values(trained.run / "validation")
        assert len(held_out) == 4
        assert held_out.items() <= values(out).items()

    def test_its_report_can_be_rebuilt(self, evaluated: Evaluated) -> None:
        out, _ = evaluated
        before = (out / "report.html").read_bytes()
        (out / "report.html").unlink()
        assert answer("report", out)["report"] == str(out / "report.html")
        assert (out / "report.html").read_bytes() == before


class TestScansWithoutLabels:
    def test_eval_writes_masks_and_their_volumes(self, trained: Trained, tmp_path: Path) -> None:
        result = answer("eval", "--run", trained.run, "--images", trained.root / "images", "--out", tmp_path / "out")
        table = rows(tmp_path / "out" / "volumes.csv")
        assert [row["case"] for row in table] == CASES
        for row in table:
            mask = np.asarray(nib.load(tmp_path / "out" / "predictions" / f"{row['case']}.nii.gz").dataobj)
            voxel_ml = np.prod(GRIDS[CASES.index(row["case"])].spacing_mm) / 1000
            assert float(row["organ_ml"]) == pytest.approx((mask == 1).sum() * voxel_ml)
            assert result["volumes_ml"][row["case"]]["organ"] == pytest.approx(float(row["organ_ml"]))
        assert result["metrics"]["labels"]["organ"] == {}
        assert (tmp_path / "out" / "report.html").is_file()

    def test_predict_writes_the_same_masks_and_their_volumes(self, trained: Trained, tmp_path: Path) -> None:
        images, out = trained.root / "images", tmp_path / "out"
        result = answer("predict", "--run", trained.run, "--images", images, "--out", out)
        assert (result["cases"], result["failed"]) == (4, [])
        assert files_in(out) == ["prediction.json", *(f"predictions/{case}.nii.gz" for case in CASES), "volumes.csv"]
        held_out = next((trained.run / "validation" / "predictions").iterdir())
        assert (out / "predictions" / held_out.name).read_bytes() == held_out.read_bytes()


@pytest.mark.parametrize("command", ["eval", "predict"])
@fault("F31", "one bad scan among several", then="1, it is named in text and JSON; the others are done")
def test_one_bad_case_among_several_is_named_and_the_others_are_done(
    trained: Trained, tmp_path: Path, command: str
) -> None:
    images = shutil.copytree(trained.root / "images", tmp_path / "images")
    bad = images / "P1.nii.gz"
    bad.write_bytes(bad.read_bytes()[:400])
    told = done(command, "--run", trained.run, "--images", images, "--out", tmp_path / "out", code=1)
    assert "failed: P1" in told.stdout
    assert "P1.nii.gz" in told.stderr
    places = ("--images", images, "--out", tmp_path / "out")
    done(command, "--run", trained.run, *places, code=2)
    result = answer(command, "--run", trained.run, *places, "--overwrite", code=1)
    assert result["failed"] == ["P1"]
    assert sorted(result["volumes_ml"]) == ["P0", "P2", "P3"]
    assert sorted(p.name for p in (tmp_path / "out" / "predictions").iterdir()) == [
        "P0.nii.gz",
        "P2.nii.gz",
        "P3.nii.gz",
    ]


def test_a_prediction_that_was_broken_off_is_gone_on_with(trained: Trained, tmp_path: Path) -> None:
    places = ("--run", trained.run, "--images", trained.root / "images")
    done("predict", *places, "--out", tmp_path / "whole", code=0)
    out = shutil.copytree(tmp_path / "whole", tmp_path / "out")
    (out / "predictions" / "P2.nii.gz").unlink()
    done("predict", *places, "--out", out, code=2)
    told = done("predict", *places, "--out", out, "--resume", code=0)
    assert "3 of 4 masks are there" in told.stderr
    one, two = (folder / "predictions" / "P2.nii.gz" for folder in (tmp_path / "whole", out))
    assert one.read_bytes() == two.read_bytes()
    done("predict", *places, "--out", out, "--resume", "inference.overlap=0.75", code=2)


@fault("F31", "one bad scan, `--strict`", then="3, stops there")
def test_strict_stops_at_the_first_bad_case(trained: Trained, tmp_path: Path) -> None:
    images = shutil.copytree(trained.root / "images", tmp_path / "images")
    (images / "P1.nii.gz").write_bytes(b"no scan")
    told = done("predict", "--run", trained.run, "--images", images, "--out", tmp_path / "out", "--strict", code=3)
    assert "P1" in told.stderr
    assert not (tmp_path / "out" / "predictions" / "P3.nii.gz").exists()


def test_probabilities_are_saved_on_the_grid_of_the_scan(trained: Trained, tmp_path: Path) -> None:
    places = ("--images", trained.root / "images", "--out", tmp_path / "out")
    done("eval", "--run", trained.run, *places, "--save-probabilities", "inference.mirror_axes=[0, 1, 2]", code=0)
    names = read(tmp_path / "out" / "probabilities" / "outputs.json")["outputs"]
    for case in CASES:
        scan = nib.load(trained.root / "images" / f"{case}.nii.gz")
        found = nib.load(tmp_path / "out" / "probabilities" / f"{case}.nii")
        assert found.shape == (*scan.shape, len(names))
        np.testing.assert_allclose(found.affine, scan.affine, atol=1e-5)
        np.testing.assert_allclose(found.get_fdata().sum(-1), 1, atol=1e-4)


class TestMasks:
    """Boxes in voxels of 1 ml: every number is counted by hand."""

    @pytest.fixture
    def folders(self, tmp_path: Path) -> tuple[Path, Path]:
        half, other = cube(slice(0, 4), slice(0, 4), slice(0, 4)), cube(slice(2, 6), slice(0, 4), slice(0, 4))
        empty = np.zeros_like(half)
        pairs = {"half": (other, half), "missed": (empty, half), "invented": (half, empty), "nothing": (empty, empty)}
        for case, (prediction, reference) in pairs.items():
            write_mask(tmp_path / "predictions" / f"{case}.nii.gz", prediction)
            write_mask(tmp_path / "labels" / f"{case}.nii.gz", reference)
        return tmp_path / "predictions", tmp_path / "labels"

    def test_scores_are_those_counted_by_hand(self, folders: tuple[Path, Path]) -> None:
        predictions, labels = folders
        result = answer("eval", "--predictions", predictions, "--labels", labels, "--label", "box=1")
        out = predictions.with_name("predictions-eval")
        assert result["out"] == str(out)
        found = values(out)
        assert found["half", "box", "dice"] == (0.5, "ok")
        assert found["half", "box", "iou"] == (pytest.approx(1 / 3), "ok")
        assert found["half", "box", "reference_ml"] == (pytest.approx(64), "ok")
        assert found["missed", "box", "dice"] == (0.0, "pred_empty")
        assert found["invented", "box", "dice"] == (0.0, "ref_empty")
        assert found["nothing", "box", "dice"] == (None, "both_empty")
        dice = result["metrics"]["labels"]["box"]["dice"]
        assert (dice["n"], dice["n_undefined"], dice["mean"]) == (3, 1, pytest.approx(0.5 / 3))
        presence = result["metrics"]["presence"]["box"]
        assert (presence["present"], presence["found"], presence["false_alarms"]) == (2, 1, 1)
        assert (presence["false_positive_ml"], presence["false_negative_ml"]) == (pytest.approx(64), pytest.approx(64))

    def test_its_report_can_be_rebuilt(self, folders: tuple[Path, Path], tmp_path: Path) -> None:
        done("eval", "--predictions", folders[0], "--labels", folders[1], "--out", tmp_path / "out")
        before = (tmp_path / "out" / "report.html").read_bytes()
        done("report", tmp_path / "out")
        assert (tmp_path / "out" / "report.html").read_bytes() == before

    @fault("F28", "prediction and reference swapped", then="0, the same Dice")
    def test_swapped_folders_have_the_same_dice(self, folders: tuple[Path, Path], tmp_path: Path) -> None:
        one = answer("eval", "--predictions", folders[0], "--labels", folders[1], "--out", tmp_path / "one")
        two = answer("eval", "--predictions", folders[1], "--labels", folders[0], "--out", tmp_path / "two")
        assert one["metrics"]["mean"] == two["metrics"]["mean"]

    @fault("F27", "missing predictions", then="1, named, and scored as the worst")
    def test_missing_masks_are_all_named_and_the_worst(self, folders: tuple[Path, Path]) -> None:
        predictions, labels = folders
        for file in (predictions / "half.nii.gz", predictions / "nothing.nii.gz", labels / "missed.nii.gz"):
            file.unlink()
        told = done("eval", "--predictions", predictions, "--labels", labels, code=1)
        for line in ("half has no prediction", "nothing has no prediction", "there is no reference: missed"):
            assert line in told.stderr
        left_out = done("eval", "--predictions", predictions, "--labels", labels, "--allow-missing", "--overwrite")
        assert "there is no prediction: half, nothing" in left_out.stderr

    @fault("F27", "a mask on another grid", then="1, its case fails by name")
    def test_a_mask_on_another_grid_fails_alone(self, folders: tuple[Path, Path]) -> None:
        predictions, labels = folders
        write_mask(predictions / "half.nii.gz", cube(slice(0, 4), shape=(10, 10, 9)))
        result = answer("eval", "--predictions", predictions, "--labels", labels, code=1)
        assert result["failed"] == ["half"]
        assert result["metrics"]["failed"] == ["half"]
        assert result["metrics"]["cases"] == 4

    def test_metrics_are_chosen_by_name(self, folders: tuple[Path, Path]) -> None:
        arguments = ("eval", "--predictions", folders[0], "--labels", folders[1], "--overwrite", "--metric")
        assert list(answer(*arguments, "iou")["metrics"]["mean"]) == ["iou"]
        told = done(*arguments, "dise", code=2)
        assert "no metric is called 'dise'" in told.stderr
        assert "'dice'" in told.stderr

    def test_the_folder_one_is_in_may_be_named_by_a_dot(
        self, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(folders[0])
        result = answer("eval", "--predictions", ".", "--labels", folders[1])
        assert Path(result["out"]) == folders[0].with_name("predictions-eval")

    def test_predictions_are_scored_as_the_command_printed_last_says(self, trained: Trained, tmp_path: Path) -> None:
        places = ("--images", trained.root / "images", "--out", tmp_path / "out")
        told = done("predict", "--run", trained.run, *places)
        command = shlex.split(told.stderr.rpartition("next: ")[2].replace("DIR", str(trained.root / "labels")))
        assert answer(*command[1:])["metrics"]["cases"] == 4


class TestReportAndInfo:
    def test_the_report_of_a_run_can_be_rebuilt(self, trained: Trained, tmp_path: Path) -> None:
        run = shutil.copytree(trained.run, tmp_path / trained.run.name)
        (run / "report.html").unlink()
        assert done("report", run).stdout == f"report: {run / 'report.html'}\n"
        assert (run / "report.html").read_bytes() == (trained.run / "report.html").read_bytes()

    def test_info_on_a_run_a_checkpoint_and_a_scan(self, trained: Trained) -> None:
        run = answer("info", trained.run)
        assert (run["kind"], run["total_steps"]) == ("run", 6)
        checkpoint = answer("info", trained.run / "checkpoints" / "last")
        assert (checkpoint["kind"], checkpoint["step"], checkpoint["loss"]["name"]) == ("checkpoint", 6, "dice_ce")
        scan = answer("info", trained.root / "images" / "P1.nii.gz")
        assert scan["grid"] == GRIDS[1].describe()
        np.testing.assert_allclose(scan["affine"], GRIDS[1].affine, atol=1e-5)
        told = done("info", trained.root / "images" / "P1.nii.gz")
        assert "16x16x12 voxels" in told.stdout

    def test_nothing_to_tell_is_a_fault_of_the_data(self, trained: Trained, tmp_path: Path) -> None:
        assert "there is nothing" in done("info", tmp_path / "nowhere", code=3).stderr
        assert "nothing to report on" in done("report", trained.root, code=3).stderr
