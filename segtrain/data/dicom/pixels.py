"""The border to the voxels of DICOM files: slope * stored + intercept, each slice by its own.

Files of one slice are decoded by SimpleITK (GDCM), one at a time; what GDCM cannot decode, and files of many frames,
whose slopes it does not know apart, by pydicom with the codecs that are installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813 (its own manual's name)
from numpy.typing import NDArray
from pydicom.uid import UID

from segtrain.core.errors import Problem, UnreadableScan
from segtrain.data.dicom.headers import dicom_errors
from segtrain.data.dicom.records import SliceHeader

Array = NDArray[Any]
PACKAGES: Mapping[str, str] = {
    "1.2.840.10008.1.2.4.80": "pyjpegls",
    "1.2.840.10008.1.2.4.81": "pyjpegls",
    **dict.fromkeys([f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203)], "pylibjpeg pylibjpeg-openjpeg"),
    **dict.fromkeys([f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70)], "python-gdcm"),
}
"""Transfer syntax -> what brings its codec to pydicom: JPEG-LS, JPEG 2000 and its fast kind, JPEG."""


def read_slices(headers: Sequence[SliceHeader]) -> list[Array]:
    """Values (rows, columns) of every slice. Raises UnreadableScan."""
    stored: dict[Path, Array] = {}
    values = []
    for header in headers:
        if header.frames == 1:
            values.append(_read_file(header))
            continue
        if header.path not in stored:
            stored = {header.path: _decoded(header).reshape((header.frames, *header.size))}
        values.append(_rescaled(stored[header.path][header.frame], header))
    return values


def _read_file(header: SliceHeader) -> Array:
    """Values of a file with one slice."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(header.path))
    with _silent_itk():
        try:
            image = reader.Execute()
        except RuntimeError:
            values = _rescaled(_decoded(header).reshape(header.size), header)
            return _inverted(values, header) if header.is_projection and _is_inverted(header) else values
    stored: Array = np.asarray(sitk.GetArrayFromImage(image))
    if stored.size != header.size[0] * header.size[1]:
        raise UnreadableScan(Problem("a DICOM file is damaged", str(header.path), "its image has another size"))
    array = stored.reshape(header.size)
    # GDCM turns stored values round within their range before it rescales them; for radiographs that is what we want.
    return _inverted(array, header) if _is_inverted(header) and not header.is_projection else array


def _decoded(header: SliceHeader) -> Array:
    """The stored values of all frames. Raises UnreadableScan."""
    with dicom_errors(header.path):
        return stored_values(header.path, pydicom.dcmread(header.path))


def stored_values(path: Path, data: Any) -> Array:
    """What pydicom decodes of all frames of a file. Raises UnreadableScan, which names a codec that is missing."""
    try:
        return np.asarray(data.pixel_array)
    except (RuntimeError, NotImplementedError) as error:
        syntax = UID(data.file_meta.get("TransferSyntaxUID", "1.2.840.10008.1.2"))
        package = PACKAGES.get(str(syntax))
        if package is None:
            hint = "decompress it with another tool (gdcmconv --raw, dcmdjpeg)"
        else:
            hint = f"pip install {package}, or decompress it with another tool"
        why = f"it is compressed as {syntax.name}, for which there is no codec here, or it is damaged"
        raise UnreadableScan(Problem("a DICOM file cannot be decoded", str(path), why, hint)) from error


def _rescaled(stored: Array, header: SliceHeader) -> Array:
    """Whole numbers where stored values, slope and intercept are, as GDCM has it; a Parametric Map may store floats."""
    values = stored.astype(np.float64) * header.slope + header.intercept
    is_whole = stored.dtype.kind in "iu" and header.slope.is_integer() and header.intercept.is_integer()
    return _whole(values) if is_whole else values


def _whole(values: NDArray[np.float64]) -> Array:
    """Whole numbers as the integers that hold them; as they are where float64 no longer tells them all apart."""
    largest = float(np.abs(values).max(initial=0))
    if largest > np.iinfo(np.int32).max:
        return values if largest > 2**53 else values.astype(np.int64)
    return values.astype(np.int32)


def _is_inverted(header: SliceHeader) -> bool:
    return header.photometric == "MONOCHROME1"


def _inverted(array: Array, header: SliceHeader) -> Array:
    """Values turned round within the range of what can be stored; twice is not at all."""
    low_plus_high = -1 if header.signed else 2**header.stored_bits - 1
    values = header.slope * low_plus_high + 2 * header.intercept - array.astype(np.float64)
    return _whole(values) if array.dtype.kind in "iu" else values


@contextmanager
def _silent_itk() -> Iterator[None]:
    """ITK writes warnings straight to stderr; what matters is checked here."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)
