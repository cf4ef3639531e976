"""Every case with its mask, its volumes and its faults."""

from __future__ import annotations

import numpy as np
import pytest

from segtrain.core.errors import ConfigError, Problem
from segtrain.core.events import CaseRead
from segtrain.data.cases import Scans, find_cases, judged_cases
from segtrain.data.files.nifti import read_nifti
from segtrain.recipes import contact_sheet as module
from segtrain.recipes.contact_sheet import Drawing, draw_contact_sheet, draw_tile
from tests.recipes.projects import CASES, SHAPE, load, write_case, write_study


@pytest.fixture
def study(tmp_path):
    write_study(tmp_path)
    return tmp_path


def drawing(study, number=0) -> Drawing:
    config = load(study).config
    return Drawing(find_cases(config.data)[number], config.data.channel_names, config.task)


def test_a_tile_tells_size_volume_and_patient(study):
    tile = draw_tile(drawing(study))
    mask = read_nifti(study / "labels" / f"{CASES[0]}.nii.gz")
    ml = (mask.array == 1).sum() * mask.grid.voxel_volume_ml
    shape = "×".join(map(str, mask.grid.shape))
    assert tile.words[0].startswith(f"{shape} of ")
    assert tile.words[1:] == (f"organ {ml:.3g} ml", "patient P0")
    assert tile.picture is not None


def test_a_scan_that_cannot_be_read_is_a_tile_with_its_fault(study):
    job = drawing(study, 1)
    job.case.images[0].path.write_bytes(b"no scan")
    tile = draw_tile(job)
    assert tile.picture is None
    assert tile.faults


def grey_of(tile) -> bool:
    """Whether a picture is there and nothing is outlined in it."""
    return tile.picture is not None and np.ptp(tile.picture, axis=2).max() == 0


def test_where_only_the_mask_is_refused_the_scan_is_shown_with_the_fault(study):
    write_case(study, CASES[1], label=7)
    tile = draw_tile(drawing(study, 1))
    assert tile.faults == ("a mask holds ids that the task does not know",)
    assert grey_of(tile)
    assert not grey_of(draw_tile(drawing(study, 0)))
    shape = "×".join(map(str, SHAPE))
    assert [words.partition(" of ")[0] for words in tile.words] == [shape, "patient P0"]


def test_a_scan_without_a_mask_is_shown(study, monkeypatch):
    (study / "labels" / f"{CASES[3]}.nii.gz").unlink()
    tiles = {tile.case: tile for tile in sheet_of(study, monkeypatch=monkeypatch).tiles}
    assert grey_of(tiles[CASES[3]])


def test_all_cases_are_read_and_faults_stand_with_the_case_they_name(study, monkeypatch):
    sheets = []
    monkeypatch.setattr(module, "write_contact_sheet", lambda path, sheet: sheets.append((path, sheet)))
    loaded = load(study)
    scans = judged_cases(loaded.config.data)
    problems = [Problem("a label is odd", cases=(CASES[2],)), Problem("a key is wrong", "training.epochs")]
    events = list(draw_contact_sheet(loaded, scans, problems, study / "sheet.png"))
    assert [(event.case, event.done) for event in events if isinstance(event, CaseRead)] == [
        (case, number) for number, case in enumerate(CASES, start=1)
    ]
    ((path, sheet),) = sheets
    assert path == study / "sheet.png"
    assert {tile.case: tile.faults for tile in sheet.tiles if tile.faults} == {CASES[2]: ("a label is odd",)}
    assert dict(sheet.facts) == {"cases": "5", "patients": "4", "with a fault": "1"}


@pytest.mark.parametrize("name", ["sheet.png", "sheet.html"])
def test_the_sheet_is_written(study, name):
    loaded = load(study)
    list(draw_contact_sheet(loaded, judged_cases(loaded.config.data), [], study / name))
    assert (study / name).stat().st_size > 2000


def sheet_of(study, problems=(), name="", monkeypatch=None):
    sheets = []
    monkeypatch.setattr(module, "write_contact_sheet", lambda path, sheet: sheets.append(sheet))
    loaded = load(study)
    list(draw_contact_sheet(loaded, judged_cases(loaded.config.data), problems, study / "sheet.png", name))
    return sheets[0]


def test_a_case_without_its_mask_and_both_sides_of_a_leak_are_on_the_sheet(study, monkeypatch):
    (study / "labels" / f"{CASES[3]}.nii.gz").unlink()
    leak = Problem("the same image trains and judges", cases=(CASES[0], CASES[2]))
    sheet = sheet_of(study, [leak], "brains", monkeypatch)
    assert [tile.case for tile in sheet.tiles] == list(CASES)
    assert {tile.case: tile.faults for tile in sheet.tiles if tile.faults} == {
        CASES[0]: (leak.what,),
        CASES[2]: (leak.what,),
        CASES[3]: (f"image {CASES[3]} has no label",),
    }
    assert sheet.title == "All cases of brains"


def test_where_no_case_is_whole_the_sheet_says_why_of_each(study, monkeypatch):
    for path in (study / "labels").iterdir():
        path.unlink()
    (study / "labels" / "other.nii.gz").write_bytes(b"x")
    assert [tile.case for tile in sheet_of(study, monkeypatch=monkeypatch).tiles] == [*CASES, "other"]


def test_too_many_cases_for_one_picture_are_refused_before_they_are_read(study):
    many = Scans((), tuple((str(number), Problem("odd")) for number in range(2001)))
    with pytest.raises(ConfigError, match="too many cases"):
        next(draw_contact_sheet(load(study), many, [], study / "sheet.png"))
