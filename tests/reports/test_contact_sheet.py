"""A data set at a glance."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from segtrain.core.errors import ConfigError, Problem
from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap, Volume
from segtrain.reports.contact_sheet import (
    COLUMNS,
    LINE,
    SIDE,
    ContactSheet,
    Tile,
    picture_of,
    plane_of,
    require_sheet,
    write_contact_sheet,
)


def grid(shape, spacing=(1.0, 1.0, 1.0)) -> Grid:
    return Grid(shape, np.diag([*spacing, 1.0]))


def scan(shape=(20, 30, 10), spacing=(1.0, 1.0, 3.0)):
    """A bright right front corner, and a box of label 7 that is largest in the slice at 4."""
    array = np.zeros((1, *shape), np.float32)
    array[0, shape[0] // 2 :, shape[1] // 2 :] = 100
    labels = np.zeros(shape, np.uint8)
    labels[5:10, 5:20, 3] = 7
    labels[5:15, 5:20, 4] = 7
    return Volume(array, grid(shape, spacing)), LabelMap(labels, grid(shape, spacing))


def coloured(picture) -> np.ndarray:
    return (picture.max(axis=2) - picture.min(axis=2)) > 20


def test_proportions_are_those_of_the_patient():
    image, _ = scan(shape=(20, 30, 10))
    assert picture_of(image, None, [7]).shape == (SIDE, round(SIDE * 2 / 3), 3)


def test_the_patients_right_is_at_the_left_and_the_front_is_up():
    """What is bright lies at high R and A."""
    image, _ = scan()
    picture = picture_of(image, None, [7]).astype(int)
    rows, columns = (n // 2 for n in picture.shape[:2])
    assert picture[:rows, :columns].mean() > 200
    assert picture[rows + 4 :, columns + 4 :].max() < 50


def test_the_slice_is_the_one_with_most_of_the_mask_and_its_outline_encloses_it():
    image, labels = scan()
    ys, xs = np.nonzero(coloured(picture_of(image, labels, [7])))
    scale = SIDE / 30
    assert (ys.max() - ys.min() + 1) == pytest.approx(15 * scale, abs=2)
    assert (xs.max() - xs.min() + 1) == pytest.approx(10 * scale, abs=2)


def test_a_label_that_is_not_of_the_task_is_not_outlined():
    image, labels = scan()
    assert not coloured(picture_of(image, labels, [1])).any()


def test_thick_slices_decide_the_plane():
    assert plane_of(grid((9, 9, 9))).title == "axial"
    assert plane_of(grid((9, 9, 9), (4.0, 1.0, 1.0))).title == "sagittal"
    assert plane_of(grid((9, 9, 9), (1.0, 4.0, 1.0))).title == "coronal"
    assert plane_of(grid((9, 9, 9), (1.2, 1.0, 1.0))).title == "axial"


def test_a_scan_of_one_value_and_one_that_is_no_number_are_shown():
    volume = Volume(np.full((1, 8, 8, 8), np.nan, np.float32), grid((8, 8, 8)))
    assert picture_of(volume, None, []).max() == 0


@pytest.fixture
def sheet() -> ContactSheet:
    image, labels = scan()
    tiles = [Tile(f"P{n}", ("20 x 30", "organ 3 ml"), picture_of(image, labels, [7])) for n in range(COLUMNS + 1)]
    hostile = Tile("<script>alert(1)</script>", (), None, ("it is <b>damaged</b>",))
    return ContactSheet("All cases", {"cases": "8"}, {"organ & co": 7}, [*tiles, hostile])


def test_a_png_has_a_tile_a_case(sheet, tmp_path):
    write_contact_sheet(tmp_path / "sheet.png", sheet)
    with Image.open(tmp_path / "sheet.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape[1] > COLUMNS * SIDE
    assert pixels.shape[0] > 2 * SIDE
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10


def test_a_page_escapes_what_comes_from_outside(sheet, tmp_path):
    write_contact_sheet(tmp_path / "sheet.html", sheet)
    text = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "it is &lt;b&gt;damaged&lt;/b&gt;" in text
    assert "organ &amp; co" in text
    assert text.count("data:image/png;base64,") == COLUMNS + 1


def test_a_page_tells_each_fault_with_its_place_and_its_remedy(sheet, tmp_path):
    fault = Problem("it is <i>odd</i>", "case P1, a & b", "2 < 3", "take it out")
    write_contact_sheet(tmp_path / "sheet.html", replace(sheet, faults=(fault, Problem("no more is known"))))
    text = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    told = "<span>where: case P1, a &amp; b</span><span>why: 2 &lt; 3</span><span>fix: take it out</span>"
    assert f"<li><b>it is &lt;i&gt;odd&lt;/i&gt;</b>{told}</li>" in text
    assert "<li><b>no more is known</b></li>" in text
    write_contact_sheet(tmp_path / "sheet.html", sheet)
    assert "how to mend it" not in (tmp_path / "sheet.html").read_text(encoding="utf-8")


def test_a_long_fault_goes_on_in_the_next_line_of_a_png(tmp_path):
    """Each line of text more is 15 rows that are not empty."""

    def rows_of_text(fault):
        write_contact_sheet(tmp_path / "s.png", ContactSheet("", {}, {}, [Tile("", (), None, (fault,))]))
        with Image.open(tmp_path / "s.png") as picture:
            below = np.asarray(picture.convert("L"), dtype=int)[3 * LINE + SIDE :, :SIDE]
        return int((np.ptp(below, axis=1) > 50).sum())

    assert rows_of_text("a fault that is as long as can be ") < rows_of_text("a fault that is as long as can be " * 2)


def test_pictures_of_a_page_are_whole(sheet, tmp_path):
    import base64

    write_contact_sheet(tmp_path / "sheet.html", sheet)
    text = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    found = text.partition("data:image/png;base64,")[2].partition('"')[0]
    with Image.open(io.BytesIO(base64.b64decode(found))) as picture:
        assert np.array_equal(np.asarray(picture), sheet.tiles[0].picture)


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no sheet that can be written"):
        require_sheet(tmp_path / "sheet.pdf")
