"""A DICOM SEG that was tampered with is not the mask any more."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from segtrain.core.case import ScanSource
from segtrain.core.errors import DataError
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.data.dicom.scan import checked_series
from segtrain.data.dicom.seg import MOST_BINARY, write_seg
from segtrain.data.dicom.seg_check import require_same
from tests.data.dicom_phantoms import write_series

FEW = {"background": 0, "organ": 1, "tumour": 2}
MANY = {"background": 0, **{f"part {n}": n for n in range(1, MOST_BINARY + 2)}}


@pytest.fixture(params=[FEW, MANY], ids=["binary", "label map"])
def written(request, tmp_path):
    """A file that is as it should be, and what `require_same` compares it with."""
    source = ScanSource(tmp_path / "ct")
    write_series(source.path)
    grid = checked_series(source.path, "").grid
    task = Task(labels=request.param)
    labels = LabelMap(np.random.default_rng(1).integers(0, 3, grid.shape), grid)
    write_seg(tmp_path / "mask.dcm", labels, source, task, model="m")
    return tmp_path / "mask.dcm", (task.to_classes(labels.array), grid, task.names)


def tampered(path, change):
    data = pydicom.dcmread(path)
    change(data)
    data.save_as(path)
    return path


def require(path, truth):
    require_same(path, *truth, shown=path)


def test_the_mask_itself_is_found(written):
    require(*written)


def test_a_voxel_more_is_seen(written):
    path, (segments, grid, names) = written
    changed = segments.copy()
    changed[0, 0, 0] = 2 if segments[0, 0, 0] != 2 else 1
    with pytest.raises(DataError, match=r"tumour|part 2"):
        require(path, (changed, grid, names))


def test_a_label_that_is_not_there_is_named(written):
    path, (segments, grid, names) = written
    with pytest.raises(DataError, match=r"voxels instead of 0"):
        require(path, (np.where(segments == 1, 0, segments).astype(np.uint8), grid, names))


def test_a_negated_cosine_is_seen(written):
    """TotalSegmentator's mirror bug: the mask lay behind the scan."""
    path, truth = written

    def negate(data):
        groups = data.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
        groups.ImageOrientationPatient = [1, 0, 0, 0, -1, 0]

    with pytest.raises(DataError, match="beside the scan"):
        require(tampered(path, negate), truth)


@pytest.mark.parametrize(("shift_mm", "seen"), [(0.3, False), (0.5, True)])
def test_half_a_voxel_is_another_voxel(written, shift_mm, seen):
    path, truth = written  # columns are 0.7 mm apart

    def move(data):
        for groups in data.PerFrameFunctionalGroupsSequence:
            place = groups.PlanePositionSequence[0]
            x, y, z = place.ImagePositionPatient
            place.ImagePositionPatient = [x + shift_mm, y, z]

    tampered(path, move)
    if seen:
        with pytest.raises(DataError, match="beside the scan"):
            require(path, truth)
    else:
        require(path, truth)


def test_slices_in_another_order_are_seen(written):
    path, truth = written

    def swap(data):
        first, second = (data.PerFrameFunctionalGroupsSequence[n].PlanePositionSequence[0] for n in (0, 1))
        first.ImagePositionPatient, second.ImagePositionPatient = (
            second.ImagePositionPatient,
            first.ImagePositionPatient,
        )

    with pytest.raises(DataError, match="does not hold the mask"):
        require(tampered(path, swap), truth)


def test_a_slice_beyond_the_scan_is_seen(written):
    path, truth = written

    def lift(data):
        place = data.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
        place.ImagePositionPatient = [-10, -20, 100]

    with pytest.raises(DataError, match="beside the scan"):
        require(tampered(path, lift), truth)
