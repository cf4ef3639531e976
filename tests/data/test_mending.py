"""What can be mended in a mask without anybody's opinion, and what cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segtrain.core.case import ScanSource
from segtrain.core.errors import DataError, GridMismatch
from segtrain.core.grid import Grid
from segtrain.core.task import Task
from segtrain.core.volume import Volume
from segtrain.data.mending import mended_mask

SOURCE = ScanSource(Path("labels/P1.nii.gz"))
ONE = Task(labels={"background": 0, "organ": 1})
TWO = Task(labels={"background": 0, "organ": 1, "lesion": 2})
SHAPE = (8, 9, 10)


def grid(shape=SHAPE, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0)) -> Grid:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = origin
    return Grid(shape, affine)


def box(value=1, dtype=np.uint8, shape=SHAPE) -> np.ndarray:
    array = np.zeros(shape, dtype)
    array[2:6, 3:7, 4:8] = value
    return array


def mend(array, task=ONE, mask_grid=None):
    return mended_mask(SOURCE, Volume(array[None], mask_grid or grid(array.shape)), task, grid())


def test_a_sound_mask_stays_as_it_is():
    found = mend(box())
    assert np.array_equal(found.labels.array, box())
    assert found.changes == ()


def test_nearly_whole_numbers_are_rounded_and_counted():
    array = box(0.9999, np.float32)
    found = mend(array)
    assert np.array_equal(found.labels.array, box())
    assert found.changes == ("64 voxels within 0.0001 of a whole number rounded",)


def test_fractions_are_refused():
    with pytest.raises(DataError, match="fractions"):
        mend(box(0.5, np.float32))
    with pytest.raises(DataError):
        mend(box(np.nan, np.float32))


@pytest.mark.parametrize("value", [255, 4])
def test_the_one_value_of_a_binary_mask_becomes_the_one_label(value):
    found = mend(box(value))
    assert np.array_equal(found.labels.array, box())
    assert found.changes == (f"its one value {value} became 1, the one label of the task",)


def test_with_two_labels_nobody_knows_which_it_is():
    with pytest.raises(DataError, match="ids that the task does not know"):
        mend(box(255), TWO)


def test_the_ignored_value_is_no_label():
    task = Task(labels={"background": 0, "organ": 1}, ignore=255)
    assert np.array_equal(mend(box(255), task).labels.array, box(255))


def test_a_mask_of_half_the_spacing_comes_onto_the_grid_of_the_scan():
    """A box of 4 mm a side, on voxels of 0.5 mm."""
    fine = np.zeros((16, 18, 20), np.uint8)
    fine[4:12, 6:14, 8:16] = 1
    found = mend(fine, mask_grid=grid((16, 18, 20), (0.5, 0.5, 0.5), (-0.25, -0.25, -0.25)))
    assert np.array_equal(found.labels.array, box())
    assert "brought onto the grid of the scan" in found.changes[0]


def test_a_flipped_mask_is_turned_back():
    affine = np.diag([-1.0, 1.0, 1.0, 1.0])
    affine[0, 3] = SHAPE[0] - 1
    array = box()
    array[2, 3, 4] = 0
    found = mend(array[::-1], mask_grid=Grid(SHAPE, affine))
    assert np.array_equal(found.labels.array, array)
    (change,) = found.changes
    assert change.startswith("its axes run otherwise (x mirrored)")


@pytest.mark.parametrize(
    ("mask_grid", "why"),
    [
        (grid(origin=(3.0, 0.0, 0.0)), "of two headers one is wrong, and nobody knows which"),
        (grid(spacing=(2.0, 2.0, 2.0)), "voxels would be lost"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_might_be_wrong_is_refused(mask_grid, why):
    with pytest.raises(GridMismatch):
        mend(box(), mask_grid=mask_grid)


def test_a_small_shift_is_said():
    found = mend(box(), mask_grid=grid(origin=(0.2, 0.0, 0.0)))
    assert np.array_equal(found.labels.array, box())
    assert "0.2 voxels beside" in found.changes[0]


def test_a_label_that_would_vanish_on_the_grid_of_the_scan_is_not_mended():
    fine = np.zeros((80, 90, 100), np.uint8)
    fine[41, 41, 41] = 1
    with pytest.raises(GridMismatch):
        mend(fine, mask_grid=grid((80, 90, 100), (0.1, 0.1, 0.1)))
