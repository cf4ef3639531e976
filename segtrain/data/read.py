"""A path -> a Volume or a LabelMap: picks NIfTI or DICOM by looking at what is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segtrain.core.case import ScanSource
from segtrain.core.errors import DataError, GridMismatch, Problem, UnreadableScan
from segtrain.core.grid import SAME_GRID_TOLERANCE_VOXELS, Grid
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap, Volume
from segtrain.data.dicom import read_dicom
from segtrain.data.nifti import is_nifti, read_nifti

__all__ = ["is_nifti", "kind_of", "read_labels", "read_volume", "require_same_grid"]

WHOLE_NUMBER_TOLERANCE = 1e-5
"""What scl_slope in float32 may leave of a whole number; 0.9999 is an interpolated mask and no label."""
LARGEST_SHIFT_VOXELS = 0.5
"""A mask that lies further from its image has its voxels in other places: which of two is wrong, nobody knows."""
SHOWN_IDS = 8


def kind_of(path: Path) -> Literal["nifti", "dicom"]:
    """Which border reads a path: a file named .nii or .nii.gz, or a folder of DICOM. Raises UnreadableScan."""
    if not path.exists():
        raise UnreadableScan(Problem("there is no such scan", str(path), hint="check the path and the spelling"))
    if path.is_dir():
        return "dicom"
    if is_nifti(path):
        return "nifti"
    hint = "give a .nii or .nii.gz file, or the folder that holds the DICOM slices; convert other formats"
    raise UnreadableScan(
        Problem("no reader knows this kind of file", str(path), f"its name ends in {path.suffix!r}", hint)
    )


def read_volume(sources: Sequence[ScanSource]) -> Volume:
    """Read the channels of a scan in order; all must lie on the grid of the first one.

    Integer channels stay integers; a mixture becomes float32. Raises UnreadableScan, or GridMismatch that
    names both files.
    """
    volumes = [_read_one(source) for source in sources]
    first = volumes[0].grid
    for source, volume in zip(sources[1:], volumes[1:], strict=True):
        if not first.same_space(volume.grid):
            what = f"two channels of a scan are not on one grid: {_apart(first, volume.grid)}"
            where = f"{sources[0]} and {source}"
            why = f"{first.describe()} against {volume.grid.describe()}"
            raise GridMismatch(Problem(what, where, why, "resample (register) one onto the grid of the other"))
    if len(volumes) == 1:
        return volumes[0]
    dtype = np.result_type(*{v.array.dtype for v in volumes})
    dtype = dtype if dtype.kind in "iu" else np.dtype(np.float32)
    return Volume(np.concatenate([v.array.astype(dtype, copy=False) for v in volumes]), first)


def read_labels(source: ScanSource, task: Task | None = None) -> LabelMap:
    """Read a mask of whole numbers; with a task, every id in it must be declared there.

    Raises UnreadableScan for a damaged file, DataError for numbers that are no labels or not declared.
    """
    volume = _read_one(source)
    if len(volume.array) != 1:
        why = f"its fourth axis has {len(volume.array)} entries"
        raise DataError(Problem("a mask holds several volumes", str(source), why, "save one 3D mask of label ids"))
    array = _whole_numbers(source, volume.array[0])
    if task is not None:
        _require_declared(source, array, task)
    return LabelMap(array, volume.grid)


def require_same_grid(
    image: Grid, label: Grid, case: str = "", *, names: tuple[str, str] = ("image", "label")
) -> str | None:
    """Whether two arrays can be laid over each other voxel by voxel.

    None where they can; a note for the reader where the label is off by less than half a voxel (it is used as
    if it lay on the image's grid). Raises GridMismatch beyond that, or where shapes differ.
    """
    distance = image.distance_voxels(label)
    if distance <= SAME_GRID_TOLERANCE_VOXELS:
        return None
    if distance <= LARGEST_SHIFT_VOXELS:
        return f"{case}: the {names[1]} lies {distance:.2g} voxels beside the {names[0]}; it is used on its grid"
    what = f"{names[0]} and {names[1]} are not on one grid: {_apart(image, label)}"
    why = f"the {names[0]} has {image.describe()}, the {names[1]} {label.describe()}"
    hint = f"resample the {names[1]} onto the grid of the {names[0]}, or find the file that belongs to it"
    raise GridMismatch(Problem(what, f"case {case}" if case else "", why, hint))


def _read_one(source: ScanSource) -> Volume:
    if kind_of(source.path) == "nifti":
        return read_nifti(source.path)
    return read_dicom(source.path, source.series_uid)


def _apart(one: Grid, other: Grid) -> str:
    if one.shape != other.shape:
        return "their shapes differ"
    return f"they are {one.distance_voxels(other):.3g} voxels ({_distance_mm(one, other):.3g} mm) apart"


def _distance_mm(one: Grid, other: Grid) -> float:
    return float(np.linalg.norm(one.corners() - other.corners(), axis=1).max())


def _whole_numbers(source: ScanSource, array: NDArray[Any]) -> NDArray[np.integer[Any]]:
    if array.dtype.kind in "iu":
        return array
    rounded = np.round(array)
    odd = np.abs(array - rounded) > WHOLE_NUMBER_TOLERANCE * np.maximum(1, np.abs(rounded))
    if odd.any():
        value = float(array[odd].flat[0])
        why = f"{int(odd.sum())} voxels are no whole numbers, as {value:g}"
        hint = "a mask must not be interpolated or a probability: save label ids (nearest neighbour, threshold)"
        raise DataError(Problem("a mask holds fractions", str(source), why, hint))
    return rounded.astype(np.int32)


def require_drawn(case: str, labels: LabelMap, task: Task) -> None:
    """DataError where a mask has voxels of a label that task.partial calls not drawn in this case."""
    hidden = {name: task.labels[name] for name in task.hidden_labels_in(case)}
    counts = {name: int((labels.array == label).sum()) for name, label in hidden.items()}
    found = ", ".join(f"{name} ({count} voxels)" for name, count in counts.items() if count)
    if found:
        hint = "name it in the task.partial of this case, or take it out of the mask"
        raise DataError(Problem("a mask has labels that task.partial calls not drawn", f"case {case}", found, hint))


def _require_declared(source: ScanSource, array: NDArray[np.integer[Any]], task: Task) -> None:
    unknown = task.unknown_ids(array)
    if not unknown:
        return
    counts = [f"{i} ({int((array == i).sum())} voxels)" for i in unknown[:SHOWN_IDS]]
    more = f" and {len(unknown) - SHOWN_IDS} more" if len(unknown) > SHOWN_IDS else ""
    declared = ", ".join(f"{name}: {task.labels[name]}" for name in task.names)
    hint = f"declare them under task.labels (now {declared}), or name one as task.ignore"
    raise DataError(
        Problem("a mask holds ids that the task does not know", str(source), ", ".join(counts) + more, hint)
    )
