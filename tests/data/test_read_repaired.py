"""A scan of any format, with the repairs that were asked for."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from segtrain.core.case import ScanSource
from segtrain.core.errors import GridMismatch, UnreadableScan
from segtrain.data.read import read_volume
from segtrain.data.read_repaired import read_repaired
from segtrain.data.repair.repairs import NO_REPAIR, Repairs
from tests.data.stack_phantoms import EVEN, STACKS, write_stack
from tests.faults.table import fault

SHAPE = (5, 4, 3)


def broken(path):
    """A file with two voxels that are no numbers."""
    array = np.arange(60, dtype=np.float32).reshape(SHAPE)
    array[1, 2, 0], array[4, 0, 2] = np.nan, np.inf
    if path.suffix == ".nii":
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)
    else:
        sitk.WriteImage(sitk.GetImageFromArray(array.transpose(2, 1, 0)), str(path))
    return ScanSource(path)


@pytest.mark.parametrize("suffix", [".nii", ".mha", ".nrrd", ".tif"])
@fault("F4", "NaN and infinite voxels, and `--repair nan=-1024`", then="that value, and how many got it is said")
def test_voxels_that_are_no_numbers_get_the_value_that_was_asked_for(tmp_path, suffix):
    source = broken(tmp_path / f"a{suffix}")
    for read in (lambda: read_volume([source]), lambda: read_repaired([source], NO_REPAIR)):
        with pytest.raises(UnreadableScan, match=r"2 of 60 voxels[\s\S]*--repair nan=VALUE"):
            read()
    scan = read_repaired([source], Repairs(nan=-1024))
    assert np.isfinite(scan.image.array).all()
    assert (scan.image.array == -1024).sum() == 2
    assert scan.image.array[0, 1, 2, 0] == scan.image.array[0, 4, 0, 2] == -1024
    assert scan.changes == ("2 voxels that were NaN or infinite set to -1024",)
    assert scan.evened is None


def test_what_has_nothing_to_repair_is_read_as_ever(tmp_path):
    path = tmp_path / "a.nii"
    nibabel.save(nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(SHAPE), np.eye(4)), path)
    scan = read_repaired([ScanSource(path)], Repairs(nan=0, tilt=True))
    np.testing.assert_array_equal(scan.image.array, read_volume([ScanSource(path)]).array)
    assert scan.changes == ()


def test_a_channel_with_a_gap_comes_onto_the_grid_of_a_whole_one(tmp_path):
    whole, gap = (
        ScanSource(write_stack(tmp_path / name, heights))
        for name, heights in (("a", EVEN), ("b", STACKS["missing"][0]))
    )
    scan = read_repaired([whole, gap], Repairs(missing_slices=True))
    assert scan.image.array.shape == (2, 40, 44, 17)
    assert scan.evened is not None
    assert len(scan.image.origins) == 2


def test_channels_that_are_repaired_to_two_grids_are_refused(tmp_path):
    tilted = ScanSource(write_stack(tmp_path / "a", *STACKS["tilt"]))
    with pytest.raises(GridMismatch):
        read_repaired([tilted, ScanSource(write_stack(tmp_path / "b", EVEN))], Repairs(tilt=True))
