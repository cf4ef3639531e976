"""RTSTRUCT as a mask: shapes whose areas are known, on grids that lie anyhow."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from scipy.spatial.transform import Rotation

from segtrain.core.case import ScanSource
from segtrain.core.errors import DataError, GridMismatch, UnreadableScan
from segtrain.core.grid import Grid
from segtrain.core.volume import DicomOrigin
from segtrain.data.dicom.rtstruct import XOR, read_rtstruct, structure_names
from segtrain.data.masks.canvas import Canvas
from segtrain.data.read import read_volume
from tests import phantoms
from tests.data.enhanced_phantoms import group
from tests.data.rtstruct_phantoms import contour, outline, write_rtstruct
from tests.faults.table import fault

GRID = phantoms.grid((60, 50, 6), spacing_mm=(0.8, 0.8, 2.5), flips=(-1, -1, 1))


def circle(centre, radius, points=360):
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.array(centre) + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def read(path, grid=GRID, **ids):
    return read_rtstruct(path, Canvas(grid, ids or {"organ": 1}))


def oblique(seed):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.random(rng=seed).as_matrix() * (0.8, 0.8, 2.5)
    affine[:3, 3] = (-93.7, 121.3, -412.6)
    return Grid((60, 50, 6), affine)


@pytest.mark.parametrize("grid", [GRID, oblique(1), oblique(2)], ids=["axial", "oblique", "oblique too"])
@fault("F9", "RTSTRUCT with a hole", then="read, the hole is one")
def test_a_disk_with_a_hole_has_its_area_on_its_slices(tmp_path, grid):
    drawn = [outline(grid, circle((30, 25), 20.3), at) for at in (1, 2)]
    drawn += [outline(grid, circle((34, 26), 8.2), at) for at in (1, 2)]
    mask = read(write_rtstruct(tmp_path / "rt.dcm", {"Organ": drawn}), grid)
    assert mask.grid is grid
    areas = (mask.array == 1).sum(axis=(0, 1))
    assert areas[[0, 3, 4, 5]].tolist() == [0, 0, 0, 0]
    assert areas[1] == areas[2] == pytest.approx(np.pi * (20.3**2 - 8.2**2), rel=0.01)
    assert mask.array[34, 26, 1] == 0
    centre = np.argwhere(mask.array[:, :, 1]).mean(axis=0)
    weights = np.array([20.3, 8.2]) ** 2 * (1, -1)
    expected = weights @ [[30, 25], [34, 26]] / weights.sum()
    np.testing.assert_allclose(centre, expected, atol=0.05)


def test_the_frame_of_reference_and_the_series_are_those_of_the_scan(tmp_path):
    path = write_rtstruct(tmp_path / "rt.dcm", {"organ": [outline(GRID, circle((30, 25), 10), 2)], "couch": []})
    data = pydicom.dcmread(path)
    series = group(RTReferencedSeriesSequence={"SeriesInstanceUID": "1.1"})
    frame = group(RTReferencedStudySequence={"RTReferencedSeriesSequence": series.RTReferencedSeriesSequence})
    data.ReferencedFrameOfReferenceSequence = [frame]
    organ, couch = data.StructureSetROISequence
    organ.ReferencedFrameOfReferenceUID, couch.ReferencedFrameOfReferenceUID = "2.1", "2.9"
    data.save_as(path)
    mask = read_rtstruct(path, Canvas(GRID, {"organ": 1}, scan=(DicomOrigin("1.1", "2.1"),)))
    assert mask.notes == ("left out, because no label has its name: couch",)
    mask = read_rtstruct(path, Canvas(GRID, {"organ": 1}, scan=(DicomOrigin("1.2", "2.1"),)))
    assert "another series" in mask.notes[1]
    with pytest.raises(GridMismatch, match="another frame of reference"):
        read_rtstruct(path, Canvas(GRID, {"organ": 1}, scan=(DicomOrigin("1.1", "2.2"),)))


def test_structures_become_labels_by_name_and_the_rest_is_said(tmp_path):
    drawn = {
        "Left_Lung": [outline(GRID, circle((12, 25), 8), 2)],
        "Couch": [outline(GRID, circle((30, 25), 20), 2)],
        "right lung": [outline(GRID, circle((45, 25), 8), 2)],
    }
    mask = read(write_rtstruct(tmp_path / "rt.dcm", drawn), **{"left lung": 5, "right lung": 3})
    assert (mask.array[12, 25, 2], mask.array[45, 25, 2], mask.array[30, 25, 2]) == (5, 3, 0)
    assert mask.notes == ("left out, because no label has its name: Couch",)


def test_a_structure_without_contours_is_empty(tmp_path):
    path = write_rtstruct(tmp_path / "rt.dcm", {"organ": None, "tumour": []})
    assert not read(path, organ=1, tumour=2).array.any()


def test_points_and_lines_are_left_out_and_said(tmp_path):
    drawn = [
        outline(GRID, circle((30, 25), 10), 2),
        outline(GRID, [[5, 5]], 2, "POINT"),
        outline(GRID, [[5, 5], [9, 9], [5, 9]], 2, "OPEN_PLANAR"),
        outline(GRID, [[5, 5], [9, 9]], 2),
    ]
    mask = read(write_rtstruct(tmp_path / "rt.dcm", {"organ": drawn}))
    assert not mask.array[:15, :10].any()
    assert [note.partition("(")[2] for note in mask.notes] == [
        "POINT) are left out",
        "OPEN_PLANAR) are left out",
        "CLOSED_PLANAR) are left out",
    ]


AGAIN = {
    "as it is": lambda points: points,
    "from another point": lambda points: np.roll(points, 100, axis=0),
    "the other way": lambda points: points[::-1],
    "the other way from another point": lambda points: np.roll(points[::-1], 7, axis=0),
    "closed by its first point": lambda points: np.concatenate([points, points[:1]]),
}


@pytest.mark.parametrize("again", AGAIN.values(), ids=AGAIN)
@pytest.mark.parametrize("grid", [GRID, oblique(1)], ids=["axial", "oblique"])
def test_a_contour_that_is_there_twice_is_no_hole(tmp_path, again, grid):
    points = circle((30, 25), 10)
    once = read(write_rtstruct(tmp_path / "once.dcm", {"organ": [outline(grid, points, 2)]}), grid)
    drawn = [outline(grid, points, 2), outline(grid, again(points), 2)]
    twice = read(write_rtstruct(tmp_path / "rt.dcm", {"organ": drawn}), grid)
    assert twice.array[30, 25, 2] == 1
    np.testing.assert_array_equal(twice.array, once.array)


def test_a_structure_whose_outlines_hold_no_voxel_is_said(tmp_path):
    path = write_rtstruct(tmp_path / "rt.dcm", {"organ": [outline(GRID, circle((30.5, 25.5), 0.3), 2)]})
    mask = read(path)
    assert not mask.array.any()
    assert mask.notes == ("organ: no voxel has its centre within its outlines",)


@pytest.mark.parametrize("number", [0, -1, 70_000, 2**31 - 1])
def test_a_structure_may_have_any_number(tmp_path, number):
    """0 is one that programs write, and not the background."""
    path = write_rtstruct(tmp_path / "rt.dcm", {"organ": [outline(GRID, circle((30, 25), 10), 2)]})
    wanted = read(path).array
    data = pydicom.dcmread(path)
    data.StructureSetROISequence[0].ROINumber = number
    data.ROIContourSequence[0].ReferencedROINumber = number
    data.save_as(path)
    np.testing.assert_array_equal(read(path).array, wanted)


def test_what_lies_beyond_the_scan_is_said_and_what_reaches_beyond_is_cut(tmp_path):
    drawn = [outline(GRID, circle((30, 25), 10), at) for at in (-1, 0, 6)]
    drawn += [outline(GRID, circle((200, 25), 10), 3), outline(GRID, circle((0, 25), 10), 4)]
    mask = read(write_rtstruct(tmp_path / "rt.dcm", {"organ": drawn}))
    assert mask.notes == ("organ: 3 contours beyond the scan are left out", "organ: 1 contours are cut at its border")
    assert [bool(mask.array[:, :, at].any()) for at in range(6)] == [True, False, False, False, True, False]


def test_a_structure_all_beyond_the_scan_was_drawn_on_another(tmp_path):
    drawn = [outline(GRID, circle((30, 25), 10), at) for at in (16, 17)]
    with pytest.raises(GridMismatch, match="organ lies beyond the scan"):
        read(write_rtstruct(tmp_path / "rt.dcm", {"organ": drawn}))


@pytest.mark.parametrize(("off", "note"), [(0.009, ""), (0.02, "up to 0.05 mm beside"), (0.02 + 1 / 50, "0.1 mm")])
def test_outlines_lie_on_slices_and_beyond_rounding_it_is_said_how_far_off(tmp_path, off, note):
    """0.05 mm is what a height with one decimal may be off."""
    mask = read(write_rtstruct(tmp_path / "rt.dcm", {"organ": [outline(GRID, circle((30, 25), 10), 2 + off)]}))
    assert mask.array[30, 25, 2] == 1
    assert note in " ".join(mask.notes)
    assert bool(mask.notes) == bool(note)


@pytest.mark.parametrize("off", [0.12, 0.5])
def test_outlines_between_slices_are_refused(tmp_path, off):
    path = write_rtstruct(tmp_path / "rt.dcm", {"organ": [outline(GRID, circle((30, 25), 10), 2 + off)]})
    with pytest.raises(GridMismatch, match=f"organ was not drawn on the slices[\\s\\S]*{off * 2.5:.3g} mm"):
        read(path)


@fault("F6", "RTSTRUCT of thick slices on the thin scan of the same patient", then="refused, both distances")
@pytest.mark.parametrize(("drawn", "refused"), [((0, 2, 4), True), ((2, 5), False), ((0, 2, 3), False)])
def test_outlines_on_every_other_slice_are_no_stripes(tmp_path, drawn, refused):
    path = write_rtstruct(tmp_path / "rt.dcm", {"organ": [outline(GRID, circle((30, 25), 10), at) for at in drawn]})
    if refused:
        with pytest.raises(GridMismatch, match=r"organ was drawn on thicker[\s\S]*5 mm apart, those of the scan 2.5"):
            read(path)
    else:
        assert tuple(np.flatnonzero(read(path).array.any(axis=(0, 1)))) == drawn


def box(low, high, kind="CLOSED_PLANAR"):
    corners = [[low, 3.5], [high, 3.5], [high, 9.5], [low, 9.5]]
    return outline(GRID, corners, 2, kind)


@fault("F9", "RTSTRUCT of outlines that cross, or are there twice", then="read as one area, and said")
def test_outlines_that_cross_are_one_area_and_it_is_said(tmp_path):
    mask = read(write_rtstruct(tmp_path / "rt.dcm", {"organ": [box(3.5, 9.5), box(5.5, 11.5)]}))
    assert mask.array.sum() == 8 * 6
    assert mask.notes == ("organ: outlines cross on 1 slice, as 3, and are taken together there",)


def test_outlines_that_say_xor_are_taken_so(tmp_path):
    mask = read(write_rtstruct(tmp_path / "rt.dcm", {"organ": [box(3.5, 9.5, XOR), box(5.5, 11.5, XOR)]}))
    assert mask.array.sum() == 4 * 6
    assert mask.notes == ()


def test_an_outline_that_is_there_twice_with_another_corner_counts_once(tmp_path):
    again = outline(GRID, [[3.5, 3.5], [7, 3.5], [9.5, 3.51], [9.5, 9.5], [3.5, 9.5]], 2)
    mask = read(write_rtstruct(tmp_path / "rt.dcm", {"organ": [box(3.5, 9.5), again]}))
    assert mask.array.sum() == 6 * 6
    assert mask.notes == ("organ: 1 contours are there twice, and count once",)


def test_outlines_across_slices_are_refused(tmp_path):
    points = GRID.positions_mm(np.array([[10.0, 5, 0], [10, 40, 0], [10, 40, 5], [10, 5, 5]])) * (-1, -1, 1)
    with pytest.raises(GridMismatch, match="run across slices"):
        read(write_rtstruct(tmp_path / "rt.dcm", {"organ": [contour(points)]}))


def test_all_faults_are_told_at_once(tmp_path):
    drawn = {name: [outline(GRID, circle((30, 25), 10), at)] for name, at in (("a", 2.3), ("b", 3.4))}
    with pytest.raises(GridMismatch) as error:
        read(write_rtstruct(tmp_path / "rt.dcm", drawn), a=1, b=2)
    assert len(error.value.problems) == 2


def test_structures_that_overlap_are_refused_by_name(tmp_path):
    drawn = {name: [outline(GRID, circle((x, 25), 10), 2)] for name, x in (("a", 25), ("b", 35))}
    with pytest.raises(DataError, match="a and b"):
        read(write_rtstruct(tmp_path / "rt.dcm", drawn), a=1, b=2)


def test_points_that_are_none_are_refused(tmp_path):
    broken = outline(GRID, circle((30, 25), 10), 2)
    broken.ContourData = ["1", "2", "3", "4"]
    with pytest.raises(UnreadableScan, match="4 numbers"):
        read(write_rtstruct(tmp_path / "rt.dcm", {"organ": [broken]}))


def test_without_a_grid_there_is_no_mask(tmp_path):
    path = write_rtstruct(tmp_path / "rt.dcm", {"organ": []})
    with pytest.raises(DataError, match="has no voxels"):
        read_rtstruct(path, Canvas(None, {"organ": 1}))


def shoelace_mm2(points):
    x, y = np.asarray(points, dtype=float).reshape(-1, 3)[:, :2].T
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def test_a_real_ring_has_the_area_of_its_outlines():
    folder = phantoms.real_data("awkward/dicom/rt_utils/mock_data")
    grid = read_volume([ScanSource(folder)]).grid
    found = read(folder / "rt.dcm", grid, **{"roi-1": 1}).array.sum(axis=(0, 1)) * grid.spacing_mm[0] ** 2
    (roi,) = pydicom.dcmread(folder / "rt.dcm").ROIContourSequence
    one, other = (shoelace_mm2(c.ContourData) for c in roi.ContourSequence)
    assert found == pytest.approx([abs(one - other), 0], rel=0.03)


def test_real_outlines_beyond_a_scan_are_said():
    folder = phantoms.real_data("awkward/dicom/rt_utils/mock_data")
    grid = read_volume([ScanSource(folder)]).grid
    mask = read(folder / "invalid_reference_rt.dcm", grid, **{f"ROI-{n}": n for n in (1, 2, 3, 4)})
    assert mask.notes == tuple(f"ROI-{n}: 1 contours beyond the scan are left out" for n in (1, 2, 3, 4))


def test_a_real_heart_has_the_volume_of_its_outlines():
    path = phantoms.real_data("awkward/dicom/dicompyler_core/example_data") / "rtss.dcm"
    grid = Grid((512, 512, 60), [[-1.0742, 0, 0, 275], [0, -1.0742, 0, 524], [0, 0, 3, -98.44], [0, 0, 0, 1]])
    mask = read(path, grid, heart=1)
    heart = next(r for r in pydicom.dcmread(path).ROIContourSequence if r.ReferencedROINumber == 5)
    wanted = sum(shoelace_mm2(c.ContourData) for c in heart.ContourSequence) * 3 / 1000
    assert mask.array.sum() * grid.voxel_volume_ml == pytest.approx(wanted, rel=0.01)
    assert mask.notes[0].startswith("left out, because no label has its name: BODY, Areola")


def renumbered(path, sequence, name):
    """The second structure gets the number of the first one."""
    data = pydicom.dcmread(path)
    setattr(data[sequence][1], name, 1)
    data.save_as(path)
    return path


@fault("F9", "two structures of an RTSTRUCT with one number", then="refused, both names")
def test_two_structures_of_one_number_are_refused_by_name(tmp_path):
    drawn = {name: [outline(GRID, circle((30, 25), 10), 2)] for name in ("Liver", "Spleen")}
    path = renumbered(write_rtstruct(tmp_path / "rt.dcm", drawn), "StructureSetROISequence", "ROINumber")
    with pytest.raises(UnreadableScan, match="2 structures have the number 1: Liver, Spleen"):
        read(path, liver=1, spleen=2)
    with pytest.raises(UnreadableScan, match="Liver, Spleen"):
        structure_names(path)


def test_contours_that_are_there_twice_for_one_structure_are_refused(tmp_path):
    drawn = {name: [outline(GRID, circle((30, 25), 10), 2)] for name in ("Liver", "Spleen")}
    path = renumbered(write_rtstruct(tmp_path / "rt.dcm", drawn), "ROIContourSequence", "ReferencedROINumber")
    with pytest.raises(UnreadableScan, match="the contours of Liver are there twice"):
        read(path, liver=1, spleen=2)
