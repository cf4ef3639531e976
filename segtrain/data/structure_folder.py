"""A folder of masks as one mask: a file a structure, called after it, as TotalSegmentator's data set has them.

    s0001/ct.nii.gz
    s0001/segmentations/liver.nii.gz   s0001/segmentations/spleen.nii.gz ...

Such a folder is read like a DICOM SEG: its structures become labels by their names, and what no label is called after
is left out. All its files lie on one grid, which is compared with that of the scan like that of any mask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrain.core.errors import DataError, GridMismatch, Problem
from segtrain.core.files import scan_errors
from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap
from segtrain.data.dicom.headers import looks_like_dicom
from segtrain.data.files.formats import VOLUMES, format_of, scan_name
from segtrain.data.masks.canvas import Canvas, Painting, by_names, by_numbers

LOOKED_AT = 10
"""Files that are looked at before a folder is taken to hold no DICOM."""
SHOWN_IDS = 4


def structure_files(folder: Path) -> dict[str, Path]:
    """Name -> mask, by name, of a folder that holds such files and no DICOM; empty for whatever else a path may be.

    Of two files of one name, the later. Raises UnreadableScan where the folder or a file in it cannot be opened.
    """
    return {scan_name(path): path for path in _masks_in(folder)}


def _masks_in(folder: Path) -> list[Path]:
    """The files that `structure_files` names, by path."""
    with scan_errors(folder):
        if not folder.is_dir():
            return []
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    are_masks = {path: format_of(path) in VOLUMES for path in files}
    for path in islice((path for path in files if not are_masks[path]), LOOKED_AT):
        with scan_errors(path):
            if looks_like_dicom(path):
                return []
    return [path for path in files if are_masks[path]]


@dataclass(frozen=True, eq=False)
class Painted:
    """What the files make together."""

    painting: Painting
    grid: Grid
    """That of the files."""
    drawn: tuple[str, ...]
    """The structures that have a voxel."""
    notes: tuple[str, ...]
    """What their reader has to say."""


def read_structures(folder: Path, canvas: Canvas, read: Callable[[Path], LabelMap]) -> LabelMap:
    """The label map that the files make together, on their own grid; `read` reads one of them.

    Without labels on the canvas, ids are the numbers of the files from 1, by name. Only files that are a label are
    read. DataError where names do not match, where structures overlap (see `Canvas`), where one file holds several ids,
    or where two files are called alike; GridMismatch where two files are not on one grid; and whatever `read` raises.
    """
    painted = paint_structures(folder, canvas, read)
    return painted.painting.finished(painted.grid, painted.notes)


def paint_structures(folder: Path, canvas: Canvas, read: Callable[[Path], LabelMap]) -> Painted:
    """`read_structures` before overlaps are judged."""
    masks = _masks_in(folder)
    _require_one_file_each(folder, masks)
    files = {scan_name(path): path for path in masks}
    names = dict(enumerate(files, start=1))
    meant = None if canvas.ids or canvas.regions else by_numbers(names, canvas)
    meant = meant or by_names(folder, names, canvas)
    painting, first, drawn, notes = None, None, [], dict[str, None]()
    for number in meant.ids:
        path = files[names[number]]
        mask = read(path)
        first = first or (path, mask.grid)
        _require_same_space(first, (path, mask.grid))
        painting = painting or Painting(folder, names, meant, mask.grid)
        voxels = np.nonzero(mask.array)
        _require_one_id(path, mask.array[voxels])
        painting.draw(number, np.asarray(voxels))
        drawn += [names[number]] if voxels[0].size else []
        notes |= dict.fromkeys(mask.notes)
    if painting is None or first is None:
        raise RuntimeError("names matched, and there is no file")
    return Painted(painting, first[1], tuple(drawn), tuple(notes))


def _require_one_file_each(folder: Path, masks: Sequence[Path]) -> None:
    """DataError where a structure is there as liver.nii and as liver.nii.gz: which of them is meant, nobody knows."""
    files: dict[str, list[str]] = {}
    for path in masks:
        files.setdefault(scan_name(path), []).append(path.name)
    if twice := [" and ".join(names) for names in files.values() if len(names) > 1]:
        what, hint = "several files are one structure", "keep one of them"
        raise DataError(Problem(what, str(folder), "; ".join(twice), hint))


def _require_one_id(path: Path, values: NDArray[np.integer[Any]]) -> None:
    """DataError where the voxels of a structure have several ids: then the file is a label map."""
    if values.size and values.min() != values.max():
        ids = np.unique(values).tolist()
        shown = ", ".join(map(str, ids[:SHOWN_IDS])) + (" ..." if len(ids) > SHOWN_IDS else "")
        hint = "a folder of masks has a file a structure, 0 outside; a file with all labels stands alone"
        raise DataError(Problem("the mask of one structure holds several ids", str(path), shown, hint))


def _require_same_space(one: tuple[Path, Grid], other: tuple[Path, Grid]) -> None:
    if one[1].same_space(other[1]):
        return
    why = f"{one[0].name} has {one[1].describe()}, {other[0].name} {other[1].describe()}"
    hint = "resample them onto the grid of the scan"
    raise GridMismatch(Problem("the masks of one case are not on one grid", str(other[0].parent), why, hint))
