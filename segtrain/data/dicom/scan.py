"""The border to DICOM scans: slices in a folder, or one enhanced file -> Volume in RAS+.

The geometry comes from the headers, is checked here and never guessed: slices are sorted by their position
along the normal, and a series whose slices do not lie on one regular grid is refused with the place in mm
(`dicom.repair` makes one, where that is asked for).

MONOCHROME1 says how to show values, not what they are: the values read are slope * stored + intercept for it
too, as for MONOCHROME2 and as pydicom gives them. Only radiographs are turned round, whose values are nothing but
brightness, so that bone is bright in all of them. Either is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrain.core.errors import Problem, UnreadableScan, raise_all
from segtrain.core.grid import Grid
from segtrain.core.volume import DicomOrigin, Volume
from segtrain.core.words import count
from segtrain.data.dicom.geometry import (
    Steps,
    faults_of_steps,
    grid_of,
    note_of_steps,
    sorted_slices,
)
from segtrain.data.dicom.headers import list_series, read_file, read_folder
from segtrain.data.dicom.instances import faults_of_instances, note_of_one_uid
from segtrain.data.dicom.mixtures import faults_of_files, largest_stack
from segtrain.data.dicom.pet import suv_of
from segtrain.data.dicom.pixels import read_slices
from segtrain.data.dicom.records import Drawing, Series, SliceHeader
from segtrain.data.dicom.values import faults_of_values
from segtrain.data.repair.finite import require_finite

__all__ = ["CheckedSeries", "Series", "checked_series", "list_series", "read_dicom"]

Array = NDArray[Any]
FEW_SLICES = 4
"""A series of fewer slices is read, and said: other readers refuse it, and often it is a part of one."""


@dataclass(frozen=True, eq=False)
class CheckedSeries:
    """Slices in the order of the third axis of their grid, and what to know of how they were chosen."""

    slices: tuple[SliceHeader, ...]
    grid: Grid
    notes: tuple[str, ...] = ()


def read_dicom(place: Path, series_uid: str = "") -> Volume:
    """Read a series in RAS+; integers where the rescale slope leaves them so, float32 otherwise.

    `place` is a folder, which without `series_uid` must hold one series, or a file of one. A PET is read as SUV by
    body weight, in g/ml. Raises UnreadableScan.
    """
    series = checked_series(place, series_uid)
    array, notes = values_of(series.slices)
    require_finite(place, array)
    return Volume(array[np.newaxis], series.grid, (*series.notes, *notes), (origin_of(series.slices),))


def checked_series(place: Path, series_uid: str) -> CheckedSeries:
    """The slices of a series in the order of the third axis of its grid, and the grid. Raises UnreadableScan."""
    steps, notes = steps_of_series(place, series_uid)
    raise_all(UnreadableScan, (fault.problem for fault in faults_of_steps(place, steps)))
    return CheckedSeries(steps.headers, grid_of(place, steps), notes)


def steps_of_series(place: Path, series_uid: str) -> tuple[Steps, tuple[str, ...]]:
    """The slices of a series in order along their normal, wherever they lie, and what to know of how they were chosen.

    Raises UnreadableScan where a slice does not say where it lies or what its values mean.
    """
    headers, left_out = largest_stack(_choose(place, _headers(place), series_uid))
    raise_all(UnreadableScan, [*faults_of_files(place, headers), *faults_of_values(place, headers)])
    raise_all(UnreadableScan, faults_of_instances(place, headers))
    steps = sorted_slices(headers)
    notes = [note for note in (left_out, note_of_one_uid(headers), note_of_steps(steps)) if note]
    if 1 < len(headers) < FEW_SLICES:
        notes.append(f"the series has only {count(len(headers), 'slice')}")
    return steps, tuple(notes)


def values_of(headers: Sequence[SliceHeader]) -> tuple[Array, list[str]]:
    """Values (X, Y, n) of slices, and what to know of them; some may be NaN or infinite. Raises UnreadableScan."""
    slices = read_slices(headers)
    dtype = np.result_type(*{s.dtype for s in slices})
    dtype = dtype if dtype.kind in "iu" else np.dtype(np.float32)
    array = np.stack([s.T.astype(dtype, copy=False) for s in slices], axis=-1)
    notes = list(_photometric(headers[0]))
    if headers[0].modality == "PT":
        suv = suv_of(headers)
        array, notes = array.astype(np.float32) * np.float32(suv.factor), [*notes, suv.note]
    return array, notes


def origin_of(headers: Sequence[SliceHeader]) -> DicomOrigin:
    """What names the series that slices are of, and each of them; one UID for all slices names none."""
    told_apart = () if note_of_one_uid(headers) else headers
    instances = dict.fromkeys(header.instance_uid for header in told_apart if header.instance_uid)
    return DicomOrigin(headers[0].series_uid, headers[0].frame_uid, tuple(instances))


def _headers(place: Path) -> Sequence[SliceHeader]:
    if place.is_dir():
        return read_folder(place).slices
    found = read_file(place)
    return () if isinstance(found, Drawing) else found


def _choose(place: Path, headers: Sequence[SliceHeader], uid: str) -> list[SliceHeader]:
    """The slices of the series meant. Raises UnreadableScan where that is not clear."""
    uids = sorted({h.series_uid for h in headers})
    if not headers:
        why = "it is no DICOM, or DICOM without an image (reports, doses; SEG and RTSTRUCT are masks)"
        hint = "point at a folder of DICOM slices"
        raise UnreadableScan(Problem("there is no DICOM image here", str(place), why, hint))
    if uid and uid not in uids:
        raise UnreadableScan(Problem(f"there is no series {uid} in this folder", str(place), f"it holds {len(uids)}"))
    if not uid and len(uids) > 1:
        names = "; ".join(s.describe() for s in list_series(place)[:6])
        hint = "put each into a folder of its own, or pick one by a pattern: data.layout: dicom with channels"
        raise UnreadableScan(Problem(f"there are {len(uids)} series in one folder", str(place), names, hint))
    return [h for h in headers if h.series_uid == (uid or uids[0])]


def _photometric(first: SliceHeader) -> Iterator[str]:
    if first.photometric == "MONOCHROME1":
        yield (
            "its values were inverted, so that bright means dense (MONOCHROME1)"
            if first.is_projection
            else "its values are as stored, and not inverted for showing (MONOCHROME1)"
        )
    if first.is_projection:
        yield "a radiograph lies on no plane of the patient: its corner is taken to be the origin, 1 mm thick"
