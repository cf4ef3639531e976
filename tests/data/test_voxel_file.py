"""Voxels behind a header in words: all there to the last byte, or refused."""

from __future__ import annotations

import bz2
import gzip
import zlib

import numpy as np
import pytest

from segtrain.core.errors import UnreadableScan
from segtrain.core.grid import Grid
from segtrain.data.voxel_file import VoxelFile, companion, finite, read_voxels

VALUES = np.arange(24, dtype="<i2").reshape(2, 3, 4)
DATA = VALUES.tobytes(order="F")


def stored(path, data, encoding="raw", **changed):
    path.write_bytes(data)
    fields = {"parts": (path,), "skip": 0, "dtype": np.dtype("<i2"), "shape": (2, 3, 4), "channel_axis": None}
    return VoxelFile(header=path, encoding=encoding, grid=Grid((2, 3, 4), np.eye(4)), **{**fields, **changed})


WAYS = {
    "raw": ("raw", DATA),
    "raw and more": ("raw", DATA + b"more"),
    "gzip": ("deflate", gzip.compress(DATA)),
    "zlib": ("deflate", zlib.compress(DATA)),
    "two members": ("deflate", gzip.compress(DATA[:10]) + gzip.compress(DATA[10:])),
    "bzip2": ("bzip2", bz2.compress(DATA)),
    "text": ("text", " ".join(map(str, VALUES.ravel(order="F"))).encode()),
}


@pytest.mark.parametrize(("encoding", "data"), WAYS.values(), ids=WAYS)
def test_voxels_come_back(tmp_path, encoding, data):
    np.testing.assert_array_equal(read_voxels(stored(tmp_path / "a", data, encoding))[0], VALUES)


@pytest.mark.parametrize("cut", [1, 4, 8, 20])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zlib.compress, bz2.compress])
def test_a_file_that_lost_its_end_is_refused(tmp_path, pack, cut):
    encoding = {bytes: "raw", bz2.compress: "bzip2"}.get(pack, "deflate")
    with pytest.raises(UnreadableScan, match=r"truncated|damaged"):
        read_voxels(stored(tmp_path / "a", pack(DATA)[:-cut], encoding))


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, bz2.compress])
def test_a_flipped_bit_is_seen(tmp_path, pack):
    data = bytearray(pack(DATA))
    data[-12] ^= 1
    with pytest.raises(UnreadableScan):
        read_voxels(stored(tmp_path / "a", bytes(data), "bzip2" if pack is bz2.compress else "deflate"))


@pytest.mark.parametrize("encoding", ["raw", "deflate", "bzip2", "text"])
def test_an_absurd_shape_is_refused_before_anything_is_allocated(tmp_path, encoding):
    with pytest.raises(UnreadableScan, match=r"32000x32000x32000"):
        read_voxels(stored(tmp_path / "a", gzip.compress(DATA), encoding, shape=(32000,) * 3))


def test_voxels_may_be_the_last_bytes_of_a_file_or_lie_in_several(tmp_path):
    np.testing.assert_array_equal(read_voxels(stored(tmp_path / "a", b"x" * 9 + DATA, skip=-1))[0], VALUES)
    (tmp_path / "b").write_bytes(DATA[24:])
    parts = (tmp_path / "a", tmp_path / "b")
    np.testing.assert_array_equal(read_voxels(stored(tmp_path / "a", DATA[:24], parts=parts))[0], VALUES)


def test_the_other_byte_order_and_channels_that_come_first(tmp_path):
    values = np.arange(48, dtype=">f4").reshape(2, 2, 3, 4)
    file = stored(tmp_path / "a", values.tobytes(order="F"), dtype=values.dtype, shape=(2, 2, 3, 4), channel_axis=0)
    found = read_voxels(file)
    assert found.dtype == np.dtype("=f4")
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("name", ["/etc/passwd", "../a.raw", "b/../../a.raw", "..\\a.raw"])
def test_a_header_may_not_point_out_of_its_folder(tmp_path, name):
    with pytest.raises(UnreadableScan, match="out of its folder"):
        companion(tmp_path / "a.mhd", name)


def test_a_part_that_is_missing_is_named(tmp_path):
    with pytest.raises(UnreadableScan, match=r"a\.raw is not there"):
        companion(tmp_path / "a.mhd", "a.raw")


def test_voxels_that_are_no_numbers_are_counted(tmp_path):
    with pytest.raises(UnreadableScan, match="2 of 3 voxels"):
        finite(tmp_path / "a", np.array([1, np.nan, np.inf]))
    assert finite(tmp_path / "a", np.array([1.5], dtype=np.float64)).dtype == np.float32
