"""NRRD headers, with SimpleITK as the judge."""

from __future__ import annotations

import numpy as np
import pytest

from segtrain.core.errors import UnreadableScan
from segtrain.data.files.itk_files import parts_of_itk, read_itk
from segtrain.data.files.nrrd import CELLS, NO_SPACE, NO_SPACING, segment_names
from tests import phantoms
from tests.data.itk_phantoms import VALUES, judged, write
from tests.faults.table import fault

PLAIN = {
    "type": "uint8",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "2 2 2",
    "space directions": "(0,2,0) (-1,0,0) (0,0,3)",
    "kinds": "domain domain domain",
    "encoding": "raw",
    "space origin": "(1,2,3)",
}


def header(path, data=bytes(range(8)), **lines):
    fields = {**PLAIN, **{key.replace("_", " "): value for key, value in lines.items()}}
    text = "".join(f"{key}: {value}\n" for key, value in fields.items() if value is not None)
    path.write_bytes(b"NRRD0004\n# a comment\n" + text.encode() + b"key:=value: and more\n\n" + data)
    return path


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr"])
@pytest.mark.parametrize("packed", [False, True])
def test_it_is_read_as_simpleitk_reads_it(tmp_path, suffix, packed):
    path = write(tmp_path / f"a{suffix}", packed=packed)
    volume, (array, affine) = read_itk(path), judged(path)
    np.testing.assert_array_equal(volume.array, array)
    np.testing.assert_allclose(volume.grid.affine, affine, atol=1e-12)
    assert volume.notes == ()


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int32, np.uint64, np.float32])
def test_every_kind_of_number(tmp_path, kind):
    found = read_itk(write(tmp_path / "a.nrrd", VALUES.astype(kind))).array
    assert found.dtype == kind
    np.testing.assert_array_equal(found[0], VALUES.astype(kind))


@pytest.mark.parametrize("space", ["left-posterior-superior", "right-anterior-superior", "RAS", "LAS", "LPS"])
def test_the_space_says_which_way_is_left(tmp_path, space):
    path = header(tmp_path / "a.nrrd", space=space)
    np.testing.assert_allclose(read_itk(path).grid.affine, judged(path)[1])


def test_without_a_space_lps_is_assumed_and_said(tmp_path):
    path = header(tmp_path / "a.nrrd", space=None, space_directions=None, space_origin=None, spacings="2 3 4")
    volume = read_itk(path)
    np.testing.assert_allclose(volume.grid.affine, judged(path)[1])
    assert volume.notes == (NO_SPACE,)


@pytest.mark.parametrize(
    ("lines", "channels"),
    [
        ({"sizes": "2 2 2 1", "kinds": "vector domain domain domain"}, 2),
        ({"sizes": "2 2 1 2", "kinds": "domain domain domain list"}, 2),
        ({"sizes": "1 2 2 2", "kinds": "list domain domain domain"}, 1),
    ],
)
def test_an_axis_that_is_none_of_space_is_channels(tmp_path, lines, channels):
    first = lines["kinds"].startswith(("vector", "list"))
    vectors = [*PLAIN["space directions"].split()]
    vectors.insert(0 if first else 3, "none")
    path = header(tmp_path / "a.nrrd", dimension=4, space_directions=" ".join(vectors), **lines)
    volume = read_itk(path)
    assert len(volume.array) == channels
    values = np.arange(8).reshape([int(n) for n in lines["sizes"].split()], order="F")
    np.testing.assert_array_equal(volume.array, values if first else np.moveaxis(values, -1, 0))


def test_voxels_beside_the_header_belong_to_the_scan(tmp_path):
    path = write(tmp_path / "a.nhdr", packed=True)
    assert parts_of_itk(path) == (path, tmp_path / "a.raw.gz")
    (tmp_path / "a.raw.gz").unlink()
    with pytest.raises(UnreadableScan, match=r"a\.raw\.gz is not there"):
        read_itk(path)


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        ({"sizes": "32000 32000 32000"}, "32000x32000x32000"),
        ({"sizes": "2 2"}, "sizes"),
        ({"sizes": None}, "not that of a scan"),
        ({"dimension": "seven"}, "cannot be understood"),
        ({"dimension": None}, "cannot be understood"),
        ({"type": "block"}, "type"),
        ({"encoding": "hex"}, "encoding"),
        ({"space_directions": "(0,0,0) (0,1,0) (0,0,1)"}, "spacing is not positive"),
        ({"space_directions": "(1,0,0) (1,0,0) (0,0,1)"}, "where its voxels lie"),
        ({"space_directions": "(1,0) (0,1,0) (0,0,1)"}, "no vector of 3"),
        ({"space": "left-posterior-superior-time"}, "time is an axis"),
        ({"kinds": "RGB-color domain domain"}, "colours"),
        ({"space_units": '"um" "um" "um"'}, "spacing is in um"),
        ({"units": '"mm" "mm" "cm"'}, "spacing is in cm"),
        ({"line_skip": "3"}, "ahead of the voxels"),
        ({"byte_skip": "-5"}, "ahead of the voxels"),
        ({"data_file": "a%d.raw 1 2 1"}, "numbered files"),
        ({"data_file": "../a.raw"}, "out of its folder"),
    ],
)
def test_headers_that_make_no_scan_are_refused(tmp_path, lines, word):
    with pytest.raises(UnreadableScan, match=word):
        read_itk(header(tmp_path / "a.nrrd", **lines))


def test_units_of_an_axis_that_is_none_of_space_are_its_own(tmp_path):
    axes = {"dimension": 4, "sizes": "2 2 1 2", "kinds": "domain domain domain time"}
    vectors = f"{PLAIN['space directions']} none"
    units = {"units": '"mm" "mm" "mm" "s"', "space_units": '"mm" "mm" "mm"'}
    assert len(read_itk(header(tmp_path / "a.nrrd", space_directions=vectors, **axes, **units)).array) == 2


def test_a_file_that_cannot_be_opened_is_said(tmp_path):
    (tmp_path / "a.nrrd").mkdir()
    with pytest.raises(UnreadableScan, match="cannot be read"):
        read_itk(tmp_path / "a.nrrd")


def test_what_is_no_nrrd_is_said(tmp_path):
    (tmp_path / "a.nrrd").write_bytes(b"")
    with pytest.raises(UnreadableScan, match="not a NRRD file"):
        read_itk(tmp_path / "a.nrrd")


def test_real_masks_of_another_tool_are_read_as_simpleitk_reads_them():
    files = sorted(phantoms.real_data("awkward/dicom/dcmqi").rglob("*.nrrd"))
    assert len(files) == 13
    for path in files:
        volume, (array, affine) = read_itk(path), judged(path)
        np.testing.assert_array_equal(volume.array, array)
        np.testing.assert_allclose(volume.grid.affine, affine, atol=1e-9)


FLAT = {"space": None, "space_directions": None, "space_origin": None}


@pytest.mark.parametrize("centers", ["cell cell cell", "node node node", "cell node cell", None])
@fault(
    "F3", "a NRRD with axis mins and spacings", then="read as ITK reads it: centers say cell or node, a cell if neither"
)
def test_axis_mins_are_the_edge_of_a_cell_and_the_centre_of_a_node(tmp_path, centers):
    path = header(tmp_path / "a.nrrd", **FLAT, spacings="2 3 4", axis_mins="4 5 6", centers=centers)
    volume = read_itk(path)
    np.testing.assert_allclose(volume.grid.affine, judged(path)[1])
    assert volume.notes == (NO_SPACE, *([] if centers else [CELLS]))


@pytest.mark.parametrize(
    "lines",
    [
        {**FLAT, "axis_mins": "0 0 0", "axis_maxs": "4 6 8"},
        {**FLAT, "axis_mins": "0 0 0"},
        {**FLAT, "spacings": "2 3 4", "axis_mins": "0 0 0", "axismaxs": "4 6 8"},
        {"axis_mins": "0 0 0"},
    ],
)
@fault("F3", "a NRRD with axis maxs, or with axis mins and no spacings", then="refused: programs do not read it alike")
def test_axis_limits_that_programs_do_not_read_alike_are_refused(tmp_path, lines):
    with pytest.raises(UnreadableScan, match=r"several ways[\s\S]*space directions and space origin"):
        read_itk(header(tmp_path / "a.nrrd", **lines))


def test_limits_that_are_not_known_are_none_and_a_spacing_of_1_mm_is_noted(tmp_path):
    volume = read_itk(header(tmp_path / "a.nrrd", **FLAT, axis_mins="nan nan nan"))
    assert volume.grid.spacing_mm == (1, 1, 1)
    assert volume.notes == (NO_SPACE, NO_SPACING)


def test_a_file_that_is_called_list_is_no_list(tmp_path):
    for name in ("list.raw", "LIST_of_slices.raw"):
        (tmp_path / name).write_bytes(bytes(range(8)))
        path = header(tmp_path / "a.nhdr", b"", data_file=name)
        assert read_itk(path).array.ravel(order="F").tolist() == list(range(8))
    np.testing.assert_array_equal(
        judged(header(tmp_path / "a.nhdr", b"", data_file="list.raw"))[0], read_itk(path).array
    )


def test_segments_have_their_names_by_id(tmp_path):
    keys = b"Segment0_ID:=a\nSegment0_Name:=left kidney\nSegment0_LabelValue:=4\nSegment1_LabelValue:=7\n"
    (tmp_path / "a.seg.nrrd").write_bytes(b"NRRD0004\n" + keys + b"\nSegment2_Name:=voxels\nSegment2_LabelValue:=9\n")
    assert segment_names(tmp_path / "a.seg.nrrd") == {4: "left kidney"}
    assert segment_names(header(tmp_path / "plain.nrrd")) == {}
    with pytest.raises(UnreadableScan):
        segment_names(tmp_path / "none.nrrd")
