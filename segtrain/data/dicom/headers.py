"""The border to DICOM headers: which files of a folder are slices, and of which series.

Only headers are read here, with pydicom; what is kept of them is in `dicom.records`.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any

import pydicom
from pydicom import config as pydicom_config
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import UID, ImplicitVRLittleEndian

from segtrain.core.errors import Problem, UnreadableScan, raise_all
from segtrain.data.dicom.records import TAGS, TELLING_APART, Drawing, Series, SliceHeader, drawing, slice_headers

DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
NOT_IMAGES = {"1.2.840.10008.5.1.4.1.1.481.2": "RTDOSE", "1.2.840.10008.5.1.4.1.1.4.2": "MR Spectroscopy"}
"""Classes that have rows and columns and are no scan all the same."""
HOW_TO_COPY = "copy it again from its source; a file that is no DICOM must not be named .dcm"

BROKEN = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError, OverflowError),
    *(InvalidDicomError, BytesLengthException, struct.error),
)
"""What pydicom raises on damaged headers: it promises nothing narrower."""
PIXEL_ELEMENT_BYTES = {True: 8, False: 12}
"""Tag and length before the voxels, with implicit and with explicit VR."""
_TURN = RLock()


@dataclass(frozen=True)
class FolderContent:
    """What a folder and those below it hold, by path."""

    slices: tuple[SliceHeader, ...]
    drawings: tuple[Drawing, ...]

    def series(self) -> list[Series]:
        """The image series, by place and description."""
        groups: dict[str, list[SliceHeader]] = {}
        for header in self.slices:
            groups.setdefault(header.series_uid, []).append(header)
        found = [_series(uid, headers) for uid, headers in groups.items()]
        return sorted(found, key=lambda s: (str(s.folder), s.description, s.uid))


def list_series(folder: Path) -> list[Series]:
    """Every image series in a folder and below, by place and description; empty where there is none.

    Raises UnreadableScan that names each damaged file.
    """
    return read_folder(folder).series()


def read_folder(folder: Path) -> FolderContent:
    """The headers of all images in a folder and below, and the masks drawn on them (SEG, RTSTRUCT).

    Files that are no DICOM, and DICOM of other classes (reports, doses), are passed over. Raises UnreadableScan with
    every file that is truncated, or named .dcm and no DICOM.
    """
    slices: list[SliceHeader] = []
    drawings: list[Drawing] = []
    problems: list[Problem] = []
    for path in dicom_candidates(folder):
        try:
            found = read_file(path)
        except UnreadableScan as error:
            problems += error.problems
            continue
        if isinstance(found, Drawing):
            drawings.append(found)
        else:
            slices += found
    raise_all(UnreadableScan, problems)
    return FolderContent(tuple(slices), tuple(drawings))


def dicom_candidates(folder: Path) -> list[Path]:
    """Files in a folder and below that are not hidden, by path."""
    if not folder.is_dir():
        raise UnreadableScan(Problem("there is no such folder", str(folder), hint="check the path and the spelling"))
    inside = (p for p in folder.rglob("*") if p.is_file())
    return sorted(p for p in inside if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def looks_like_dicom(path: Path) -> bool:
    """Whether a file has the mark of DICOM after its preamble."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


@contextmanager
def dicom_errors(path: Path) -> Iterator[None]:
    """Translate what pydicom raises, and keep its warnings about sloppy headers off the screen."""
    try:
        with quiet_pydicom():
            yield
    except BROKEN as error:
        why = "it ends too early" if isinstance(error, EOFError) else "it cannot be read as DICOM"
        raise UnreadableScan(Problem("a DICOM file is damaged", str(path), why, HOW_TO_COPY)) from error


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Take values as they are, without a warning that would quote them.

    That is a setting of the whole process, so threads take turns: a scan may be read while a mask is written.
    """
    with _TURN:
        mode = pydicom_config.settings.reading_validation_mode
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE
                yield
        finally:
            pydicom_config.settings.reading_validation_mode = mode


def read_file(path: Path) -> tuple[SliceHeader, ...] | Drawing:
    """The slices of a file, none where it is no image; or the mask that it is. Raises UnreadableScan."""
    named_dicom = path.suffix.lower() in DICOM_SUFFIXES
    if path.stat().st_size == 0 and named_dicom:
        raise UnreadableScan(Problem("a DICOM file is empty", str(path), hint=HOW_TO_COPY))
    with dicom_errors(path), path.open("rb") as file:
        try:
            data = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=[*TAGS, *TELLING_APART])
        except InvalidDicomError:
            if named_dicom:
                raise
            return ()
        class_uid = str(data.get("SOPClassUID") or data.file_meta.get("MediaStorageSOPClassUID", ""))
        if (found := drawing(path, data, class_uid)) is not None:
            return found
        if "Rows" not in data or class_uid in NOT_IMAGES or class_uid.startswith("1.2.840.10008.5.1.4.1.1.11."):
            _check_cut_off(path, class_uid)
            return ()
        _check_length(path, data, there=path.stat().st_size - file.tell())
        return tuple(slice_headers(path, data))


def _series(uid: str, headers: list[SliceHeader]) -> Series:
    first = headers[0]
    files = tuple(dict.fromkeys(h.path for h in headers))
    return Series(uid, first.description, first.path.parent, first.patient_id, first.modality, files)


def _check_cut_off(path: Path, class_uid: str) -> None:
    """An image always has rows, and everything has a class: without them the file ends within its header."""
    if not class_uid or UID(class_uid).name.endswith("Image Storage"):
        why = "it ends within its header, before the size of the image"
        raise UnreadableScan(Problem("a DICOM file is truncated", str(path), why, HOW_TO_COPY))


def _check_length(path: Path, data: Any, *, there: int) -> None:
    """Whether uncompressed voxels are all there; a compressed file shows it when it is decoded."""
    syntax = UID(data.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian))
    if syntax.is_private or syntax.is_compressed or syntax.is_deflated:
        return
    bits = int(data.get("BitsAllocated", 16)) * int(data.get("SamplesPerPixel", 1))
    needed = int(data.Rows) * int(data.Columns) * int(data.get("NumberOfFrames", 1) or 1) * bits // 8
    there -= PIXEL_ELEMENT_BYTES[syntax.is_implicit_VR]
    if there < needed:
        why = f"its voxels need {needed} bytes, {max(0, there)} are there"
        raise UnreadableScan(Problem("a DICOM file is truncated", str(path), why, HOW_TO_COPY))
