"""Slices as one picture inside the page: a sheet of tiles, grey, as JPEG in a data URL.

The edge pixels of a tile are repeated around it: a browser that enlarges a tile smoothly would mix in its neighbour
otherwise, and JPEG's blocks would run across the border.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BLOCK = 8
"""Sides of JPEG's blocks, in pixels; tiles begin on a block."""

LOOKS = ((384, 85), (320, 75), (256, 65), (192, 55))
"""Longest side of a tile and quality of the JPEG, the best first."""

MOST_LETTERS = 900_000
"""The first look whose URL is no longer is taken, else the last one: noise is what costs, and it shows nothing."""


@dataclass(frozen=True)
class Sheet:
    """Tiles in rows, in one picture."""

    url: str
    width: int
    height: int
    columns: int
    tile: tuple[int, int]
    """Width and height of what a tile shows, in pixels of the sheet."""
    pitch: tuple[int, int]
    """From a tile to the next, across and down."""

    def corner(self, place: int) -> tuple[int, int]:
        """The upper left corner of a tile."""
        row, column = divmod(place, self.columns)
        return column * self.pitch[0] + BLOCK, row * self.pitch[1] + BLOCK


def sheet_of(tiles: NDArray[np.uint8]) -> Sheet:
    """The sheet of pictures (N, rows, columns), N at least 1; large ones are made smaller."""
    for longest, quality in LOOKS:
        sheet = _drawn(tiles, longest, quality)
        if len(sheet.url) <= MOST_LETTERS:
            break
    return sheet


def _drawn(tiles: NDArray[np.uint8], longest: int, quality: int) -> Sheet:
    small = _reduced(tiles, min(1.0, longest / max(tiles.shape[1:])))
    count, height, width = small.shape
    across = min(count, max(1, round((count * height / width) ** 0.5)))
    pitch = (_pitch(width), _pitch(height))
    page = np.zeros((-(-count // across) * pitch[1], across * pitch[0]), dtype=np.uint8)
    around = ((BLOCK, pitch[1] - height - BLOCK), (BLOCK, pitch[0] - width - BLOCK))
    for place, tile in enumerate(small):
        top, left = place // across * pitch[1], place % across * pitch[0]
        page[top : top + pitch[1], left : left + pitch[0]] = np.pad(tile, around, mode="edge")
    return Sheet(_url(page, quality), page.shape[1], page.shape[0], across, (width, height), pitch)


def _pitch(pixels: int) -> int:
    """Room for a tile, a block before it and at least one after it, in whole blocks."""
    return (-(-pixels // BLOCK) + 2) * BLOCK


def _reduced(tiles: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    if share == 1:
        return tiles
    rows, columns = (max(1, round(n * share)) for n in tiles.shape[1:])
    small = (Image.fromarray(tile).resize((columns, rows), Image.Resampling.BOX) for tile in tiles)
    return np.stack([np.asarray(tile) for tile in small])


def _url(page: NDArray[np.uint8], quality: int) -> str:
    buffer = io.BytesIO()
    Image.fromarray(page).save(buffer, "JPEG", quality=quality, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
