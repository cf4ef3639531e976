"""Structures with names become labels with ids, or say why not."""

from __future__ import annotations

import numpy as np
import pytest

from segtrain.core.errors import DataError, GridMismatch
from segtrain.core.task import Task
from segtrain.core.volume import DicomOrigin
from segtrain.data.masks.canvas import Canvas, Painting, by_names, by_numbers, require_drawn_on_scan
from tests import phantoms

TASK = Task(labels={"background": 0, "left kidney": 4, "tumour": 7})
REGIONS = Task(
    labels={"background": 0, "oedema": 2, "core": 1, "active": 4},
    regions={"whole": ("oedema", "core", "active"), "tumour": ("core", "active"), "active": ("active",)},
)
GRID = phantoms.grid((3, 2, 2))


def at(*index):
    return np.array(index, dtype=np.intp).T


def test_names_match_in_any_case_and_with_blanks_for_underscores(tmp_path):
    meant = by_names(tmp_path, {1: "TUMOUR ", 2: "Left_Kidney"}, Canvas.of(TASK, GRID))
    assert (dict(meant.ids), meant.notes) == ({2: 4, 1: 7}, ())


def test_several_structures_of_one_name_are_one_label(tmp_path):
    meant = by_names(tmp_path, {1: "tumour", 5: "tumour", 2: "left kidney"}, Canvas.of(TASK, GRID))
    assert dict(meant.ids) == {2: 4, 1: 7, 5: 7}


def test_what_is_left_over_on_one_side_is_said(tmp_path):
    more = by_names(tmp_path, {1: "tumour", 2: "left kidney", 3: "couch"}, Canvas.of(TASK, GRID))
    assert (set(more.ids), more.notes) == ({1, 2}, ("left out, because no label has its name: couch",))
    fewer = by_names(tmp_path, {1: "left kidney"}, Canvas.of(TASK, GRID))
    assert (dict(fewer.ids), fewer.notes) == ({1: 4}, ("taken to be absent: tumour",))


@pytest.mark.parametrize("names", [{1: "lesion", 2: "left kidney"}, {3: "lesion"}, {}])
def test_what_is_left_over_on_both_sides_is_an_error_that_lists_them(tmp_path, names):
    with pytest.raises(DataError, match="do not match by name") as error:
        by_names(tmp_path, names, Canvas.of(TASK, GRID))
    for word in (*names.values(), "left kidney", "tumour", "task.labels", "task.partial"):
        assert word in str(error.value)


def test_labels_that_were_not_drawn_in_a_case_are_not_looked_for(tmp_path):
    task = Task(labels=TASK.labels, partial={"P1": ("left kidney",)})
    assert dict(Canvas.of(task, GRID, "P1").ids) == {"left kidney": 4}
    assert by_names(tmp_path, {1: "Left kidney"}, Canvas.of(task, GRID, "P1")).notes == ()
    assert len(Canvas.of(task, GRID, "P2").ids) == 2


@pytest.mark.parametrize("names", [{4: "Segment 4", 7: "segment_7"}, {4: "", 7: " "}, {4: "ROI", 7: "7"}])
def test_numbers_are_ids_where_no_structure_has_a_name_of_its_own(names):
    meant = by_numbers(names, Canvas.of(TASK, GRID))
    assert dict(meant.ids) == {4: 4, 7: 7}
    assert f"their numbers are taken: 4 ({names[4]})" in meant.notes[0]


def test_names_of_no_label_are_not_passed_over_for_numbers_that_fit(tmp_path):
    """Neoplasm is no kidney, though its number is that of one."""
    names, canvas = {4: "Neoplasm", 7: "Nephros"}, Canvas.of(TASK, GRID)
    assert by_numbers(names, canvas) is None
    with pytest.raises(DataError, match="Neoplasm, Nephros"):
        by_names(tmp_path, names, canvas)


def test_one_structure_and_one_label_are_each_other_and_it_is_said():
    meant = by_numbers({4: "Neoplasm"}, Canvas(GRID, {"tumour": 4}))
    assert (dict(meant.ids), "4 (Neoplasm)" in meant.notes[0]) == ({4: 4}, True)


@pytest.mark.parametrize("names", [{7: "left kidney", 4: "4"}, {1: "", 4: ""}, {4: "Segment 7", 7: "Segment 4"}])
def test_numbers_are_no_ids_where_a_name_matches_or_says_otherwise(names):
    assert by_numbers(names, Canvas.of(TASK, GRID)) is None


def test_without_labels_numbers_are_ids_without_a_word():
    assert by_numbers({3: "x"}, Canvas(None)).notes == ()


@pytest.mark.parametrize("number", [0, -1, 70_000, 2**31 - 1])
def test_a_structure_may_have_any_number_in_its_file(tmp_path, number):
    names = {number: "tumour", 5: "left kidney"}
    painting = Painting(tmp_path, names, by_names(tmp_path, names, Canvas.of(TASK, GRID)), GRID)
    painting.draw(5, at((1, 0, 0)))
    painting.draw(number, at((0, 0, 0)))
    mask = painting.finished(GRID)
    assert (mask.array[:, 0, 0].tolist(), int(mask.array.sum())) == ([7, 4, 0], 11)


SCAN = (DicomOrigin("1.1", "2.1"), DicomOrigin("1.2", "2.1"))


@pytest.mark.parametrize(
    ("frames", "series", "scan"),
    [
        (["2.1"], ["1.2"], SCAN),
        ([""], [], SCAN),
        (["2.1", ""], ["1.9", "1.1"], SCAN),
        (["2.9"], ["1.9"], ()),
        (["2.9"], ["1.1"], (DicomOrigin("1.1", ""),)),
    ],
    ids=["the same", "it says nothing", "one of several", "a scan that is no DICOM", "a scan that says nothing"],
)
def test_a_mask_of_this_scan_and_one_that_may_be_are_taken_without_a_word(tmp_path, frames, series, scan):
    assert require_drawn_on_scan(tmp_path, Canvas(GRID, scan=scan), frames=frames, series=series) == []


def test_a_mask_of_another_series_is_said_and_of_another_frame_of_reference_refused(tmp_path):
    canvas = Canvas.of(TASK, GRID, scan=SCAN)
    assert "another series" in require_drawn_on_scan(tmp_path, canvas, frames=["2.1"], series=["1.9"])[0]
    with pytest.raises(GridMismatch, match=r"another frame of reference[\s\S]*is 2\.9, that of the scan 2\.1"):
        require_drawn_on_scan(tmp_path, canvas, frames=["2.1", "2.9"], series=["1.1"])


def test_regions_are_drawn_over_one_another_in_their_order(tmp_path):
    names = {1: "Active", 2: "Whole", 3: "Tumour"}
    meant = by_names(tmp_path, names, Canvas.of(REGIONS, GRID))
    assert list(meant.ids.items()) == [(2, 2), (3, 1), (1, 4)]
    painting = Painting(tmp_path, names, meant, GRID)
    painting.draw(2, at((0, 0, 0), (1, 0, 0), (2, 0, 0)))
    painting.draw(3, at((1, 0, 0), (2, 0, 0)))
    painting.draw(1, at((2, 0, 0)))
    assert painting.finished(GRID).array[:, 0, 0].tolist() == [2, 1, 4]


def test_labels_that_overlap_are_an_error_that_names_them(tmp_path):
    names = {1: "left kidney", 2: "tumour"}
    painting = Painting(tmp_path, names, by_names(tmp_path, names, Canvas.of(TASK, GRID)), GRID)
    painting.draw(1, at((0, 0, 0), (1, 0, 0)))
    painting.draw(2, at((1, 0, 0), (2, 0, 0)))
    with pytest.raises(DataError, match=r"left kidney and tumour \(1 voxel\)[\s\S]*task.regions"):
        painting.finished(GRID)


def test_structures_of_one_label_may_overlap(tmp_path):
    names = {1: "tumour", 2: "tumour"}
    painting = Painting(tmp_path, names, by_names(tmp_path, names, Canvas(GRID, {"tumour": 7})), GRID)
    painting.draw(1, at((0, 0, 0), (1, 0, 0)))
    painting.draw(2, at((1, 0, 0)))
    mask = painting.finished(GRID, ["more"])
    assert (mask.array[:, 0, 0].tolist(), mask.array.dtype, mask.notes) == ([7, 7, 0], np.uint8, ("more",))


def test_where_the_task_says_so_the_higher_id_has_the_voxels_and_they_are_counted(tmp_path):
    names, task = {1: "tumour", 2: "left kidney"}, TASK.model_copy(update={"overlap": "later"})
    painting = Painting(tmp_path, names, meant := by_names(tmp_path, names, Canvas.of(task, GRID)), GRID)
    for number in meant.ids:
        painting.draw(number, at((0, 0, 0), (number, 0, 0)))
    mask = painting.finished(GRID)
    assert mask.array[:, 0, 0].tolist() == [7, 7, 4]
    assert mask.notes == ("structures overlap, and the higher id has the voxels: left kidney and tumour (1 voxel)",)
