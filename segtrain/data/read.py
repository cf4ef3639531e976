"""A path -> a Volume or a LabelMap: picks the border that reads it by looking at what is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrain.core.case import ScanSource
from segtrain.core.errors import DataError, GridMismatch, Problem, UnreadableScan, raise_all
from segtrain.core.grid import Grid
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap, Volume
from segtrain.core.words import count
from segtrain.data.dicom.headers import looks_like_dicom, read_file
from segtrain.data.dicom.records import Drawing
from segtrain.data.dicom.rtstruct import read_rtstruct, structure_names
from segtrain.data.dicom.scan import read_dicom
from segtrain.data.dicom.seg_read import read_seg, seg_grid, segment_names
from segtrain.data.files.formats import READ, Kind, format_of
from segtrain.data.files.itk_files import parts_of_itk, read_itk
from segtrain.data.files.nifti import is_nifti, read_nifti
from segtrain.data.files.nifti_header import voxels_of
from segtrain.data.files.pictures import read_picture, read_picture_mask
from segtrain.data.masks.canvas import Canvas
from segtrain.data.masks.own_names import require_own_names
from segtrain.data.same_grid import apart
from segtrain.data.structure_folder import Painted, paint_structures, read_structures, structure_files

__all__ = ["Canvas", "is_nifti", "kind_of", "read_labels", "read_volume"]

WHOLE_NUMBER_TOLERANCE = 1e-5
"""What scl_slope in float32 may leave of a whole number; 0.9999 is an interpolated mask and no label."""
NEARLY_WHOLE = 0.01
"""What resampling in float32 and its rounding leave of whole numbers; a linear interpolation leaves more."""
LARGEST_ID = 2**31
SHOWN_IDS = 8
READERS: Mapping[Kind, Callable[[Path], Volume]] = {
    "nifti": read_nifti,
    "mha": read_itk,
    "nrrd": read_itk,
    "picture": read_picture,
}


def kind_of(path: Path) -> Kind:
    """Which border reads a path: by its name, or for a file without a suffix that we know, the mark of DICOM in it.

    A folder is one of DICOM. Raises UnreadableScan.
    """
    if not path.exists():
        raise UnreadableScan(Problem("there is no such scan", str(path), hint="check the path and the spelling"))
    if path.is_dir():
        return "dicom"
    kind = format_of(path) or ("dicom" if looks_like_dicom(path) else None)
    if kind is None:
        why, hint = f"its name ends in {path.suffix!r}", f"give one of {READ}; convert other formats"
        raise UnreadableScan(Problem("no reader knows this kind of file", str(path), why, hint))
    return kind


def files_of(path: Path) -> tuple[Path, ...]:
    """The file, and those beside it that hold its voxels. Raises UnreadableScan."""
    kind = format_of(path)
    if kind == "nifti":
        return tuple(dict.fromkeys((path, voxels_of(path))))
    return parts_of_itk(path) if kind in ("mha", "nrrd") else (path,)


def drawing_of(path: Path) -> Drawing | None:
    """The DICOM SEG or RTSTRUCT that a file is; None for any other. Raises UnreadableScan."""
    if path.is_dir() or kind_of(path) != "dicom":
        return None
    found = read_file(path)
    return found if isinstance(found, Drawing) else None


def is_structure_folder(source: ScanSource) -> bool:
    """Whether a mask is a folder with a file a structure, and no series of DICOM."""
    return not source.series_uid and bool(structure_files(source.path))


def structures_of(drawing: Drawing) -> list[str]:
    """The names of the structures in a DICOM SEG or RTSTRUCT, in the order of their numbers. Raises UnreadableScan."""
    names = (segment_names if drawing.kind == "SEG" else structure_names)(drawing.path)
    return [names[number] for number in sorted(names)]


def read_volume(sources: Sequence[ScanSource]) -> Volume:
    """Read the channels of a scan in order; all must lie on the grid of the first one.

    Integer channels stay integers; a mixture becomes float32. Raises UnreadableScan with the faults of every channel,
    or GridMismatch that names both files.
    """
    volumes: list[Volume] = []
    problems: list[Problem] = []
    for source in sources:
        try:
            volumes.append(_read_one(source))
        except UnreadableScan as error:
            problems += error.problems
    raise_all(UnreadableScan, dict.fromkeys(problems))
    return combined(sources, volumes)


def combined(sources: Sequence[ScanSource], volumes: Sequence[Volume]) -> Volume:
    """The channels of a scan, as they were read from `sources`, in one volume; raises as `read_volume`."""
    first = volumes[0].grid
    for source, volume in zip(sources[1:], volumes[1:], strict=True):
        if not first.same_space(volume.grid):
            what = f"two channels of a scan are not on one grid: {apart(first, volume.grid)}"
            where = f"{sources[0]} and {source}"
            why = f"{first.describe()} against {volume.grid.describe()}"
            raise GridMismatch(Problem(what, where, why, "resample (register) one onto the grid of the other"))
    if len(volumes) == 1:
        return volumes[0]
    notes = tuple(dict.fromkeys(note for volume in volumes for note in volume.notes))
    dtype = np.result_type(*{v.array.dtype for v in volumes})
    dtype = dtype if dtype.kind in "iu" else np.dtype(np.float32)
    origins = (
        tuple(origin for volume in volumes for origin in volume.origins) if all(v.origins for v in volumes) else ()
    )
    return Volume(np.concatenate([v.array.astype(dtype, copy=False) for v in volumes]), first, notes, origins)


def faults_of_mask(source: ScanSource, task: Task) -> tuple[Problem, ...]:
    """What is wrong with a mask, whatever its scan is; one that was drawn on a scan is nothing without it."""
    try:
        if drawing_of(source.path) is None:
            read_labels(source, task)
    except DataError as error:
        return error.problems
    return ()


def read_labels(source: ScanSource, task: Task | None = None, *, canvas: Canvas | None = None) -> LabelMap:
    """Read a mask of whole numbers; with a task, every id in it must be declared there.

    A mask that was drawn on a scan (DICOM SEG, RTSTRUCT) needs the canvas: the grid and series of that scan, and its
    labels by name; a folder with a file a structure needs the names. Raises UnreadableScan for a damaged file,
    DataError for numbers that are no labels or not declared, and as `read_seg`, `read_rtstruct`, `read_structures`.
    """
    own = canvas or (Canvas(None) if task is None else Canvas.of(task, None))
    if is_structure_folder(source):
        return read_structures(source.path, own, _one_file)
    drawing = drawing_of(source.path)
    if drawing is not None:
        return (read_seg if drawing.kind == "SEG" else read_rtstruct)(source.path, own)
    volume = read_mask(source)
    if len(volume.array) != 1:
        why = f"its fourth axis has {len(volume.array)} entries"
        raise DataError(Problem("a mask holds several volumes", str(source), why, "save one 3D mask of label ids"))
    array = whole_numbers(source, volume.array[0])
    notes = () if task is None else require_declared(source, array, task)
    return LabelMap(array, volume.grid, (*volume.notes, *notes))


def all_structures(folder: Path) -> Painted:
    """All structures of a folder with a file a structure. Raises as `read_structures`, but for overlaps."""
    return paint_structures(folder, Canvas(None), _one_file)


def _one_file(path: Path) -> LabelMap:
    return read_labels(ScanSource(path))


def common_grid(one: Path, other: Path | None) -> Grid | None:
    """A grid for two masks of one case, where one or both were drawn on a scan; None where both have one of their own.

    That of the mask which has one, or else the smallest that holds both. None as well where only RTSTRUCTs are there.
    """
    files = [path for path in (one, other) if path is not None]
    drawings = [drawing_of(path) for path in files]
    own = [path for path, drawing in zip(files, drawings, strict=True) if drawing is None]
    if len(own) == len(files):
        return None
    if own:
        # Only the grid is wanted: whether structures may overlap is asked when the mask itself is read.
        return read_labels(ScanSource(own[0]), canvas=Canvas(None, overlap="later")).grid
    segs = [drawing.path for drawing in drawings if drawing is not None and drawing.kind == "SEG"]
    return seg_grid(segs) if segs else None


def _read_one(source: ScanSource) -> Volume:
    """A scan."""
    kind = kind_of(source.path)
    if kind == "dicom":
        return read_dicom(source.path, source.series_uid)
    return READERS[kind](source.path)


def read_mask(source: ScanSource) -> Volume:
    """A mask with voxels of its own, as it is stored: (1, X, Y, Z) of any numbers. Raises UnreadableScan.

    Pictures may hold indices of a palette.
    """
    return read_picture_mask(source.path) if format_of(source.path) == "picture" else _read_one(source)


def whole_numbers(source: ScanSource, array: NDArray[Any]) -> NDArray[np.integer[Any]]:
    """The same as integers. DataError where it holds fractions."""
    if array.dtype.kind in "iu":
        return array
    rounded = np.round(array)
    with np.errstate(invalid="ignore"):  # infinity from infinity
        whole = np.abs(array - rounded) <= WHOLE_NUMBER_TOLERANCE * np.maximum(1, np.abs(rounded))
    odd = ~(whole & (np.abs(rounded) < LARGEST_ID))
    if odd.any():
        value = float(array[odd].flat[0])
        why = f"no whole number in {count(int(odd.sum()), 'voxel')}, as {value:g}"
        hint = "a mask must not be interpolated or a probability: save label ids (nearest neighbour, threshold)"
        if np.abs(array - rounded).max() <= NEARLY_WHOLE:
            hint = "`segtrain check --fix DIR` rounds them, as near as they are"
        raise DataError(Problem("a mask holds fractions", str(source), why, hint))
    return rounded.astype(np.int32)


def require_drawn(case: str, labels: LabelMap, task: Task) -> None:
    """DataError where a mask has voxels of a label that task.partial calls not drawn in this case."""
    hidden = {name: task.labels[name] for name in task.hidden_labels_in(case)}
    counts = {name: int((labels.array == label).sum()) for name, label in hidden.items()}
    found = ", ".join(f"{name} ({count(n, 'voxel')})" for name, n in counts.items() if n)
    if found:
        hint = "name it in the task.partial of this case, or take it out of the mask"
        raise DataError(Problem("a mask has labels that task.partial calls not drawn", f"case {case}", found, hint))


def require_declared(source: ScanSource, array: NDArray[np.integer[Any]], task: Task) -> tuple[str, ...]:
    """Notes on names that the mask gives its ids, and the task does not know.

    DataError where it holds ids that the task does not name, or calls them by the names of others.
    """
    notes = require_own_names(source, array, task)
    unknown = task.unknown_ids(array)
    if not unknown:
        return notes
    counts = [f"{i} ({count(int((array == i).sum()), 'voxel')})" for i in unknown[:SHOWN_IDS]]
    more = f" and {len(unknown) - SHOWN_IDS} more" if len(unknown) > SHOWN_IDS else ""
    declared = ", ".join(f"{name}: {task.labels[name]}" for name in task.names)
    added = ", ".join(f"NAME: {i}" for i in unknown[:SHOWN_IDS])
    hint = f"add {added} to task.labels (now {declared}), or set task.ignore: {unknown[0]} to leave its voxels out"
    if is_the_one_label(array, task):
        hint = f"`segtrain check --fix DIR` writes {task.labels[task.names[-1]]} for it; or {hint}"
    raise DataError(
        Problem("a mask holds ids that the task does not know", str(source), ", ".join(counts) + more, hint)
    )


def is_the_one_label(array: NDArray[np.integer[Any]], task: Task) -> bool:
    """Whether a mask has one value beside 0 and the task one label beside the background, and they differ."""
    there = [int(value) for value in np.unique(array) if value]
    return len(there) == 1 and len(task.names) == 2 and there[0] not in (task.labels[task.names[1]], task.ignore)
