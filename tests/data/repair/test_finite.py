"""Voxels that are no numbers are counted, and get a value only where one is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segtrain.core.errors import UnreadableScan
from segtrain.data.repair.finite import filled, plain_type, require_finite

BROKEN = np.array([1, np.nan, np.inf, -np.inf], np.float32)


def test_they_are_counted_and_the_repair_is_named():
    with pytest.raises(UnreadableScan, match=r"3 of 4 voxels[\s\S]*--repair nan=VALUE") as error:
        require_finite(Path("a.nii"), BROKEN)
    assert "a.nii" in str(error.value)
    require_finite(Path("a.nii"), np.array([1, 2]))


def test_they_get_a_value_and_the_others_stay():
    array, count = filled(BROKEN, -1024)
    assert array.tolist() == [1, -1024, -1024, -1024]
    assert array.dtype == np.float32
    assert count == 3
    whole = np.array([1, 2])
    assert filled(whole, 5) == (whole, 0)


def test_whole_numbers_stay_and_others_become_single_precision_without_a_warning():
    assert plain_type(np.array([1, 2], np.int16)).dtype == np.int16
    assert plain_type(np.array([1.5, 1e300])).tolist() == [1.5, np.inf]
