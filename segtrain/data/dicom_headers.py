"""The border to DICOM headers: which files of a folder are slices, and of which series.

Only headers are read here, with pydicom. Names, dates and numbers of patients stay behind this border: the
PatientID leaves it as a pseudonym, the other identifying elements are not read at all.
"""

from __future__ import annotations

import hashlib
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import config as pydicom_config
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import UID, ImplicitVRLittleEndian

from segtrain.core.errors import Problem, UnreadableScan, raise_all

DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
TAGS = [
    *("SOPClassUID", "SeriesInstanceUID", "SeriesDescription", "PatientID", "Modality", "FrameOfReferenceUID"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated"),
    *("BitsStored", "PixelRepresentation", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    *("ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
]
NOT_IMAGES = {
    "1.2.840.10008.5.1.4.1.1.66.4": "SEG",
    "1.2.840.10008.5.1.4.1.1.66.7": "SEG",
    "1.2.840.10008.5.1.4.1.1.481.2": "RTDOSE",
}
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


@dataclass(frozen=True, eq=False)
class SliceHeader:
    """What the reader needs to know of one file. Vectors are LPS, lengths mm; None where the file says nothing."""

    path: Path
    series_uid: str
    description: str
    patient_id: str
    modality: str
    frame_uid: str
    size: tuple[int, int]
    """Rows, columns."""
    frames: int
    samples: int
    photometric: str
    stored_bits: int
    signed: bool
    slope: float
    intercept: float
    has_lut: bool
    spacing_mm: tuple[float, float] | None
    """Between rows, between columns."""
    position_mm: NDArray[np.float64] | None
    directions: NDArray[np.float64] | None
    """(2, 3): along a row, along a column."""
    step_mm: float | None
    """SpacingBetweenSlices, or else SliceThickness: only for a series of one slice."""


@dataclass(frozen=True)
class Series:
    """One series of a folder. `patient_id` is a pseudonym of PatientID, or "" where there is none."""

    uid: str
    description: str
    folder: Path
    patient_id: str
    modality: str
    files: tuple[Path, ...]

    @property
    def n(self) -> int:
        """Number of files."""
        return len(self.files)

    def describe(self) -> str:
        """As a person tells series apart."""
        return f"{self.description or self.folder.name!r} ({self.modality}, {self.n} files, {self.uid})"


def list_series(folder: Path) -> list[Series]:
    """Every image series in a folder and below, by place and description; empty where there is none.

    Raises UnreadableScan that names each damaged file.
    """
    groups: dict[str, list[SliceHeader]] = {}
    for header in read_headers(folder):
        groups.setdefault(header.series_uid, []).append(header)
    found = [_series(uid, headers) for uid, headers in groups.items()]
    return sorted(found, key=lambda s: (str(s.folder), s.description, s.uid))


def read_headers(folder: Path) -> list[SliceHeader]:
    """The headers of all images in a folder and below, by path.

    Files that are no DICOM, and DICOM that is no image (SEG, RTSTRUCT, reports), are passed over. Raises
    UnreadableScan with every file that is truncated, or named .dcm and no DICOM.
    """
    headers: list[SliceHeader] = []
    problems: list[Problem] = []
    for path in dicom_candidates(folder):
        try:
            header = _read_header(path)
        except UnreadableScan as error:
            problems += error.problems
        else:
            headers += [header] if header else []
    raise_all(UnreadableScan, problems)
    return headers


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


def _series(uid: str, headers: list[SliceHeader]) -> Series:
    first = headers[0]
    files = tuple(h.path for h in headers)
    return Series(uid, first.description, first.path.parent, first.patient_id, first.modality, files)


def _read_header(path: Path) -> SliceHeader | None:
    """None where the file is no image. Raises UnreadableScan."""
    named_dicom = path.suffix.lower() in DICOM_SUFFIXES
    if path.stat().st_size == 0 and named_dicom:
        raise UnreadableScan(Problem("a DICOM file is empty", str(path), hint=HOW_TO_COPY))
    with dicom_errors(path), path.open("rb") as file:
        try:
            data = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=[*TAGS])
        except InvalidDicomError:
            if named_dicom:
                raise
            return None
        class_uid = str(data.get("SOPClassUID") or data.file_meta.get("MediaStorageSOPClassUID", ""))
        if "Rows" not in data or class_uid in NOT_IMAGES or class_uid.startswith("1.2.840.10008.5.1.4.1.1.11."):
            _check_cut_off(path, class_uid)
            return None
        _check_length(path, data, there=path.stat().st_size - file.tell())
        return _slice_header(path, data)


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


def _slice_header(path: Path, data: Any) -> SliceHeader:
    step = data.get("SpacingBetweenSlices") or data.get("SliceThickness")
    slope = data.get("RescaleSlope")
    spacing, directions = _numbers(data, "PixelSpacing", 2), _numbers(data, "ImageOrientationPatient", 6)
    return SliceHeader(
        path=path,
        series_uid=str(data.get("SeriesInstanceUID", "")),
        description=str(data.get("SeriesDescription", "") or ""),
        patient_id=_pseudonym(str(data.get("PatientID", "") or "")),
        modality=str(data.get("Modality", "") or ""),
        frame_uid=str(data.get("FrameOfReferenceUID", "") or ""),
        size=(int(data.Rows), int(data.Columns)),
        frames=int(data.get("NumberOfFrames", 1) or 1),
        samples=int(data.get("SamplesPerPixel", 1) or 1),
        photometric=str(data.get("PhotometricInterpretation", "") or ""),
        stored_bits=int(data.get("BitsStored", 16)),
        signed=bool(data.get("PixelRepresentation", 0)),
        slope=1.0 if slope is None else float(slope),
        intercept=float(data.get("RescaleIntercept") or 0),
        has_lut=bool(data.get("ModalityLUTSequence")),
        spacing_mm=None if spacing is None else (float(spacing[0]), float(spacing[1])),
        position_mm=_numbers(data, "ImagePositionPatient", 3),
        directions=None if directions is None else directions.reshape(2, 3),
        step_mm=float(step) if step else None,
    )


def _numbers(data: Any, name: str, count: int) -> NDArray[np.float64] | None:
    """The finite numbers of an element; None where it is absent, empty or of another length."""
    value = data.get(name)
    if value is None or isinstance(value, str) or len(value) != count:
        return None
    numbers = np.asarray([float(v) for v in value], dtype=np.float64)
    return numbers if bool(np.isfinite(numbers).all()) else None


def _pseudonym(patient_id: str) -> str:
    """Equal for equal patients, and not the number itself; "" where the file names none."""
    if not patient_id.strip():
        return ""
    return f"p_{hashlib.sha256(patient_id.strip().encode()).hexdigest()[:8]}"
