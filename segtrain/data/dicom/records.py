"""What is kept of a DICOM header: of a slice, of a series, of a mask that was drawn on one.

Names, dates and numbers of patients stay behind this border: the PatientID leaves it as a pseudonym, the other
identifying elements are not read at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

TAGS = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesDescription", "PatientID"),
    "Modality",
    *("FrameOfReferenceUID", "RescaleType"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated"),
    *("BitsStored", "PixelRepresentation", "PixelSpacing", "ImagerPixelSpacing", "SliceThickness"),
    *("SpacingBetweenSlices", "ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept"),
    *("ModalityLUTSequence", "RealWorldValueMappingSequence", "StructureSetLabel"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
"""What is read of a header, beside what tells repeated slices apart."""
RESCALING = ("RescaleSlope", "RescaleIntercept")
DECIDING = (*RESCALING, "PixelRepresentation", "BitsStored")
"""What the values of a slice depend on. A file may lack some, and is read as if they said nothing."""
TELLING_APART = (
    *("EchoTime", "EffectiveEchoTime", "TemporalPositionIdentifier", "TemporalPositionIndex", "AcquisitionNumber"),
    *("TriggerTime", "DiffusionBValue", "FlipAngle", "InversionTime", "ImageType"),
)
"""Where slices of one place differ when a series holds several echoes, phases or reconstructions."""
DRAWINGS = {
    "1.2.840.10008.5.1.4.1.1.66.4": "SEG",
    "1.2.840.10008.5.1.4.1.1.66.7": "SEG",
    "1.2.840.10008.5.1.4.1.1.481.3": "RTSTRUCT",
}
"""Classes of masks that were drawn on a series."""
PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"
"""The class whose values are given by a RealWorldValueMapping; in others it stands beside the rescaling."""
PROJECTIONS = ("CR", "DX", "MG", "XA", "RF", "IO", "PX")
"""Modalities whose pictures lie on no plane of the patient."""


@dataclass(frozen=True, eq=False)
class SliceHeader:
    """What the reader needs to know of one slice. Vectors are LPS, lengths mm; None where the file says nothing."""

    path: Path
    instance_uid: str
    """Of the file: no two in the world have one."""
    study_uid: str
    series_uid: str
    description: str
    patient_id: str
    """A pseudonym of it, or "" where there is none."""
    modality: str
    frame_uid: str
    size: tuple[int, int]
    """Rows, columns."""
    frames: int
    """Of the file; a file of several has a header for each."""
    samples: int
    photometric: str
    stored_bits: int
    signed: bool
    slope: float
    intercept: float
    given: frozenset[str]
    """Which elements of `DECIDING` it has; for others a default stands here."""
    unit: str
    """RescaleType, as HU."""
    unclear: str
    """Why its values cannot be known, or ""."""
    spacing_mm: tuple[float, float] | None
    """Between rows, between columns."""
    position_mm: NDArray[np.float64] | None
    directions: NDArray[np.float64] | None
    """(2, 3): along a row, along a column."""
    step_mm: float | None
    """SpacingBetweenSlices, or else SliceThickness: only for a series of one slice."""
    frame: int = 0
    """Number of the frame in its file, from 0."""
    apart: Mapping[str, str] = field(default_factory=dict)
    """The elements of `TELLING_APART`, in words."""

    @property
    def is_projection(self) -> bool:
        """Whether it is a picture of the whole depth of the patient, as a radiograph."""
        return self.modality in PROJECTIONS

    @property
    def name(self) -> str:
        """The file, and which of its frames where it has several."""
        return self.path.name if self.frames == 1 else f"{self.path.name}, frame {self.frame + 1}"


@dataclass(frozen=True)
class Drawing:
    """A file of a mask that was drawn on a series."""

    path: Path
    kind: Literal["SEG", "RTSTRUCT"]
    description: str
    """SeriesDescription, or else the label of the structure set."""
    patient_id: str

    def describe(self) -> str:
        """As a person tells masks apart."""
        return f"{self.path.name} ({self.kind}{f', {self.description}' if self.description else ''})"


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


def drawing(path: Path, data: Any, class_uid: str) -> Drawing | None:
    """The mask that a file is; None where it is none."""
    kind = DRAWINGS.get(class_uid)
    description = str(data.get("SeriesDescription") or data.get("StructureSetLabel") or "")
    patient = _pseudonym(str(data.get("PatientID", "") or ""))
    return None if kind is None else Drawing(path, kind, description, patient)  # type: ignore[arg-type]


def slice_headers(path: Path, data: Any) -> Iterator[SliceHeader]:
    """The slices of an image: one, or as many as an enhanced file has frames."""
    frames = int(data.get("NumberOfFrames", 1) or 1)
    own = data.get("PerFrameFunctionalGroupsSequence") or []
    if len(own) != frames:
        yield _slice_header(path, _Frame(data), frames, 0)
        return
    shared = (data.get("SharedFunctionalGroupsSequence") or [{}])[0]
    for number, groups in enumerate(own):
        yield _slice_header(path, _Frame(data, groups, shared), frames, number)


class _Frame:
    """The elements of one frame: of its own functional groups, of the shared ones, or of the file.

    What vendors keep in sequences of their own is no group, whatever its elements are called.
    """

    def __init__(self, data: Any, *groups: Any) -> None:
        self._data = data
        self._places = (*groups, data)
        found = [item for group in groups for item in group if item.VR == "SQ" and not item.tag.is_private]
        self._groups = [item.value[0] for item in found if item.value]

    def get(self, name: str, default: Any = None) -> Any:
        found = next((group.get(name) for group in self._groups if name in group), None)
        return self._data.get(name, default) if found is None else found

    def items_of(self, name: str) -> list[Any]:
        """All items of a sequence that is a functional group, or stands in the file itself."""
        return next((list(place[name].value) for place in self._places if name in place and place[name].value), [])


@dataclass(frozen=True)
class _Scale:
    """value = slope * stored + intercept, None where the file does not say so."""

    slope: float | None
    intercept: float | None
    unclear: str = ""


def _scale(data: _Frame) -> _Scale:
    """By the rescaling of the file, or in a Parametric Map by its mapping; which of several is meant, nobody knows."""
    if data.get("ModalityLUTSequence"):
        return _Scale(None, None, "it has a ModalityLUTSequence")
    mappings = data.items_of("RealWorldValueMappingSequence") if data.get("SOPClassUID") == PARAMETRIC_MAP else []
    if not mappings:
        slope, intercept = (None if (v := data.get(name)) in (None, "") else float(v) for name in RESCALING)
        return _Scale(slope, intercept)
    if not all("RealWorldValueSlope" in mapping for mapping in mappings):
        return _Scale(None, None, "it has a RealWorldValueMapping that is a table")
    found = {(float(m.RealWorldValueSlope), float(m.get("RealWorldValueIntercept") or 0)) for m in mappings}
    if len(found) > 1:
        return _Scale(None, None, f"it has {len(found)} RealWorldValueMappings, and one voxel has one value")
    return _Scale(*found.pop())


def _slice_header(path: Path, data: _Frame, frames: int, number: int) -> SliceHeader:
    step = data.get("SpacingBetweenSlices") or data.get("SliceThickness")
    scale = _scale(data)
    given = dict(zip(RESCALING, (scale.slope, scale.intercept), strict=True))
    spacing, directions = _numbers(data, "PixelSpacing", 2), _numbers(data, "ImageOrientationPatient", 6)
    position, modality = _numbers(data, "ImagePositionPatient", 3), str(data.get("Modality", "") or "")
    if modality in PROJECTIONS and position is None and directions is None:
        spacing = _numbers(data, "ImagerPixelSpacing", 2) if spacing is None else spacing
        position, directions, step = np.zeros(3), np.array([1.0, 0, 0, 0, 1, 0]), step or 1.0
    return SliceHeader(
        path=path,
        instance_uid=str(data.get("SOPInstanceUID", "") or ""),
        study_uid=str(data.get("StudyInstanceUID", "") or ""),
        series_uid=str(data.get("SeriesInstanceUID", "") or ""),
        description=str(data.get("SeriesDescription", "") or ""),
        patient_id=_pseudonym(str(data.get("PatientID", "") or "")),
        modality=modality,
        frame_uid=str(data.get("FrameOfReferenceUID", "") or ""),
        size=(int(data.get("Rows")), int(data.get("Columns"))),
        frames=frames,
        samples=int(data.get("SamplesPerPixel", 1) or 1),
        photometric=str(data.get("PhotometricInterpretation", "") or ""),
        stored_bits=int(data.get("BitsStored") or 16),
        signed=bool(data.get("PixelRepresentation", 0)),
        slope=1.0 if scale.slope is None else scale.slope,
        intercept=scale.intercept or 0.0,
        given=frozenset(name for name in DECIDING if given.get(name, data.get(name)) not in (None, "")),
        unit=str(data.get("RescaleType", "") or ""),
        unclear=scale.unclear,
        spacing_mm=None if spacing is None else (float(spacing[0]), float(spacing[1])),
        position_mm=position,
        directions=None if directions is None else directions.reshape(2, 3),
        step_mm=float(step) if step else None,
        frame=number,
        apart={name: str(value) for name in TELLING_APART if (value := data.get(name)) not in (None, "")},
    )


def _numbers(data: _Frame, name: str, count: int) -> NDArray[np.float64] | None:
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
