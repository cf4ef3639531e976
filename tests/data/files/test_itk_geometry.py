"""LPS -> RAS, and what cannot be a grid."""

from __future__ import annotations

import numpy as np
import pytest

from segtrain.core.errors import UnreadableScan
from segtrain.data.files.itk_geometry import grid_in_lps


def test_left_and_back_become_right_and_front(tmp_path):
    grid, notes = grid_in_lps(tmp_path, (2, 3, 4), np.eye(3), (1, 2, 3), (10, 20, 30))
    np.testing.assert_array_equal(grid.affine, [[-1, 0, 0, -10], [0, -2, 0, -20], [0, 0, 3, 30], [0, 0, 0, 1]])
    assert (grid.shape, notes) == ((2, 3, 4), ())


def test_a_fourth_axis_is_none_of_space(tmp_path):
    grid, _ = grid_in_lps(tmp_path, (2, 3, 4, 5), np.eye(4), (1, 2, 3, 9), (1, 2, 3, 9))
    assert (grid.shape, grid.spacing_mm) == ((2, 3, 4), (1, 2, 3))


@pytest.mark.parametrize("spacing", [(1, -1, 1), (1, 0, 1), (1, np.inf, 1)])
def test_a_spacing_that_is_not_positive_is_refused(tmp_path, spacing):
    with pytest.raises(UnreadableScan, match="not positive"):
        grid_in_lps(tmp_path, (2, 3, 4), np.eye(3), spacing, (0, 0, 0))
