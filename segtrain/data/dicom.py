"""The border to DICOM scans: a folder of slices -> Volume in RAS+.

The geometry comes from the headers, is checked here and never guessed: slices are sorted by their position
along the normal, and a series whose slices do not lie on one regular grid is refused with the place in mm.
Pixels are decoded by SimpleITK (GDCM), one file at a time, so that each slice has its own rescale slope.

MONOCHROME1 says how to show values, not what they are: the values read are slope * stored + intercept for it
too, as for MONOCHROME2 and as pydicom gives them. (GDCM inverts it; that is undone.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its own manual's name)
from numpy.typing import NDArray

from segtrain.core.errors import Problem, UnreadableScan, raise_all
from segtrain.core.grid import Grid
from segtrain.core.volume import Volume
from segtrain.data.dicom_geometry import faults_of_files, faults_of_steps, grid_of, sorted_slices
from segtrain.data.dicom_headers import Series, SliceHeader, list_series, read_headers

__all__ = ["Series", "checked_series", "list_series", "read_dicom"]

Array = NDArray[Any]


def read_dicom(folder: Path, series_uid: str = "") -> Volume:
    """Read a series in RAS+; integers where the rescale slope leaves them so, float32 otherwise.

    Without `series_uid` the folder must hold one series. Raises UnreadableScan.
    """
    ordered, grid = checked_series(folder, series_uid)
    slices = [_read_pixels(header) for header in ordered]
    dtype = np.result_type(*{s.dtype for s in slices})
    dtype = dtype if dtype.kind in "iu" else np.dtype(np.float32)
    array = np.stack([s.T.astype(dtype, copy=False) for s in slices], axis=-1)
    broken = int(array.size - np.isfinite(array).sum())
    if broken:
        raise UnreadableScan(Problem("some voxels are not numbers", str(folder), f"{broken} are NaN or infinite"))
    return Volume(array[np.newaxis], grid)


def checked_series(folder: Path, series_uid: str) -> tuple[tuple[SliceHeader, ...], Grid]:
    """The slices of a series in the order of the third axis of its grid, and the grid. Raises UnreadableScan."""
    headers = _choose(folder, read_headers(folder), series_uid)
    raise_all(UnreadableScan, faults_of_files(folder, headers))
    steps = sorted_slices(headers)
    raise_all(UnreadableScan, faults_of_steps(folder, steps))
    return steps.headers, grid_of(folder, steps)


def _choose(folder: Path, headers: list[SliceHeader], uid: str) -> list[SliceHeader]:
    """The files of the series meant. Raises UnreadableScan where that is not clear."""
    uids = sorted({h.series_uid for h in headers})
    if not headers:
        why = "its files are no DICOM, or DICOM without an image (SEG, RTSTRUCT, reports are not read)"
        hint = "point at a folder of DICOM slices; convert a SEG or RTSTRUCT mask to NIfTI"
        raise UnreadableScan(Problem("there is no DICOM image in this folder", str(folder), why, hint))
    if uid and uid not in uids:
        raise UnreadableScan(Problem(f"there is no series {uid} in this folder", str(folder), f"it holds {len(uids)}"))
    if not uid and len(uids) > 1:
        names = "; ".join(s.describe() for s in list_series(folder)[:6])
        hint = "put each into a folder of its own, or pick one by a pattern: data.layout: dicom with channels"
        raise UnreadableScan(Problem(f"there are {len(uids)} series in one folder", str(folder), names, hint))
    return [h for h in headers if h.series_uid == (uid or uids[0])]


def _read_pixels(header: SliceHeader) -> Array:
    """Values (rows, columns) of one file, rescaled by its own slope and intercept."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(header.path))
    with _silent_itk():
        try:
            image = reader.Execute()
        except RuntimeError as error:
            why = "its voxels cannot be decoded: it is truncated, damaged, or compressed in an unknown way"
            hint = "copy it again from its source, or decompress it (gdcmconv --raw)"
            raise UnreadableScan(Problem("a DICOM file is damaged", str(header.path), why, hint)) from error
    stored: Array = np.asarray(sitk.GetArrayFromImage(image))
    if stored.size != header.size[0] * header.size[1]:
        raise UnreadableScan(Problem("a DICOM file is damaged", str(header.path), "its image has another size"))
    array = stored.reshape(header.size)
    return _uninverted(array, header) if header.photometric == "MONOCHROME1" else array


def _uninverted(array: Array, header: SliceHeader) -> Array:
    """Undo that GDCM turns stored values round within their range before it rescales them."""
    low_plus_high = -1 if header.signed else 2**header.stored_bits - 1
    values = header.slope * low_plus_high + 2 * header.intercept - array.astype(np.float64)
    return values.astype(np.int32) if array.dtype.kind in "iu" else values


@contextmanager
def _silent_itk() -> Iterator[None]:
    """ITK writes warnings straight to stderr; what matters is checked here."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)
