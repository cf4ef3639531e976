"""Voxels behind a header in words: all there to the last byte, or refused."""

from __future__ import annotations

import bz2
import gzip
import tracemalloc
import zlib

import numpy as np
import pytest

from segtrain.core.errors import UnreadableScan
from segtrain.core.grid import Grid
from segtrain.data.files.voxel_file import VoxelFile, companion, read_voxels
from tests.faults.table import fault

VALUES = np.arange(24, dtype="<i2").reshape(2, 3, 4)
DATA = VALUES.tobytes(order="F")


def stored(path, data, encoding="raw", **changed):
    path.write_bytes(data)
    fields = {"parts": (path,), "skip": 0, "dtype": np.dtype("<i2"), "shape": (2, 3, 4), "channel_axis": None}
    fields["grid"] = Grid((2, 3, 4), np.eye(4))
    return VoxelFile(header=path, encoding=encoding, **{**fields, **changed})


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
@fault("F1", "`.mha` and `.nrrd` cut short", then="refused by the reader")
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


@pytest.mark.parametrize("encoding", ["raw", "deflate", "text"])
def test_an_absurd_shape_is_refused_before_anything_is_allocated(tmp_path, encoding):
    with pytest.raises(UnreadableScan, match=r"32000x32000x32000"):
        read_voxels(stored(tmp_path / "a", gzip.compress(DATA), encoding, shape=(32000,) * 3))


@pytest.mark.parametrize(("encoding", "pack"), [("deflate", gzip.compress), ("bzip2", bz2.compress)])
@fault("F3", "a small file that unpacks to gigabytes", then="refused after the first bytes beyond its shape")
def test_what_unpacks_to_far_more_than_its_shape_is_refused_before_it_is_in_memory(tmp_path, encoding, pack):
    file = stored(tmp_path / "a", pack(bytes(2**26)), encoding)
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableScan, match="48 bytes are announced, and more come"):
            read_voxels(file)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_an_empty_mask_may_be_a_few_bytes_of_bzip2(tmp_path):
    data, shape = bz2.compress(bytes(200**3)), (200,) * 3
    assert len(data) < 60
    file = stored(tmp_path / "a", data, "bzip2", shape=shape, dtype=np.dtype("u1"), grid=Grid(shape, np.eye(4)))
    assert not read_voxels(file).any()


@pytest.mark.parametrize(
    ("dtype", "words", "wrong"), [("u1", "1 300 2", "300"), ("u1", "1 2.7 2", "2.7"), ("u2", "1 -1 2", "-1")]
)
def test_numbers_in_words_that_do_not_fit_their_type_are_refused(tmp_path, dtype, words, wrong):
    more = {"dtype": np.dtype(dtype), "shape": (3, 1, 1), "grid": Grid((3, 1, 1), np.eye(4))}
    with pytest.raises(UnreadableScan, match=rf"1 of 3 are no uint\d+, as {wrong}"):
        read_voxels(stored(tmp_path / "a", words.encode(), "text", **more))
    fine = read_voxels(stored(tmp_path / "a", b"1 0.1 -2.7", "text", **{**more, "dtype": np.dtype("<f4")}))
    assert fine.ravel().tolist() == np.float32([1, 0.1, -2.7]).tolist()


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


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../a.raw", "b/../../a.raw", "..\\a.raw", "C:x.raw", "C:/x.raw", "\\Windows\\x.raw"]
)
def test_a_header_may_not_point_out_of_its_folder(tmp_path, name):
    with pytest.raises(UnreadableScan, match="out of its folder"):
        companion(tmp_path / "a.mhd", name)


def test_a_link_out_of_the_folder_of_a_header_is_not_followed(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "a.raw").write_bytes(DATA)
    (tmp_path / "in" / "a.raw").symlink_to(tmp_path / "a.raw")
    with pytest.raises(UnreadableScan, match="out of its folder"):
        companion(tmp_path / "in" / "a.mhd", "a.raw")


def test_a_folder_in_a_name_may_be_written_as_windows_does(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.raw").write_bytes(DATA)
    assert companion(tmp_path / "a.mhd", "b\\a.raw") == tmp_path / "b" / "a.raw"


def test_a_part_that_is_missing_is_named(tmp_path):
    with pytest.raises(UnreadableScan, match=r"a\.raw is not there"):
        companion(tmp_path / "a.mhd", "a.raw")
