"""All cases of a data set on one sheet, a slice each with its mask: a look finds what no rule knows to be wrong.

As a PNG for a look, or as a page with every fault in words. The slice is the one in which the mask is largest, in the
plane that the scan was taken in, as radiologists hang it and with true proportions.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from segtrain.core.colours import label_colour
from segtrain.core.errors import ConfigError, Problem
from segtrain.core.files import write_bytes, write_text
from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap, Volume
from segtrain.reports.page import page
from segtrain.reports.planes import PLANES, Plane, turned, window_of

SIDE = 208
"""Pixels of a picture along its longer side."""
THICK = 1.5
"""A scan whose slices are so much thicker than its pixels was taken across them."""
COLUMNS, GAP, LINE, LINES = 6, 12, 15, 4
"""Of the PNG: tiles in a row, pixels between them, of a line, and lines under a picture."""
MOST_TILES = 2_000
"""Of a PNG, which is drawn in memory: 334 rows are 93,000 pixels and 380 MB."""
PAPER, INK, MUTED, BAD = (16, 21, 27), (230, 235, 240), (151, 164, 178), (240, 138, 126)
SUFFIXES = (".png", ".html")


@dataclass(frozen=True, eq=False)
class Tile:
    """One case on the sheet."""

    case: str
    words: tuple[str, ...]
    """What is to be said of it, a line each."""
    picture: NDArray[np.uint8] | None
    """(rows, columns, 3); None where the case cannot be read."""
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ContactSheet:
    """A data set."""

    title: str
    facts: Mapping[str, str]
    labels: Mapping[str, int]
    """Names of what is outlined, to ids; the place of a name decides its colour."""
    tiles: Sequence[Tile]
    faults: Sequence[Problem] = ()
    """All that is wrong, of no case too; a page has room for where, why and how to mend it."""


def require_sheet(path: Path, cases: int = 0) -> None:
    """ConfigError where the name does not end as that of a PNG or a page, or a PNG would have too many cases."""
    if path.suffix.lower() == ".png" and cases > MOST_TILES:
        why = f"a picture holds {MOST_TILES}, and these are {cases}"
        raise ConfigError(Problem("there are too many cases for one picture", "--sheet", why, "let it end in .html"))
    if path.suffix.lower() not in SUFFIXES:
        hint = "let it end in .png or .html"
        raise ConfigError(Problem(f"{path.name} is no sheet that can be written", "--sheet", hint=hint))


def write_contact_sheet(path: Path, sheet: ContactSheet) -> None:
    """Write the sheet as a PNG or as a page, as the name ends. Raises ResourceError."""
    if path.suffix.lower() == ".png":
        buffer = io.BytesIO()
        Image.fromarray(_png(sheet)).save(buffer, "PNG", optimize=True)
        write_bytes(path, buffer.getvalue())
        return
    tiles = [{"tile": tile, "url": _url(tile.picture)} for tile in sheet.tiles]
    key = [{"name": name, "colour": _css(place)} for place, name in enumerate(sheet.labels)]
    frame = {"kind": "Contact sheet", "title": sheet.title, "facts": sheet.facts, "script": ""}
    write_text(path, page("contact_sheet.html.jinja", **frame, tiles=tiles, key=key, faults=sheet.faults))


def picture_of(image: Volume, labels: LabelMap | None, ids: Sequence[int]) -> NDArray[np.uint8]:
    """The slice of the first channel in which the mask is largest, or the middle one, with the labels outlined.

    `ids` in the order of their colours. (rows, columns, 3), SIDE pixels along its longer side.
    """
    grid = image.grid.canonical()
    mask = None if labels is None else np.where(np.isin(labels.array, ids), labels.array, 0)
    along = None if mask is None else turned(mask, image.grid)
    plane = plane_of(grid)
    place = _largest(along, plane, grid)
    grey = _grey(_slice(turned(image.array[0], image.grid), plane, place))
    size = _size(grey.shape, grid, plane)
    shown = np.repeat(np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR))[..., None], 3, axis=2)
    if along is not None:
        _outline(shown, _slice(along, plane, place), ids, size)
    return shown


def plane_of(grid: Grid) -> Plane:
    """The plane of a scan: across its thick slices, or else the axial one. `grid` is canonical."""
    spacing = grid.spacing_mm
    thick = int(np.argmax(spacing))
    others = [spacing[axis] for axis in range(3) if axis != thick]
    cut = thick if spacing[thick] >= THICK * max(others) else 2
    return next(plane for plane in PLANES if plane.cut == cut)


def _largest(mask: NDArray[Any] | None, plane: Plane, grid: Grid) -> int:
    if mask is None or not mask.any():
        return grid.shape[plane.cut] // 2
    across = tuple(axis for axis in range(3) if axis != plane.cut)
    return int(np.argmax(np.count_nonzero(mask, axis=across)))


def _slice(array: NDArray[Any], plane: Plane, place: int) -> NDArray[Any]:
    """(rows, columns): up is up, and the patient's right is at the left."""
    return array.transpose(plane.cut, plane.up, plane.right)[place, ::-1, ::-1]


def _grey(values: NDArray[Any]) -> NDArray[np.uint8]:
    numbers = np.nan_to_num(np.array(values, dtype=np.float32), posinf=0, neginf=0)
    low, high = window_of(numbers[..., None])
    grey: NDArray[np.uint8] = np.clip(np.rint((numbers - low) * (255 / (high - low))), 0, 255).astype(np.uint8)
    return grey


def _size(shape: tuple[int, ...], grid: Grid, plane: Plane) -> tuple[int, int]:
    """Columns and rows of the picture."""
    up, right = shape[0] * grid.spacing_mm[plane.up], shape[1] * grid.spacing_mm[plane.right]
    scale = SIDE / max(up, right)
    return max(1, round(right * scale)), max(1, round(up * scale))


def _outline(shown: NDArray[np.uint8], mask: NDArray[Any], ids: Sequence[int], size: tuple[int, int]) -> None:
    """Draw the border of each label onto the picture."""
    for place, label in enumerate(ids):
        small = Image.fromarray((mask == label).astype(np.uint8) * 255)
        inside = np.asarray(small.resize(size, Image.Resampling.NEAREST)) > 0
        border = inside & ~ndimage.binary_erosion(inside)
        shown[border] = _rgb(place)


def _rgb(place: int) -> tuple[int, int, int]:
    red, green, blue = label_colour(place)
    return round(255 * red), round(255 * green), round(255 * blue)


def _css(place: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*_rgb(place))


def _url(picture: NDArray[np.uint8] | None) -> str:
    if picture is None:
        return ""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _png(sheet: ContactSheet) -> NDArray[np.uint8]:
    width = GAP + COLUMNS * (SIDE + GAP)
    height_of_tile = SIDE + LINES * LINE + GAP
    rows = -(-len(sheet.tiles) // COLUMNS)
    head = 3 * LINE
    canvas = Image.new("RGB", (width, head + rows * height_of_tile + GAP), PAPER)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=12)
    draw.text((GAP, LINE // 2), _fitting(draw, sheet.title, font, width - 2 * GAP), fill=INK, font=font)
    left = GAP
    for place, name in enumerate(sheet.labels):
        draw.rectangle((left, 2 * LINE - 4, left + 10, 2 * LINE + 6), fill=_rgb(place))
        draw.text((left + 15, 2 * LINE - 6), name, fill=INK, font=font)
        left += 30 + round(draw.textlength(name, font=font))
    for number, tile in enumerate(sheet.tiles):
        corner = (GAP + number % COLUMNS * (SIDE + GAP), head + number // COLUMNS * height_of_tile)
        _place(canvas, draw, font, tile, corner)
    return np.asarray(canvas)


def _place(canvas: Image.Image, draw: ImageDraw.ImageDraw, font: Any, tile: Tile, corner: tuple[int, int]) -> None:
    left, top = corner
    if tile.picture is None:
        draw.rectangle((left, top, left + SIDE - 1, top + SIDE - 1), outline=BAD)
        draw.line((left, top, left + SIDE - 1, top + SIDE - 1), fill=BAD)
    else:
        rows, columns = tile.picture.shape[:2]
        canvas.paste(Image.fromarray(tile.picture), (left + (SIDE - columns) // 2, top + (SIDE - rows) // 2))
    faults = [line for text in tile.faults for line in _wrapped(draw, text, font, SIDE)]
    lines = [(tile.case, INK), *((text, BAD) for text in faults), *((text, MUTED) for text in tile.words)]
    for number, (text, colour) in enumerate(lines[:LINES]):
        draw.text((left, top + SIDE + 2 + number * LINE), _fitting(draw, text, font, SIDE), fill=colour, font=font)


def _wrapped(draw: ImageDraw.ImageDraw, text: str, font: Any, width: int) -> list[str]:
    """The text in lines of at most `width` pixels, divided between words."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and draw.textlength(longer, font=font) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _fitting(draw: ImageDraw.ImageDraw, text: str, font: Any, width: int) -> str:
    """The beginning of a text that is not wider than `width` pixels."""
    text = text.replace("×", "x")  # which the font has no sign for
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    if draw.textlength(text, font=font) <= width:
        return text
    while text and draw.textlength(text + "...", font=font) > width:
        text = text[:-1]
    return text + "..."
