"""Slices of a SEG that are farther apart than those of the scan, and what is left of them without a scan."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from highdicom.seg import segread

from segtrain.core.case import ScanSource
from segtrain.core.errors import GridMismatch
from segtrain.core.grid import Grid
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.data.dicom.scan import checked_series
from segtrain.data.dicom.seg import write_seg
from segtrain.data.dicom.seg_read import read_seg
from segtrain.data.masks.canvas import Canvas
from tests.data.dicom_phantoms import write_series
from tests.faults.table import fault
from tests.phantoms import real_data

TASK = Task(labels={"background": 0, "liver": 1, "spleen": 2})


def seg(folder, drawn=(1, 2, 3), step_mm=3.0, thick_mm=5.0, **measures):
    """A file with a liver of 4 x 2 pixels on these of six slices; what its PixelMeasures say may be replaced."""
    series = ScanSource(folder / "ct")
    write_series(series.path, [step_mm * n for n in range(6)], SliceThickness=thick_mm)
    grid = checked_series(series.path, "").grid
    array = np.zeros(grid.shape, np.uint8)
    array[:4, :2, list(drawn)] = 1
    write_seg(folder / "seg.dcm", LabelMap(array, grid), series, TASK, model="m")
    data = pydicom.dcmread(folder / "seg.dcm")
    own = data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    for name, value in measures.items():
        if value is None:
            own.pop(name, None)
        else:
            setattr(own, name, value)
    data.save_as(folder / "seg.dcm")
    return folder / "seg.dcm"


def thin(step_mm=1.0, shape=(5, 6, 18)):
    affine = np.diag([-0.7, -0.8, step_mm, 1.0])
    affine[:3, 3] = 10, 20, 0
    return Grid(shape, affine)


@fault("F6", "DICOM SEG of thick slices on the thin scan of the same patient", then="refused, both distances")
def test_thick_slices_are_no_stripes_on_a_thin_scan(tmp_path):
    with pytest.raises(GridMismatch, match=r"the mask was drawn on thicker[\s\S]*3 mm apart, those of the scan 1 mm"):
        read_seg(seg(tmp_path), Canvas.of(TASK, thin()))


def test_one_thick_slice_is_refused_as_well(tmp_path):
    with pytest.raises(GridMismatch, match="thicker"):
        read_seg(seg(tmp_path, drawn=[2]), Canvas.of(TASK, thin()))


@pytest.mark.parametrize(("drawn", "refused"), [((1, 2, 3), True), ((1, 2), False)])
def test_without_a_distance_in_the_file_its_frames_tell_from_three_on(tmp_path, drawn, refused):
    path = seg(tmp_path, drawn, SpacingBetweenSlices=None)
    if refused:
        with pytest.raises(GridMismatch, match="liver was drawn on thicker"):
            read_seg(path, Canvas.of(TASK, thin()))
    else:
        assert read_seg(path, Canvas.of(TASK, thin())).array.sum() == 16


def test_a_mask_that_was_drawn_sparsely_on_this_scan_is_read(tmp_path):
    """Its file says how far apart the slices of the scan are, whichever of them have frames."""
    path = seg(tmp_path, drawn=(0, 2, 4))
    assert read_seg(path, Canvas.of(TASK, thin(3.0, (5, 6, 6)))).array.sum(axis=(0, 1)).tolist() == [8, 0, 8, 0, 8, 0]


@pytest.mark.parametrize("measures", [{"SliceThickness": 9}, {"SpacingBetweenSlices": 9}], ids=lambda m: next(iter(m)))
def test_thickness_and_what_frames_belie_refuse_nothing(tmp_path, measures):
    found = read_seg(seg(tmp_path, **measures), Canvas.of(TASK, thin(3.0, (5, 6, 6))))
    assert found.array.sum() == 24


@pytest.mark.parametrize("drawn", [(2,), (1, 5), (0, 3)])
@fault("F9", "DICOM SEG of few frames without its scan", then="read, as far apart as the file says")
def test_without_a_scan_slices_are_as_far_apart_as_the_file_says(tmp_path, drawn):
    path = seg(tmp_path, drawn)
    mask = read_seg(path, Canvas(None))
    judge = segread(path).get_volume(combine_segments=True, allow_missing_positions=True)
    assert mask.grid.spacing_mm[2] == pytest.approx(judge.spacing[0]) == 3
    assert mask.array.sum() * mask.grid.voxel_volume_ml == pytest.approx(len(drawn) * 8 * 0.7 * 0.8 * 3 / 1000)
    assert mask.notes == ()


THICK, NEITHER = (
    {"SpacingBetweenSlices": None, "SliceThickness": 3},
    {"SpacingBetweenSlices": None, "SliceThickness": 7},
)


@pytest.mark.parametrize(
    ("drawn", "measures", "apart_mm", "note"),
    [
        ((1, 5), {"SpacingBetweenSlices": 2.9999}, 3, ""),
        ((1, 5), THICK, 3, ""),
        ((0, 2, 4), THICK, 6, "6 mm are taken, the smallest distance"),  # thin slices with gaps between them
        ((1, 5), NEITHER, 12, "12 mm are taken, the smallest distance"),
        ((2,), NEITHER, 7, ""),
        ((2,), {"SpacingBetweenSlices": None, "SliceThickness": None}, 0.7, "0.7 mm are taken, the width of a pixel"),
    ],
)
def test_thickness_is_the_second_choice_and_what_is_guessed_is_said(tmp_path, drawn, measures, apart_mm, note):
    path = seg(tmp_path, drawn, **measures)
    mask = read_seg(path, Canvas(None))
    assert mask.grid.spacing_mm[2] == pytest.approx(apart_mm)
    assert note in " ".join(mask.notes)
    assert bool(mask.notes) == bool(note)
    assert read_seg(path, Canvas(mask.grid)).notes == mask.notes  # on the grid that two masks have together


def test_a_real_label_map_with_a_slice_left_out_has_it_again():
    (path,) = real_data("awkward/dicom/dcmqi").rglob("sparse-labelmap-noppv.dcm")
    assert read_seg(path, Canvas(None)).grid.spacing_mm[2] == pytest.approx(2.5)
