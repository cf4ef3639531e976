"""MetaImage headers, with SimpleITK as the judge."""

from __future__ import annotations

import numpy as np
import pytest

from segtrain.core.errors import UnreadableScan
from segtrain.data.files.itk_files import read_itk
from segtrain.data.files.meta_image import read_meta_header, segment_names
from tests.data.itk_phantoms import VALUES, judged, write

KINDS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float32]


def header(path, **lines):
    """A file of eight bytes with a header of these lines."""
    plain = {"ObjectType": "Image", "NDims": "3", "BinaryData": "True", "DimSize": "2 2 2", "ElementType": "MET_UCHAR"}
    text = "".join(f"{key} = {value}\n" for key, value in {**plain, **lines}.items() if value is not None)
    path.write_bytes(text.encode() + b"ElementDataFile = LOCAL\n" + bytes(range(8)))
    return path


@pytest.mark.parametrize("suffix", [".mha", ".mhd"])
@pytest.mark.parametrize("packed", [False, True])
def test_it_is_read_as_simpleitk_reads_it(tmp_path, suffix, packed):
    path = write(tmp_path / f"a{suffix}", packed=packed)
    volume, (array, affine) = read_itk(path), judged(path)
    np.testing.assert_array_equal(volume.array, array)
    np.testing.assert_allclose(volume.grid.affine, affine, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_number(tmp_path, kind):
    path = write(tmp_path / "a.mha", VALUES.astype(kind), packed=True)
    found = read_itk(path).array
    assert found.dtype == kind
    np.testing.assert_array_equal(found[0], VALUES.astype(kind))


def test_values_of_several_numbers_are_channels(tmp_path):
    values = np.stack([VALUES, VALUES + 100], axis=-1)
    path = write(tmp_path / "a.mha", values)
    np.testing.assert_array_equal(read_itk(path).array, np.moveaxis(values, -1, 0))


def test_a_fourth_axis_is_channels_and_a_second_is_one_slice(tmp_path):
    path = header(tmp_path / "a.mha", NDims=4, DimSize="2 2 1 2")
    assert read_itk(path).array.ravel().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    flat = read_itk(header(tmp_path / "b.mha", NDims=2, DimSize="4 2", ElementSpacing="0.5 0.5"))
    assert flat.grid.shape == (4, 2, 1)
    assert flat.grid.spacing_mm == (0.5, 0.5, 1.0)
    assert flat.notes == ("it has two axes, so that its one slice is taken to be 1 mm thick",)


def test_words_that_mean_the_same(tmp_path):
    path = header(
        tmp_path / "a.mha",
        Rotation="0 1 0 1 0 0 0 0 1",
        Position="1 2 3",
        ElementSize="2 3 4",
        ElementByteOrderMSB="True",
        ElementType="MET_USHORT",
        DimSize="2 2 1",
    )
    volume, (array, affine) = read_itk(path), judged(path)
    np.testing.assert_array_equal(volume.array, array)
    np.testing.assert_allclose(volume.grid.affine, affine)


def test_voxels_in_a_list_of_files(tmp_path):
    for name in ("a.raw", "b.raw"):
        (tmp_path / name).write_bytes(bytes(range(4)))
    text = header(tmp_path / "a.mhd").read_bytes().partition(b"ElementDataFile")[0]
    (tmp_path / "a.mhd").write_bytes(text + b"ElementDataFile = LIST\na.raw\nb.raw\n")
    assert read_meta_header(tmp_path / "a.mhd").parts == (tmp_path / "a.raw", tmp_path / "b.raw")
    np.testing.assert_array_equal(read_itk(tmp_path / "a.mhd").array, judged(tmp_path / "a.mhd")[0])


def test_a_file_that_is_called_list_is_no_list(tmp_path):
    (tmp_path / "list.raw").write_bytes(bytes(range(8)))
    text = header(tmp_path / "a.mhd").read_bytes().partition(b"ElementDataFile")[0]
    (tmp_path / "a.mhd").write_bytes(text + b"ElementDataFile = list.raw\n")
    np.testing.assert_array_equal(read_itk(tmp_path / "a.mhd").array, judged(tmp_path / "a.mhd")[0])


def test_segments_have_their_names_by_id(tmp_path):
    path = header(tmp_path / "a.mha", Segment0_Name="left kidney", Segment0_LabelValue=4)
    assert segment_names(path) == {4: "left kidney"}
    assert segment_names(header(tmp_path / "b.mha")) == {}
    with pytest.raises(UnreadableScan):
        segment_names(tmp_path / "none.mha")


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        ({"DimSize": "32000 32000 32000"}, "32000x32000x32000"),
        ({"DimSize": "99999999999999999999 2 2"}, "not that of a scan"),
        ({"DimSize": "0 2 2"}, "not that of a scan"),
        ({"DimSize": "2 2"}, "dimsize"),
        ({"DimSize": "a b c"}, "dimsize"),
        ({"DimSize": "inf 2 2"}, "dimsize"),
        ({"DimSize": "nan 2 2"}, "dimsize"),
        ({"DimSize": "2.7 2 2"}, "whole numbers"),
        ({"NDims": "nan"}, "ndims"),
        ({"ElementNumberOfChannels": "0"}, "0 values a voxel"),
        ({"ElementNumberOfChannels": "-1"}, "-1 values a voxel"),
        ({"ElementNumberOfChannels": "1.5"}, "whole numbers"),
        ({"NDims": None}, "ndims"),
        ({"NDims": "5"}, "5 axes"),
        ({"ElementSpacing": "1 0 1"}, "spacing is not positive"),
        ({"ElementSpacing": "1 nan 1"}, "spacing is not positive"),
        ({"TransformMatrix": "1 0 0 1 0 0 0 0 1"}, "where its voxels lie"),
        ({"ElementType": "MET_COLOR"}, "no known type"),
        ({"DimSize": "2 2 3"}, "truncated"),
    ],
)
def test_headers_that_make_no_scan_are_refused(tmp_path, lines, word):
    with pytest.raises(UnreadableScan, match=word):
        read_itk(header(tmp_path / "a.mha", **lines))


def test_a_file_that_cannot_be_opened_is_said(tmp_path):
    (tmp_path / "a.mha").mkdir()
    with pytest.raises(UnreadableScan, match="cannot be read"):
        read_itk(tmp_path / "a.mha")


def test_what_is_no_metaimage_is_said(tmp_path):
    (tmp_path / "a.mha").write_bytes(b"<html>")
    with pytest.raises(UnreadableScan, match="not a MetaImage file"):
        read_itk(tmp_path / "a.mha")


def test_numbered_files_are_refused_in_words(tmp_path):
    text = header(tmp_path / "a.mhd").read_bytes().partition(b"ElementDataFile")[0]
    (tmp_path / "a.mhd").write_bytes(text + b"ElementDataFile = a%02d.raw 1 3 1\n")
    with pytest.raises(UnreadableScan, match="numbered files"):
        read_itk(tmp_path / "a.mhd")
