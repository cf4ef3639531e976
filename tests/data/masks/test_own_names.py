"""Ids that a mask of 3D Slicer names itself, against the task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from segtrain.core.case import ScanSource
from segtrain.core.errors import DataError
from segtrain.core.grid import Grid
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.data.files.itk_files import write_itk
from segtrain.data.read import read_labels
from tests.faults.table import fault

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


@pytest.mark.parametrize("suffix", [".seg.nrrd", ".nhdr", ".mha", ".mhd"])
@fault("F5", "a mask that calls an id by the name of another label, NRRD or MetaImage", then="refused, with both ids")
def test_an_id_with_the_name_of_another_label_is_refused(tmp_path: Path, suffix: str) -> None:
    source = slicer_mask(tmp_path / f"a{suffix}", {1: "left kidney", 2: "liver"})
    with pytest.raises(DataError, match=r"left kidney is 1 here and 2 in task\.labels; liver is 2 here and 1"):
        read_labels(source, TASK)


@pytest.mark.parametrize("suffix", [".seg.nrrd", ".mha"])
def test_names_of_nothing_that_is_drawn_and_names_that_nobody_gave_are_no_fault(tmp_path: Path, suffix: str) -> None:
    for names in ({2: "liver"}, {1: "Segment_1", 2: "spleen"}, {1: "liver"}):
        assert read_labels(slicer_mask(tmp_path / f"a{suffix}", names, drawn=(1,)), TASK).notes == ()


@pytest.mark.parametrize("suffix", [".seg.nrrd", ".mha"])
@fault("F5", "a mask that calls an id by a name of no label", then="read, and noted which name was read as which label")
def test_a_name_of_no_label_is_noted_with_the_label_that_it_was_read_as(tmp_path: Path, suffix: str) -> None:
    found = read_labels(slicer_mask(tmp_path / f"a{suffix}", {1: "Spleen", 2: "Left_Kidney"}), TASK)
    assert found.notes == ("the mask has other names than the task: Spleen (1) is read as liver",)


def test_what_segtrain_writes_itself_is_judged_alike(tmp_path: Path) -> None:
    mask = LabelMap(np.ones((2, 3, 4), np.uint8), Grid((2, 3, 4), np.eye(4)))
    write_itk(tmp_path / "a.mha", mask, {"liver": 1, "left kidney": 2})
    assert read_labels(ScanSource(tmp_path / "a.mha"), TASK).notes == ()
    write_itk(tmp_path / "b.mha", mask, {"left kidney": 1, "liver": 2})
    with pytest.raises(DataError, match="left kidney is 1 here and 2"):
        read_labels(ScanSource(tmp_path / "b.mha"), TASK)
