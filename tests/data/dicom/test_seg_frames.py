"""Where a frame lies on a grid, in whole voxels."""

from __future__ import annotations

import numpy as np
import pytest

from segtrain.core.grid import Grid
from segtrain.data.dicom.seg_frames import Frame

GRID = Grid((6, 5, 4), np.diag([2.0, 3.0, 4.0, 1.0]))


def frame(columns, rows, place, shape=(5, 6)):
    steps = np.array([columns, rows, place], dtype=float).T
    return Frame(np.zeros(shape, np.uint8), 1, steps)


def test_columns_rows_and_slices_are_those_of_the_grid():
    whole, beside = frame((2, 0, 0), (0, 3, 0), (0, 0, 8)).onto(GRID)
    assert (whole @ [5, 4, 1]).tolist() == [5, 4, 2]
    assert not beside.any()


def test_a_frame_may_run_along_any_axes_either_way():
    whole, _ = frame((0, 0, -4), (0, 3, 0), (6, -3, 12), shape=(7, 4)).onto(GRID)
    assert (whole @ [0, 0, 1]).tolist() == [3, -1, 3]
    assert (whole @ [3, 6, 1]).tolist() == [3, 5, 0]


@pytest.mark.parametrize(("place", "off"), [((0.5, 0, 8), 0.25), ((0, 0, 9.9), 0.475)])
def test_how_far_it_lies_beside_the_voxels(place, off):
    whole, beside = frame((2, 0, 0), (0, 3, 0), place).onto(GRID)
    assert whole[2, 2] == 2
    assert np.abs(beside).max() == pytest.approx(off)


@pytest.mark.parametrize("columns", [(1, 0, 0), (2, 0.5, 0), (4, 0, 0)])
def test_other_spacings_and_directions_lie_on_no_voxels(columns):
    assert frame(columns, (0, 3, 0), (0, 0, 8)).onto(GRID) is None
