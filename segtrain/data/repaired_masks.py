"""The mask of a scan whose slices lay on no grid -> on the grid of the repaired scan, or the reason why not.

Outlines (RTSTRUCT) and frames (SEG) say themselves on which slice they were drawn, and so do the slices of a mask in
DICOM. Voxels in a file do not: they are taken slice for slice where the file lies as other programs write such a
series, or by their positions where it has a grid of its own. Where both could be meant, neither is taken.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from segtrain.core.case import ScanSource
from segtrain.core.errors import GridMismatch, Problem
from segtrain.core.grid import Grid
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap, Volume
from segtrain.core.words import count
from segtrain.data.dicom.geometry import ROUNDING_MM
from segtrain.data.dicom.repair import Stacked, stacked, values_as_stored
from segtrain.data.masks.canvas import Canvas
from segtrain.data.mending import MendedMask, mended_ids, mended_mask, onto_grid
from segtrain.data.read import drawing_of, is_structure_folder, kind_of, read_labels, read_mask
from segtrain.data.read_repaired import RepairedScan
from segtrain.data.repair.repairs import Repairs
from segtrain.data.repair.slice_stack import Array, Evened
from segtrain.data.same_grid import require_same_grid

FOLDER = "its structures were a file each, and are one mask now"
DRAWN = "it was drawn on the scan (DICOM), and is voxels now"


def mask_of_repaired(source: ScanSource, scan: RepairedScan, *, task: Task, case: str, repairs: Repairs) -> MendedMask:
    """The mask of a repaired scan on its grid. Raises DataError, with GridMismatch among them, where it cannot be."""
    grid = scan.image.grid
    drawing = drawing_of(source.path)
    if scan.evened is None:
        if drawing is None:
            return mended_mask(source, voxel_mask(source, task, case), task, grid)
        found = read_labels(source, task, canvas=Canvas.of(task, grid, case, scan.image.origins))
        return MendedMask(found, (*found.notes, DRAWN))
    if drawing is not None:
        return _drawn(source, scan, scan.evened, task, case)
    if kind_of(source.path) == "dicom" and not is_structure_folder(source):
        stack = stacked(source.path, source.series_uid, repairs)
        if stack.evened is not None:
            return _slices(source, stack, scan.evened, task)
        return mended_mask(source, read_mask(source), task, grid)  # its slices say themselves where they lie
    return _voxels(source, voxel_mask(source, task, case), scan.evened, task)


def voxel_mask(source: ScanSource, task: Task, case: str) -> Volume:
    """A mask that has voxels of its own, (1, X, Y, Z) of any numbers; structures in a file each become one mask."""
    if not is_structure_folder(source):
        return read_mask(source)
    one = read_labels(source, task, canvas=Canvas.of(task, None, case))
    return Volume(one.array[np.newaxis], one.grid, (*one.notes, FOLDER))


def _drawn(source: ScanSource, scan: RepairedScan, evened: Evened, task: Task, case: str) -> MendedMask:
    """DICOM SEG and RTSTRUCT: drawn on the slices as they lay."""
    canvas = replace(Canvas.of(task, evened.slot_grid, case, scan.image.origins), evened=evened)
    found = read_labels(source, task, canvas=canvas)
    shifted = require_same_grid(evened.slot_grid, found.grid)
    notes = [*found.notes, DRAWN, *([shifted.removeprefix(": ")] if shifted else [])]
    return _on_grid(str(source), found.array, evened, notes)


def _slices(source: ScanSource, mask: Stacked, evened: Evened, task: Task) -> MendedMask:
    """A series of DICOM that lies on no grid either: it must have the slices of the scan."""
    if mask.evened is None or not mask.evened.stack.same_slices(evened.stack, ROUNDING_MM):
        hint = "find the mask that was drawn on this series, with a slice for each of its slices"
        raise GridMismatch(Problem("the slices of the mask are not those of the scan", str(source), hint=hint))
    ids, changes = mended_ids(source, values_as_stored(source.path, mask), task)
    return _on_grid(str(source), evened.on_slots(ids), evened, [*mask.notes, *changes])


def _voxels(source: ScanSource, mask: Volume, evened: Evened, task: Task) -> MendedMask:
    """A file of voxels, with a grid of its own or one that another program made of the series."""
    ids, changes = mended_ids(source, mask, task)
    changes = [*mask.notes, *changes]
    written = evened.as_written_elsewhere()
    on_the_scan = mask.grid.same_space(evened.grid)
    frame = next((grid for grid in written if not on_the_scan and _is_same(mask.grid, grid)), None)
    if frame is not None:
        changes.append("its slices were taken one for one as those of the series, whose grid another program made up")
        in_order = evened.on_slots(_in_order_of(frame, ids, mask.grid))
        return _on_grid(str(source), in_order, evened, changes)
    if not on_the_scan and mask.grid.canonical().shape == written[0].canonical().shape:
        why = f"it has the slices of the series, {mask.grid.describe()}: by number or by place, nobody knows"
        hint = "draw it again on the repaired scan, or give it as DICOM SEG or RTSTRUCT, which say where slices lie"
        raise GridMismatch(Problem("the mask may have been drawn on the broken series", str(source), why, hint))
    return MendedMask(onto_grid(LabelMap(ids, mask.grid), evened.grid, changes), tuple(changes))


def _is_same(mask: Grid, other: Grid) -> bool:
    """Whether two grids have the same voxels, in whatever order their axes run."""
    return mask.canonical().same_space(other.canonical())


def _in_order_of(frame: Grid, array: Array, grid: Grid) -> Array:
    """The array on a grid of the same voxels, as it lies on `frame`."""
    order, flips = frame.orientation()
    turned = grid.turned(array)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
    return turned.transpose(np.argsort(order))


def _on_grid(where: str, drawn: Array, evened: Evened, changes: list[str]) -> MendedMask:
    if borrowed := evened.borrowed(drawn):
        near = "with the labels of the nearest slice, of two equally near ones those of the first"
        changes.append(f"{count(borrowed, 'interpolated slice')} of the mask: {near}")
    labels = LabelMap(evened.labels(drawn), evened.grid)
    lost = sorted(set(np.unique(drawn).tolist()) - set(np.unique(labels.array).tolist()))
    if lost:
        what, hint = f"label {lost[0]} would vanish on the grid of the repaired scan", "draw it again on that scan"
        raise GridMismatch(Problem(what, where, "no voxel of the grid lies in it", hint))
    return MendedMask(labels, tuple(changes))
