import base64
import io

import numpy as np
import pytest
from PIL import Image

from segtrain.reports import sheets
from segtrain.reports.sheets import BLOCK, sheet_of


def pixels(sheet):
    data = base64.b64decode(sheet.url.removeprefix("data:image/jpeg;base64,"))
    return np.asarray(Image.open(io.BytesIO(data))).astype(int)


def smooth(count, rows, columns):
    """Tiles of one grey each, with a ramp across."""
    ramp = np.linspace(0, 60, columns)[None, None] + np.linspace(0, 190, count)[:, None, None]
    return np.broadcast_to(ramp, (count, rows, columns)).astype(np.uint8)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 7), (5, 8, 8), (13, 30, 11), (48, 6, 40)])
def test_each_tile_is_where_the_sheet_says(shape):
    tiles = smooth(*shape)
    sheet = sheet_of(tiles)
    page = pixels(sheet)
    assert page.shape == (sheet.height, sheet.width)
    assert sheet.tile == (shape[2], shape[1])
    for place, tile in enumerate(tiles):
        left, top = sheet.corner(place)
        there = page[top : top + shape[1], left : left + shape[2]]
        assert np.abs(there - tile).max() <= 6


def test_a_tile_is_surrounded_by_its_own_edge():
    black_and_white = np.zeros((2, 8, 8), np.uint8)
    black_and_white[1] = 255
    sheet = sheet_of(black_and_white)
    left, top = sheet.corner(1)
    around = pixels(sheet)[top - 1 : top + 9, left - 1 : left + 9]
    assert around.min() >= 250
    assert BLOCK >= 2


def test_large_and_noisy_slices_are_made_smaller(monkeypatch):
    noise = np.random.default_rng(0).integers(0, 255, (6, 500, 400)).astype(np.uint8)
    fine = sheet_of(noise)
    assert max(fine.tile) == sheets.LOOKS[0][0]
    monkeypatch.setattr(sheets, "MOST_LETTERS", len(fine.url) // 2)
    small = sheet_of(noise)
    assert len(small.url) <= len(fine.url) // 2
    assert small.tile[0] / small.tile[1] == pytest.approx(400 / 500, rel=0.02)
    monkeypatch.setattr(sheets, "MOST_LETTERS", 1)
    assert max(sheet_of(noise).tile) == sheets.LOOKS[-1][0]


def test_equal_slices_are_equal_sheets():
    assert sheet_of(smooth(3, 20, 20)) == sheet_of(smooth(3, 20, 20))
