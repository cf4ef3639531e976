"""A folder with a mask a structure is one mask; nothing is drawn over anything without a word."""

from __future__ import annotations

import os

import numpy as np
import pytest

from segtrain.core.case import ScanSource
from segtrain.core.errors import DataError, GridMismatch, UnreadableScan
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.data import structure_folder
from segtrain.data.files.nifti import write_nifti
from segtrain.data.masks.canvas import Canvas
from segtrain.data.read import all_structures, is_structure_folder, read_labels
from segtrain.data.structure_folder import structure_files
from tests import phantoms
from tests.data.dicom_phantoms import write_series
from tests.data.folders import write_scan, write_structures

TASK = Task(labels={"background": 0, "spleen": 4, "liver": 7})
ORGANS = {"liver": [(0, 0, 0), (1, 0, 0)], "spleen": [(2, 0, 0)]}


def mask(folder, task=TASK):
    return read_labels(ScanSource(folder), canvas=Canvas.of(task, None))


@pytest.mark.parametrize("value", [1, 255])
def test_structures_become_the_labels_of_their_names(tmp_path, value):
    found = mask(write_structures(tmp_path, ORGANS, value))
    expected = np.zeros((3, 3, 3), int)
    expected[0, 0, 0] = expected[1, 0, 0] = 7
    expected[2, 0, 0] = 4
    assert np.array_equal(found.array, expected)
    assert found.grid.same_space(phantoms.grid((3, 3, 3)))
    assert found.notes == ()


def test_what_no_label_is_called_after_is_left_out_and_said(tmp_path):
    found = mask(write_structures(tmp_path, {**ORGANS, "femur": [(2, 0, 0)]}))
    assert (int(found.array[2, 0, 0]), found.notes) == (4, ("left out, because no label has its name: femur",))
    (tmp_path / "spleen.nii.gz").unlink()
    with pytest.raises(DataError, match="do not match by name"):
        mask(tmp_path)


def test_structures_that_overlap_are_refused_with_the_voxels_unless_the_task_says_who_has_them(tmp_path):
    folder = write_structures(tmp_path, {"liver": [(0, 0, 0), (1, 0, 0)], "spleen": [(1, 0, 0), (2, 0, 0)]})
    with pytest.raises(DataError, match=r"spleen and liver \(1 voxel\)[\s\S]*task\.overlap: later, or --overlap later"):
        mask(folder)
    found = mask(folder, TASK.model_copy(update={"overlap": "later"}))
    assert found.array[:, 0, 0].tolist() == [7, 7, 4], "the higher id has the voxel"
    assert found.notes == ("structures overlap, and the higher id has the voxels: spleen and liver (1 voxel)",)


def test_regions_are_drawn_over_one_another(tmp_path):
    folder = write_structures(tmp_path, {"whole": [(0, 0, 0), (1, 0, 0)], "core": [(1, 0, 0)]})
    labels = {"background": 0, "rim": 1, "inner": 2}
    task = Task(labels=labels, regions={"whole": ("rim", "inner"), "core": ("inner",)})
    assert mask(folder, task).array[:, 0, 0].tolist() == [1, 2, 0]


def test_without_labels_ids_are_the_numbers_of_the_files(tmp_path):
    folder = write_structures(tmp_path, {**ORGANS, "aorta": []})
    assert read_labels(ScanSource(folder)).array[:, 0, 0].tolist() == [2, 2, 3]
    painted = all_structures(folder)
    assert (painted.drawn, painted.painting.overlaps) == (("liver", "spleen"), [])


def test_a_label_map_among_the_structures_is_refused(tmp_path):
    folder = write_structures(tmp_path, ORGANS)
    grid = phantoms.grid((3, 3, 3))
    write_nifti(folder / "liver.nii.gz", LabelMap(np.arange(27).reshape(3, 3, 3) % 3, grid))
    with pytest.raises(DataError, match=r"several ids[\s\S]*1, 2"):
        mask(folder)


def test_files_on_two_grids_are_refused_by_their_names(tmp_path):
    folder = write_structures(tmp_path, ORGANS)
    grid = phantoms.grid((3, 3, 3), spacing_mm=(2.0, 1.0, 1.0))
    write_nifti(folder / "liver.nii.gz", LabelMap(np.ones(grid.shape, np.uint8), grid))
    with pytest.raises(GridMismatch, match=r"spleen\.nii\.gz has [\s\S]*liver\.nii\.gz"):
        mask(folder)


def test_slices_of_dicom_files_and_empty_folders_are_none(tmp_path):
    write_series(tmp_path / "ct")
    write_scan(tmp_path / "ct" / "beside.nii.gz")
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "ct", tmp_path / "ct" / "beside.nii.gz", tmp_path / "empty", tmp_path / "none"):
        assert structure_files(path) == {}
    write_structures(tmp_path / "organs", {"b": [], "a": []})
    assert list(structure_files(tmp_path / "organs")) == ["a", "b"]
    assert not is_structure_folder(ScanSource(tmp_path / "organs", "1.2.3"))


def test_a_structure_that_is_there_twice_is_refused_by_both_names(tmp_path):
    folder = write_structures(tmp_path, ORGANS)
    write_scan(folder / "liver.nii")
    with pytest.raises(DataError, match=r"several files are one structure[\s\S]*liver\.nii and liver\.nii\.gz"):
        mask(folder)


def test_a_file_that_may_not_be_opened_is_named(tmp_path, monkeypatch):
    write_structures(tmp_path, ORGANS)
    (tmp_path / "locked").touch()
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0

    def closed(path):  # root may open everything
        raise PermissionError(13, "Permission denied", str(path))

    if is_root or os.name == "nt":
        monkeypatch.setattr(structure_folder, "looks_like_dicom", closed)
    else:
        (tmp_path / "locked").chmod(0)
    with pytest.raises(UnreadableScan, match=r"cannot be read[\s\S]*locked[\s\S]*Permission denied"):
        structure_files(tmp_path)
