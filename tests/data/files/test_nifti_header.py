"""What headers are refused for is tested through the readers, in test_nifti.py; here is what they may claim."""

import gzip
from contextlib import nullcontext

import nibabel
import numpy as np
import pytest

from segtrain.core.errors import OutOfMemory, UnreadableScan
from segtrain.data.files import nifti_header
from segtrain.data.files.nifti_header import LARGEST_GZIP_RATIO, opened, read_header, shape_of, voxel_bytes


def test_the_best_packed_scan_there_is_passes_the_check_of_its_size(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.zeros((200, 200, 200), np.uint8), np.eye(4)), tmp_path / "a.nii")
    packed = tmp_path / "b.nii.gz"
    packed.write_bytes(gzip.compress((tmp_path / "a.nii").read_bytes(), compresslevel=9))
    assert (tmp_path / "a.nii").stat().st_size / packed.stat().st_size < LARGEST_GZIP_RATIO
    with opened(packed) as file:
        assert voxel_bytes(read_header(packed, file)) == 200**3


def test_axes_of_length_1_beyond_the_third_are_no_axes():
    header = nibabel.Nifti1Header()
    header.set_data_shape((5, 4, 3, 1, 1))
    assert shape_of(header) == (5, 4, 3)
    header.set_data_shape((5, 4, 3, 1, 2))
    assert shape_of(header) == (5, 4, 3, 2)
    header.set_data_shape((5, 4, 1))
    assert shape_of(header) == (5, 4, 1)


def test_the_number_of_bytes_does_not_overflow():
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.float64)
    header.set_data_shape((32767,) * 4)
    assert voxel_bytes(header) == 8 * 32767**4


def test_a_header_of_a_pair_of_files_names_a_way_out(tmp_path):
    nibabel.save(nibabel.Nifti1Pair(np.zeros((3, 3, 3), np.uint8), np.eye(4)), tmp_path / "a.hdr")
    path = (tmp_path / "a.hdr").rename(tmp_path / "a.nii")
    with opened(path) as file, pytest.raises(UnreadableScan, match="nib-convert"):
        read_header(path, file)


def test_what_memory_does_not_hold_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "a.nii"
    nibabel.save(nibabel.Nifti1Image(np.zeros((10, 10, 10), np.int16), np.eye(4)), path)
    for free, fits in ((2352, True), (2351, False), (None, True)):
        monkeypatch.setattr(nifti_header, "available_ram_bytes", lambda free=free: free)
        with (
            nullcontext() if fits else pytest.raises(OutOfMemory, match="10x10x10 voxels take"),
            path.open("rb") as file,
        ):
            read_header(path, file)
