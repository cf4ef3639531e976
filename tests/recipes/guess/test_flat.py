"""Scans of one slice: all of them, some of them, none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segtrain.core.case import Case, ScanSource
from segtrain.core.volume import LabelMap
from segtrain.data.files.nifti import write_nifti
from segtrain.recipes.guess.flat import flat_scans
from tests import phantoms


def case_of(path: Path) -> Case:
    return Case(path.name.partition(".")[0], "p", (ScanSource(path),), None)


def nifti(folder: Path, name: str, slices: int) -> Case:
    grid = phantoms.grid((5, 4, slices))
    write_nifti(folder / f"{name}.nii.gz", LabelMap(np.zeros(grid.shape, np.uint8), grid))
    return case_of(folder / f"{name}.nii.gz")


def test_where_all_have_one_slice_the_network_is_one_of_pictures(tmp_path: Path) -> None:
    Image.new("L", (4, 5)).save(tmp_path / "c.png")
    found = flat_scans([nifti(tmp_path, "a", 1), nifti(tmp_path, "b", 1), case_of(tmp_path / "c.png")])
    assert (found.cases, found.all_are) == (("a", "b", "c"), True)
    assert found.said() == ["scans have one slice: the network is one of pictures (model.dims: 2)"]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_of_one_slice_among_volumes_is_said_wherever_it_is_in_the_list(tmp_path: Path, place: int) -> None:
    found = flat_scans([nifti(tmp_path, name, 1 if n == place else 3) for n, name in enumerate("abc")])
    assert not found.all_are
    (sentence,) = found.said()
    assert sentence.startswith(f"one slice in 1 of 3 scans (case {'abc'[place]}): the network is one of volumes")


def test_volumes_alone_are_no_news_and_what_cannot_be_read_is_left_to_check(tmp_path: Path) -> None:
    broken = nifti(tmp_path, "b", 1)
    broken.images[0].path.write_bytes(b"x")
    assert flat_scans([nifti(tmp_path, "a", 3), broken]).said() == []
    assert not flat_scans([broken]).all_are


def test_looking_ends_with_the_time_and_not_before_one_scan_and_that_is_said(tmp_path: Path) -> None:
    found = flat_scans([nifti(tmp_path, name, 1) for name in "abc"], seconds=-1)
    assert found.said()[0].startswith("scans have one slice (looked at 1 of 3):")
