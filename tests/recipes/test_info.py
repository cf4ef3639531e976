"""What lies at a path."""

from __future__ import annotations

import json

import pytest

from segtrain.core.errors import DataError
from segtrain.recipes.info import describe
from tests.data.rtstruct_phantoms import write_rtstruct


def test_a_scan_is_described_by_its_grid_and_values(study):
    found = describe(study / "images" / "P0_a.nii.gz")
    assert (found["kind"], found["channels"], found["type"]) == ("nifti scan", 1, "float32")
    assert found["grid"] == "16x16x12 voxels of 1x1.2x2.5 mm"
    assert found["range"][0] < 0 < found["range"][1]
    assert len(found["affine"]) == 4


def test_a_mask_that_was_drawn_on_a_scan_is_described_by_its_structures(tmp_path):
    found = describe(write_rtstruct(tmp_path / "rt.dcm", {"heart": [], "left lung": None}))
    assert (found["kind"], found["structures"]) == ("DICOM RTSTRUCT", ["heart", "left lung"])


def test_a_run_is_described_by_its_record(trained):
    found = describe(trained)
    assert (found["kind"], found["total_steps"]) == ("run", 6)


def test_a_checkpoint_is_described_by_what_it_can_be_used_for(trained):
    found = describe(trained / "checkpoints" / "best")
    assert (found["kind"], found["loss"], found["channels"]) == ("checkpoint", {"name": "dice_ce"}, ["T1"])


def test_all_of_it_is_plain(study, trained):
    for path in (study / "labels" / "P0_a.nii.gz", trained, trained / "checkpoints" / "last"):
        found = describe(path)
        assert json.loads(json.dumps(found, allow_nan=False)) == found
        assert found["schema_version"] == 1


@pytest.mark.parametrize("name", ["nothing.nii.gz", "config.yaml", "images"])
def test_what_is_neither_is_refused(study, name):
    with pytest.raises(DataError) as error:
        describe(study / name)
    assert name in str(error.value)
