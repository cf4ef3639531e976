"""A scan's grid from its header: known where a few bytes tell it, else nothing."""

from __future__ import annotations

import numpy as np

from segtrain.core.case import Case, ScanSource
from segtrain.core.volume import Volume
from segtrain.data.files.extent import grid_in_header
from segtrain.data.files.nifti import read_nifti, write_nifti_image
from tests import phantoms


def case_of(path) -> Case:
    return Case("a", "a", (ScanSource(path),))


def test_a_nifti_tells_it_in_its_header_whatever_its_channels(tmp_path):
    grid = phantoms.grid((5, 6, 7), degrees=10)
    for name in ("a.nii", "a.nii.gz"):
        write_nifti_image(tmp_path / name, Volume(np.zeros((2, 5, 6, 7), np.float32), grid))
        found = grid_in_header(case_of(tmp_path / name))
        assert found is not None
        assert found.shape == (5, 6, 7)
        assert np.array_equal(found.affine, read_nifti(tmp_path / name).grid.affine)


def test_what_cannot_be_read_or_is_of_another_kind_is_not_known(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"")
    (tmp_path / "a.mha").write_bytes(b"")
    for name in ("a.nii.gz", "a.mha", "missing.nii", "."):
        assert grid_in_header(case_of(tmp_path / name)) is None
