"""Ids that a mask of 3D Slicer names itself, against the task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from segtrain.core.case import ScanSource
from segtrain.core.errors import DataError
from segtrain.core.task import Task
from segtrain.data.read import read_labels

TASK = Task(labels={"background": 0, "liver": 1, "left kidney": 2})


def slicer_mask(path: Path, names: dict[int, str], drawn: tuple[int, ...] = (1, 2)) -> ScanSource:
    """A mask with a voxel of each id, whose header names them as 3D Slicer does."""
    array = np.zeros((2, 3, 4), np.uint8)
    array.flat[: len(drawn)] = drawn
    image = SimpleITK.GetImageFromArray(array)
    for number, (label, name) in enumerate(names.items()):
        image.SetMetaData(f"Segment{number}_Name", name)
        image.SetMetaData(f"Segment{number}_LabelValue", str(label))
    SimpleITK.WriteImage(image, str(path))
    return ScanSource(path)


def test_names_that_are_those_of_the_task_are_read_whatever_their_case(tmp_path: Path) -> None:
    found = read_labels(slicer_mask(tmp_path / "a.seg.nrrd", {1: "Liver", 2: "left_kidney"}), TASK)
    assert sorted(np.unique(found.array)) == [0, 1, 2]


def test_an_id_with_the_name_of_another_label_is_refused(tmp_path: Path) -> None:
    source = slicer_mask(tmp_path / "a.seg.nrrd", {1: "left kidney", 2: "liver"})
    with pytest.raises(DataError, match=r"left kidney is 1 here and 2 in task\.labels; liver is 2 here and 1"):
        read_labels(source, TASK)


def test_names_of_nothing_that_is_drawn_and_names_of_no_label_are_no_fault(tmp_path: Path) -> None:
    read_labels(slicer_mask(tmp_path / "a.seg.nrrd", {2: "liver"}, drawn=(1,)), TASK)
    read_labels(slicer_mask(tmp_path / "b.seg.nrrd", {1: "Segment_1", 2: "Segment_2"}), TASK)
