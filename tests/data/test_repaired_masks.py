"""Masks that were drawn on a broken series land where the ellipsoid is, or are refused with the reason."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from segtrain.core.case import ScanSource
from segtrain.core.errors import GridMismatch
from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap
from segtrain.data.files.nifti import write_nifti
from segtrain.data.read_repaired import read_repaired
from segtrain.data.repair.repairs import Repairs
from segtrain.data.repaired_masks import DRAWN, mask_of_repaired
from tests import phantoms
from tests.data.stack_phantoms import (
    CENTRE_MM,
    EVEN,
    RADII_MM,
    STACKS,
    TASK,
    as_rtstruct,
    as_seg,
    as_series,
    as_simpleitk_converts,
    centre_mm,
    drawn_array,
    write_stack,
)
from tests.faults.table import fault

EVERY = Repairs(missing_slices=True, uneven_slices=True, tilt=True)
KINDS = {"RTSTRUCT": as_rtstruct, "SEG": as_seg, "DICOM series": as_series, "NIfTI by SimpleITK": as_simpleitk_converts}


def repaired(folder, kind):
    return read_repaired([ScanSource(write_stack(folder / "scan", *STACKS[kind]))], EVERY)


def mask_of(path, scan, task=TASK):
    return mask_of_repaired(ScanSource(path), scan, task=task, case="P1", repairs=EVERY)


@pytest.mark.parametrize("drawn_as", KINDS)
@pytest.mark.parametrize("kind", STACKS)
@fault("F9", "SEG, RTSTRUCT, DICOM and NIfTI masks of a repaired scan", then="within half a voxel of where they are")
def test_a_mask_lands_where_the_ellipsoid_is(tmp_path, kind, drawn_as):
    scan = repaired(tmp_path, kind)
    found = mask_of(KINDS[drawn_as](tmp_path / "mask.dcm", *STACKS[kind]), scan)
    assert found.labels.grid.same_space(scan.image.grid)
    off = np.abs(centre_mm(found.labels) - CENTRE_MM) / scan.image.grid.spacing_mm
    assert off.max() < 0.5, off
    volume = (found.labels.array == 1).sum() * scan.image.grid.voxel_volume_ml
    assert volume == pytest.approx(4 / 3 * np.pi * RADII_MM.prod() / 1000, rel=0.06)
    bright = scan.image.array[0] > 2000 * np.exp(-1) - 1000
    both = (bright & (found.labels.array == 1)).sum()
    assert 2 * both / (bright.sum() + (found.labels.array == 1).sum()) > 0.93, "the mask lies on what it was drawn on"
    borrowing = [change for change in found.changes if "interpolated slice" in change]
    assert bool(borrowing) == (kind != "tilt")


@pytest.mark.parametrize("drawn_as", ["RTSTRUCT", "SEG"])
def test_a_mask_of_the_whole_series_is_taken_on_the_missing_slices_too(tmp_path, drawn_as):
    scan = repaired(tmp_path, "missing")
    found = mask_of(KINDS[drawn_as](tmp_path / "mask.dcm", EVEN), scan)
    assert DRAWN in found.changes
    assert not [change for change in found.changes if "interpolated" in change]
    wanted = drawn_array(EVEN)
    if drawn_as == "SEG":
        np.testing.assert_array_equal(found.labels.array, wanted)
    else:
        assert (found.labels.array != wanted).mean() < 0.001


def test_a_file_on_the_grid_of_the_whole_series_is_taken_as_it_is(tmp_path):
    scan = repaired(tmp_path, "missing")
    write_nifti(tmp_path / "m.nii.gz", LabelMap(drawn_array(EVEN), scan.image.grid))
    found = mask_of(tmp_path / "m.nii.gz", scan)
    np.testing.assert_array_equal(found.labels.array, drawn_array(EVEN))
    assert found.changes == ()


def test_a_series_that_lies_on_a_grid_is_placed_by_its_positions_whatever_the_scan(tmp_path):
    """By number its slices would land as those of the scan, of which one lies elsewhere."""
    moved = [height + (1.0 if n == 8 else 0.0) for n, height in enumerate(EVEN)]
    scan = read_repaired([ScanSource(write_stack(tmp_path / "scan", moved))], EVERY)
    found = mask_of(as_series(tmp_path / "mask", EVEN), scan)
    assert found.labels.grid.same_space(scan.image.grid)
    assert np.abs(centre_mm(found.labels) - CENTRE_MM).max() < 0.1
    assert not [change for change in found.changes if "one for one" in change]


def test_axes_may_run_otherwise_in_a_converted_file(tmp_path):
    """As dcm2niix writes rows from the bottom up, and others as they like."""
    scan = repaired(tmp_path, "uneven")
    plain = as_simpleitk_converts(tmp_path / "mask", *STACKS["uneven"])
    turned = nibabel.load(plain).as_reoriented([[1, 1], [0, -1], [2, -1]])
    nibabel.save(turned, tmp_path / "turned.nii.gz")
    np.testing.assert_array_equal(
        mask_of(tmp_path / "turned.nii.gz", scan).labels.array, mask_of(plain, scan).labels.array
    )


def test_a_file_whose_slices_are_told_by_number_or_place_is_refused(tmp_path):
    """As programs write it that take the first two slices for all: 14 slices of 2.5 mm, of which some lie elsewhere."""
    scan = repaired(tmp_path, "missing")
    grid = scan.image.grid
    write_nifti(
        tmp_path / "m.nii.gz", LabelMap(drawn_array(STACKS["missing"][0]), Grid((*grid.shape[:2], 14), grid.affine))
    )
    with pytest.raises(GridMismatch, match="by number or by place, nobody knows"):
        mask_of(tmp_path / "m.nii.gz", scan)


def test_a_series_of_other_slices_is_refused(tmp_path):
    scan = repaired(tmp_path, "missing")
    with pytest.raises(GridMismatch, match="slices of the mask are not those of the scan"):
        mask_of(as_series(tmp_path / "mask", [height for height in EVEN if height != 10]), scan)


def test_frames_between_the_slices_are_refused(tmp_path):
    scan = repaired(tmp_path, "uneven")
    with pytest.raises(GridMismatch):
        mask_of(as_rtstruct(tmp_path / "rt.dcm", [height + 1 for height in EVEN]), scan)


def test_a_scan_that_needed_no_repair_has_its_mask_as_ever(tmp_path):
    grid = phantoms.grid((8, 7, 6))
    write_nifti(tmp_path / "scan.nii.gz", LabelMap(np.ones(grid.shape, np.uint8), grid))
    write_nifti(tmp_path / "m.nii.gz", LabelMap(phantoms.ellipsoid(grid).astype(np.uint8), grid))
    scan = read_repaired([ScanSource(tmp_path / "scan.nii.gz")], EVERY)
    np.testing.assert_array_equal(mask_of(tmp_path / "m.nii.gz", scan).labels.array, phantoms.ellipsoid(grid))
