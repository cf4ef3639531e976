"""Masks only."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from segtrain.core.errors import ConfigError, DataError
from segtrain.core.events import CaseFailed, CaseScored, Note
from segtrain.data.files.nifti import read_nifti
from segtrain.recipes.evaluate import evaluate_run
from segtrain.recipes.predict import predict
from segtrain.recipes.scoring.predict_cases import Manner
from tests.recipes.projects import finished, write_study


@pytest.fixture
def scans(tmp_path):
    write_study(tmp_path, cases=("P8_a", "P9_a"))
    return tmp_path / "images"


def test_a_mask_a_scan_is_written_and_the_volumes(trained, scans, tmp_path):
    end = finished(predict(trained, scans, tmp_path / "out", device="cpu"))
    files = sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*"))
    assert files == ["prediction.json", "predictions/P8_a.nii.gz", "predictions/P9_a.nii.gz", "volumes.csv"]
    assert (end.result["cases"], end.failed) == (2, ())


def test_volumes_are_those_of_the_masks(trained, scans, tmp_path):
    volumes = finished(predict(trained, scans, tmp_path / "out", device="cpu")).result["volumes_ml"]
    mask = read_nifti(tmp_path / "out" / "predictions" / "P8_a.nii.gz")
    assert volumes["P8_a"]["organ"] == pytest.approx((mask.array == 1).sum() * mask.grid.voxel_volume_ml)


def test_the_masks_are_those_of_an_evaluation(trained, scans, tmp_path):
    finished(predict(trained, scans, tmp_path / "masks", device="cpu"))
    finished(evaluate_run(trained, scans, None, tmp_path / "eval", device="cpu"))
    one, two = (tmp_path / name / "predictions" / "P9_a.nii.gz" for name in ("masks", "eval"))
    assert one.read_bytes() == two.read_bytes()


def test_a_damaged_scan_is_named_and_left_out(trained, scans, tmp_path):
    (scans / "P8_a.nii.gz").write_bytes(b"no scan")
    events = list(predict(trained, scans, tmp_path / "out", device="cpu"))
    assert isinstance(events[0], CaseFailed)
    assert isinstance(events[1], CaseScored)
    assert events[-1].failed == ("P8_a",)


def test_an_odd_sub_folder_is_named_and_costs_no_scan(trained, scans, tmp_path):
    (scans / "notes").mkdir()
    end = finished(predict(trained, scans, tmp_path / "out", device="cpu"))
    assert (end.failed, end.result["cases"]) == (("notes",), 2)
    with pytest.raises(DataError, match="notes"):
        list(predict(trained, scans, tmp_path / "strict", device="cpu", manner=Manner(strict=True)))
    assert not (tmp_path / "strict").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_scan_is_never_written_over(trained, scans, tmp_path, overwrite):
    images = tmp_path / "out" / "predictions"
    images.parent.mkdir()
    scans.rename(images)
    before = {path: path.read_bytes() for path in images.iterdir()}
    with pytest.raises(ConfigError, match="would delete what is to be read" if overwrite else "holds results already"):
        list(predict(trained, images, tmp_path / "out", device="cpu", overwrite=overwrite))
    assert {path: path.read_bytes() for path in images.iterdir()} == before


def test_masks_of_other_scans_do_not_stay_between_the_new_ones(trained, scans, tmp_path):
    finished(predict(trained, scans, tmp_path / "out", device="cpu"))
    (scans / "P8_a.nii.gz").unlink()
    with pytest.raises(ConfigError, match="holds results already"):
        list(predict(trained, scans, tmp_path / "out", device="cpu"))
    finished(predict(trained, scans, tmp_path / "out", device="cpu", overwrite=True))
    assert [p.name for p in (tmp_path / "out" / "predictions").iterdir()] == ["P9_a.nii.gz"]


def test_scans_may_be_named_in_another_way_than_those_of_the_run(trained, scans, tmp_path):
    (scans / "P8_a.nii.gz").rename(scans / "visit-1.nii.gz")
    end = finished(predict(trained, scans, tmp_path / "out", device="cpu"))
    assert end.result["volumes_ml"].keys() == {"visit-1", "P9_a"}


def test_a_folder_without_scans_is_refused(trained, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no scan"):
        list(predict(trained, tmp_path / "empty", tmp_path / "out", device="cpu"))


def test_an_interrupted_prediction_is_gone_on_with(trained, scans, tmp_path):
    finished(predict(trained, scans, tmp_path / "whole", device="cpu"))
    with closing(predict(trained, scans, tmp_path / "out", device="cpu")) as events:
        next(events)
    events = list(predict(trained, scans, tmp_path / "out", device="cpu", manner=Manner(resume=True)))
    assert isinstance(events[0], Note)
    assert "of 2 masks are there" in events[0].text
    assert events[-1].result["volumes_ml"].keys() == {"P8_a", "P9_a"}
    for name in ("P8_a.nii.gz", "P9_a.nii.gz"):
        one, two = (tmp_path / folder / "predictions" / name for folder in ("whole", "out"))
        assert one.read_bytes() == two.read_bytes()


def test_settings_of_inference_are_changed_for_a_prediction(trained, scans, tmp_path):
    overrides = ["inference.mirror_axes=[0, 1, 2]", "inference.postprocess.keep_largest=[organ]"]
    finished(predict(trained, scans, tmp_path / "out", device="cpu", overrides=overrides))
    (used,) = json.loads((tmp_path / "out" / "prediction.json").read_text())["inference"]
    assert used["mirror_axes"] == [0, 1, 2]
    assert used["postprocess"]["keep_largest"] == ["organ"]
    assert used["overlap"] == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("inference.mirror=[0]", "no such key"),
        ("inference.postprocess.keep_largest=[orgn]", "did you mean 'organ'"),
        ("evaluation.metrics=[dice]", "cannot be changed here"),
    ],
)
def test_a_wrong_setting_is_told_before_anything_is_written(trained, scans, tmp_path, text, told):
    with pytest.raises(ConfigError, match=told):
        list(predict(trained, scans, tmp_path / "out", device="cpu", overrides=[text]))
    assert not (tmp_path / "out").exists()


def test_several_runs_predict_together(trained, scans, tmp_path):
    finished(predict(trained, scans, tmp_path / "one", device="cpu"))
    finished(predict([trained, trained], scans, tmp_path / "two", device="cpu"))
    one, two = (tmp_path / name / "predictions" / "P9_a.nii.gz" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert len(json.loads((tmp_path / "two" / "prediction.json").read_text())["weights_sha256"]) == 2
