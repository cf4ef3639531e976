"""DICOM SEG as a mask: placed by its positions, whatever order, crop or direction its frames have."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from highdicom.seg import segread
from pydicom.uid import JPEG2000Lossless

from segtrain.core.case import ScanSource
from segtrain.core.errors import DataError, GridMismatch, UnreadableScan
from segtrain.core.grid import Grid
from segtrain.core.task import Task
from segtrain.core.volume import DicomOrigin, LabelMap
from segtrain.data.dicom.seg import MOST_BINARY, write_seg
from segtrain.data.dicom.seg_read import read_seg, seg_grid
from segtrain.data.masks.canvas import Canvas
from segtrain.data.read import read_labels
from segtrain.data.same_grid import require_same_grid
from tests.data.dicom.test_seg import OBLIQUE, TASK, by_highdicom, drawn_on, series_on
from tests.faults.table import fault
from tests.phantoms import real_data

TURNS = {
    "axial": np.eye(3),
    "mirrored": np.diag([-1.0, 1, -1]),
    "sagittal": np.eye(3)[[2, 0, 1]],
    "oblique": OBLIQUE[0],
    "oblique and mirrored": OBLIQUE[1] * (1, -1, 1),
}


@pytest.fixture(scope="module")
def axial(tmp_path_factory):
    """A file of three segments, the mask that it holds, and its scan."""
    folder = tmp_path_factory.mktemp("axial")
    source = series_on(folder / "ct", np.eye(3))
    labels = drawn_on(source)
    labels.array[:, :, 0] = 0  # a frame that highdicom leaves out
    write_seg(folder / "mask.dcm", labels, source, TASK, model="m")
    return folder / "mask.dcm", labels


def changed(axial, folder, change):
    data = pydicom.dcmread(axial[0])
    change(data)
    data.save_as(folder / "changed.dcm")
    return folder / "changed.dcm"


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
@fault("F9", "DICOM SEG as a mask", then="read voxel for voxel")
def test_what_was_written_is_read_again_voxel_for_voxel(tmp_path, turn):
    source = series_on(tmp_path / "ct", turn)
    labels = drawn_on(source)
    write_seg(tmp_path / "mask.dcm", labels, source, TASK, model="m")
    found = read_labels(ScanSource(tmp_path / "mask.dcm"), canvas=Canvas.of(TASK, labels.grid))
    np.testing.assert_array_equal(found.array, labels.array)
    assert found.grid.same_space(labels.grid)
    judge = by_highdicom(tmp_path / "mask.dcm", labels.grid)
    np.testing.assert_array_equal(judge == 3, found.array == TASK.labels["tumour"])


def test_a_label_map_is_read_as_well(tmp_path):
    task = Task(labels={"background": 0, **{f"part {n}": n for n in range(1, MOST_BINARY + 2)}})
    source = series_on(tmp_path / "ct", np.eye(3))
    grid = drawn_on(source).grid
    labels = LabelMap(np.random.default_rng(1).integers(0, 5, grid.shape), grid)
    write_seg(tmp_path / "mask.dcm", labels, source, task, model="m")
    assert pydicom.dcmread(tmp_path / "mask.dcm").SegmentationType == "LABELMAP"
    np.testing.assert_array_equal(read_seg(tmp_path / "mask.dcm", Canvas.of(task, grid)).array, labels.array)


def test_a_scan_of_another_direction_gets_the_same_voxels(axial):
    path, labels = axial
    flipped = Grid(
        (4, 6, 5),
        labels.grid.affine @ np.array([[0, -1, 0, 5], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]),
    )
    found = read_seg(path, Canvas.of(TASK, flipped))
    assert found.grid.same_space(flipped)
    np.testing.assert_array_equal(found.array, labels.array[::-1].transpose(2, 0, 1))


def test_a_larger_scan_holds_it_where_it_was_drawn(axial):
    path, labels = axial
    larger = Grid((9, 9, 9), labels.grid.affine @ np.array([[1, 0, 0, -2], [0, 1, 0, -1], [0, 0, 1, -3], [0, 0, 0, 1]]))
    found = read_seg(path, Canvas.of(TASK, larger)).array
    np.testing.assert_array_equal(found[2:8, 1:6, 3:7], labels.array)
    assert (found > 0).sum() == (labels.array > 0).sum()


def test_a_smaller_scan_does_not(axial):
    path, labels = axial
    with pytest.raises(GridMismatch, match="beyond the scan"):
        read_seg(path, Canvas.of(TASK, Grid((6, 5, 2), labels.grid.affine)))


@pytest.mark.parametrize(("factor", "word"), [((1, 1, 2), "not on the grid"), ((0.5, 0.5, 1), "not on the grid")])
def test_another_spacing_is_another_grid(axial, factor, word):
    path, labels = axial
    with pytest.raises(GridMismatch, match=word):
        read_seg(path, Canvas.of(TASK, Grid((20, 20, 20), labels.grid.affine @ np.diag([*factor, 1.0]))))


@pytest.mark.parametrize("shift", [0.3, 0.7])
def test_a_shift_of_less_than_half_a_voxel_is_told_and_of_more_refused(axial, shift):
    path, labels = axial
    affine = labels.grid.affine.copy()
    affine[:3, 3] += shift * affine[:3, 0]
    scan = Grid(labels.grid.shape, affine)
    if shift < 0.5:
        found = read_seg(path, Canvas.of(TASK, scan))
        np.testing.assert_array_equal(found.array, labels.array)
        assert "0.3 voxels" in require_same_grid(scan, found.grid)
    else:
        with pytest.raises(GridMismatch):
            read_seg(path, Canvas.of(TASK, scan))


def test_frames_in_another_order_are_the_same_mask(axial, tmp_path):
    def swap(data):
        rows = data.Rows * data.Columns
        bits = np.unpackbits(np.frombuffer(data.PixelData, np.uint8), bitorder="little")[: rows * data.NumberOfFrames]
        turned = np.packbits(bits.reshape(-1, rows)[::-1].ravel(), bitorder="little").tobytes()
        data.PixelData = turned + b"\0" * (len(turned) % 2)
        data.PerFrameFunctionalGroupsSequence = list(data.PerFrameFunctionalGroupsSequence)[::-1]

    found = read_seg(changed(axial, tmp_path, swap), Canvas.of(TASK, axial[1].grid))
    np.testing.assert_array_equal(found.array, axial[1].array)


def test_without_a_scan_it_lies_on_the_smallest_grid_that_holds_its_frames(axial):
    path, labels = axial
    mask = read_seg(path, Canvas(None))
    assert mask.grid.shape == (6, 5, 3)
    assert mask.grid.same_space(Grid((6, 5, 3), labels.grid.affine @ _lifted(1)), 1e-3)
    numbers = {2: 1, 300: 3}
    for label, number in numbers.items():
        np.testing.assert_array_equal(mask.array == number, labels.array[:, :, 1:] == label)


def test_two_of_one_scan_have_a_grid_together(tmp_path):
    source = series_on(tmp_path / "ct", OBLIQUE[0])
    labels = drawn_on(source)
    for name, kept in (("a", 0), ("b", 3)):
        part = np.zeros_like(labels.array)
        part[:, :, kept] = 2
        write_seg(tmp_path / f"{name}.dcm", LabelMap(part, labels.grid), source, TASK, model="m")
    files = [tmp_path / "a.dcm", tmp_path / "b.dcm"]
    assert seg_grid(files).shape == (6, 5, 4)  # a frame alone does not know of the others, PixelMeasures do
    write_seg(tmp_path / "c.dcm", labels, source, TASK, model="m")
    assert seg_grid([*files, tmp_path / "c.dcm"]).same_space(labels.grid, 1e-3)


def test_segments_that_overlap_are_named(axial, tmp_path):
    def fill(data):
        data.PixelData = b"\xff" * len(data.PixelData)

    with pytest.raises(DataError, match=r"organ and nowhere|organ and tumour"):
        read_seg(changed(axial, tmp_path, fill), Canvas.of(TASK, axial[1].grid))


@pytest.mark.parametrize(("origin", "word"), [(("1.2", "1.2.3"), "another series"), (("1.2", "1.2.4"), "")])
def test_the_frame_of_reference_and_the_series_are_those_of_the_scan(axial, origin, word):
    canvas = Canvas.of(TASK, axial[1].grid, scan=(DicomOrigin(*origin),))
    if word:
        assert word in read_seg(axial[0], canvas).notes[-1]
    else:
        with pytest.raises(GridMismatch, match="another frame of reference"):
            read_seg(axial[0], canvas)


def test_segments_whose_names_do_not_match_are_listed(axial):
    task = Task(labels={"background": 0, "organ": 2, "lesion": 300})
    with pytest.raises(DataError, match=r"organ, nowhere, tumour; the task has organ, lesion"):
        read_seg(axial[0], Canvas.of(task, axial[1].grid))


def test_segments_that_the_file_does_not_describe_are_refused(axial, tmp_path):
    def forget(data):
        data.SegmentSequence = data.SegmentSequence[:2]

    with pytest.raises(DataError, match=r"numbers 3, of segments 1, 2"):
        read_seg(changed(axial, tmp_path, forget), Canvas.of(TASK, axial[1].grid))


@fault("F9", "two segments of a DICOM SEG with one number", then="refused, both names")
def test_two_segments_of_one_number_are_refused_by_name(axial, tmp_path):
    def renumber(data):
        data.SegmentSequence[2].SegmentNumber = 1

    names = [s.SegmentLabel for s in pydicom.dcmread(axial[0]).SegmentSequence]
    with pytest.raises(UnreadableScan, match=f"2 segments have the number 1: {names[0]}, {names[2]}"):
        read_seg(changed(axial, tmp_path, renumber), Canvas.of(TASK, axial[1].grid))


def test_frames_that_are_not_all_there_are_refused(axial, tmp_path):
    def cut(data):
        data.PixelData = data.PixelData[:-8]

    with pytest.raises(UnreadableScan, match="truncated"):
        read_seg(changed(axial, tmp_path, cut), Canvas.of(TASK, axial[1].grid))


def test_frames_that_no_codec_takes_are_refused(axial, tmp_path):
    def pack(data):
        data.file_meta.TransferSyntaxUID = JPEG2000Lossless
        data.PixelData = pydicom.encaps.encapsulate([b"\0" * 64] * data.NumberOfFrames)
        data["PixelData"].is_undefined_length = True
        data.BitsAllocated = data.BitsStored = 8
        data.HighBit = 7

    with pytest.raises(UnreadableScan, match="cannot be decoded"):
        read_seg(changed(axial, tmp_path, pack), Canvas.of(TASK, axial[1].grid))


@pytest.mark.parametrize("name", ["PlaneOrientationSequence", "PixelMeasuresSequence"])
def test_frames_without_a_place_are_refused(axial, tmp_path, name):
    path = changed(axial, tmp_path, lambda data: delattr(data.SharedFunctionalGroupsSequence[0], name))
    with pytest.raises(UnreadableScan, match=f"no {name}"):
        read_seg(path, Canvas.of(TASK, axial[1].grid))


def test_an_empty_group_of_a_frame_leaves_it_to_the_shared_one(axial, tmp_path):
    def empty(data):
        for frame in data.PerFrameFunctionalGroupsSequence:
            frame.PixelMeasuresSequence = []

    found = read_seg(changed(axial, tmp_path, empty), Canvas.of(TASK, axial[1].grid))
    np.testing.assert_array_equal(found.array, axial[1].array)


def test_real_fractions_are_read_where_they_are_all_or_nothing():
    folder = real_data("awkward/dicom/highdicom")
    whole = read_labels(ScanSource(folder / "seg_image_ct_binary_fractional.dcm"))
    np.testing.assert_array_equal(whole.array, read_labels(ScanSource(folder / "seg_image_ct_binary.dcm")).array)
    with pytest.raises(DataError, match="holds fractions"):
        read_labels(ScanSource(folder / "seg_image_ct_true_fractional.dcm"))


@pytest.mark.parametrize("name", ["liver.dcm", "sparse-labelmap-ppv5.dcm", "sparse-labelmap-noppv.dcm"])
def test_real_masks_are_as_highdicom_reads_them(name):
    (path,) = real_data("awkward/dicom/dcmqi").rglob(name)
    mask = read_labels(ScanSource(path))
    volume = segread(path).get_volume(combine_segments=True, allow_missing_positions=True)
    for index in np.argwhere(volume.array)[::997]:
        place = np.diag([-1, -1, 1, 1]) @ volume.affine @ [*index, 1]
        at = np.rint((np.linalg.inv(mask.grid.affine) @ place)[:3]).astype(int)
        assert mask.array[tuple(at)] == volume.array[tuple(index)]
    assert (mask.array > 0).sum() == (volume.array > 0).sum()


def test_real_segments_that_overlap_or_lie_nowhere_are_refused():
    with pytest.raises(DataError, match="GREEN and ORANGE"):
        read_labels(ScanSource(next(real_data("awkward/dicom/dcmqi").rglob("partial_overlaps.dcm"))))
    folder = real_data("awkward/dicom/highdicom")
    for name in ("seg_image_cr_binary.dcm", "seg_image_sm_control.dcm", "seg_image_sm_dots_tiled_full.dcm"):
        with pytest.raises(UnreadableScan, match="do not say where they lie"):
            read_labels(ScanSource(folder / name))


def _lifted(slices):
    step = np.eye(4)
    step[2, 3] = slices
    return step
