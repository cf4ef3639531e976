"""The border to DICOM SEG: the mask of a DICOM series -> one file that refers to the slices of that series.

highdicom knows the standard. Places are not computed but copied: a frame has the position of the slice that it was
drawn on. What was written is read again by `dicom.seg_check` before it is moved into place.

Why not always LABELMAP, one frame a slice: few viewers read it yet (OHIF since 2025, 3D Slicer not: its issue 8387). So
masks are BINARY, one frame a slice and label, up to a number of labels from which on a label map is smaller too: 32
labels on 512x512x200 voxels took 53 MB and 12 s, as a label map 49 MB and 6 s.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from segtrain.core.case import ScanSource
from segtrain.core.codes import LONGEST_NAME, Codes, Term
from segtrain.core.colours import label_colour
from segtrain.core.errors import ConfigError, DataError, Problem, raise_all
from segtrain.core.files import whole_file
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.data.dicom.headers import dicom_errors, quiet_pydicom
from segtrain.data.dicom.instances import note_of_one_uid
from segtrain.data.dicom.records import SliceHeader
from segtrain.data.dicom.scan import checked_series
from segtrain.data.dicom.seg_check import require_same

if TYPE_CHECKING:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import Segmentation, SegmentDescription

MOST_BINARY = 32
"""Labels up to which a mask is BINARY."""
SERIES_NUMBER = 1000
"""Far behind those that scanners give; DICOM wants one, and series are told apart by their UIDs."""
NO_SERIAL_NUMBER = "none"
"""DICOM wants one of every device, and software has none."""
NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "FrameOfReferenceUID")
"""Without them nothing can refer to a slice."""
REFUSED, HINT = "no DICOM SEG can refer to this series", "take another format of masks, as nii.gz"
ALLOWED: Mapping[str, str] = {
    "PatientID": "",
    "PatientName": "",
    "PatientBirthDate": r"\d{8}",
    "PatientSex": "[MFO]",
    "AccessionNumber": "",
    "StudyID": "",
    "StudyDate": r"\d{8}",
    "StudyTime": r"\d{2,6}(\.\d{1,6})?",
    "ReferringPhysicianName": "",
}
"""What every DICOM file has, if only empty: the values that are passed on (all, where the pattern is empty)."""


def require_segments(task: Task) -> None:
    """ConfigError with every label whose name DICOM cannot hold."""
    hint = f"take a name of at most {LONGEST_NAME} characters, without a backslash or a line break"
    raise_all(
        ConfigError,
        (
            Problem("DICOM has no room for the name of a label", f"task.labels.{name}", hint=hint)
            for name in task.names[1:]
            if len(name) > LONGEST_NAME or re.search(r"[\\\x00-\x1f]", name) or not name.strip()
        ),
    )


def write_seg(path: Path, labels: LabelMap, source: ScanSource, task: Task, *, model: str) -> None:
    """Write a mask of a DICOM series as DICOM SEG; `model` says which run drew it, or is empty.

    A segment a foreground label, also where it is nowhere, in the order of their ids and numbered from 1. Patient and
    study are those of the series. Raises DataError where the series lacks what a SEG must refer to, or where what
    was written is not the mask; ConfigError as `require_segments`; ResourceError; ValueError where `labels` are of
    another grid or task.
    """
    require_segments(task)
    series = checked_series(source.path, source.series_uid)
    headers, grid = series.slices, series.grid
    if headers[0].frames > 1:
        raise DataError(Problem(REFUSED, str(headers[0].path), "its slices are frames of one enhanced file", HINT))
    if note_of_one_uid(headers):
        raise DataError(Problem(REFUSED, str(source.path), "all its slices have one SOPInstanceUID", HINT))
    if not grid.same_space(labels.grid):
        raise ValueError(f"the mask ({labels.grid.describe()}) is not on the grid of {source}")
    if unknown := set(np.unique(labels.array).tolist()) - set(task.ids):
        raise ValueError(f"the mask holds ids that are no labels: {sorted(unknown)}")
    segments = task.to_classes(labels.array)
    with _quiet_highdicom():
        made = _segmentation(source.path, headers, segments, task, model)
        with whole_file(path) as temporary:
            made.save_as(temporary)
            require_same(temporary, segments, grid, task.names, shown=path)


def _segmentation(
    folder: Path, headers: Sequence[SliceHeader], segments: NDArray[np.uint8], task: Task, model: str
) -> Segmentation:
    """`segments` (X, Y, Z) number the labels from 1. DataError where highdicom refuses the series."""
    from highdicom.seg import Segmentation

    slices = _slices(headers)
    kind = "BINARY" if len(task.names) - 1 <= MOST_BINARY else "LABELMAP"
    try:
        return Segmentation(
            source_images=slices,
            pixel_array=np.ascontiguousarray(segments.transpose(2, 1, 0)),
            segmentation_type=kind,
            segment_descriptions=_descriptions(task, model),
            series_instance_uid=generate_uid(),
            series_number=SERIES_NUMBER,
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer="segtrain",
            manufacturer_model_name="segtrain",
            software_versions=version("segtrain"),
            device_serial_number=NO_SERIAL_NUMBER,
            series_description="Segmentation by segtrain",
            specific_character_set="ISO_IR 192",
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        why = f"highdicom: {type(error).__name__}: {error}"
        raise DataError(Problem(REFUSED, str(folder), why, HINT)) from error


def _slices(headers: Sequence[SliceHeader]) -> list[Dataset]:
    """What a SEG copies of each slice: no voxels, and nothing that would make it invalid."""
    slices: list[Dataset] = []
    problems: dict[str, Problem] = {}
    for header in headers:
        with dicom_errors(header.path):
            data = pydicom.dcmread(header.path, stop_before_pixels=True)
            missing = [name for name in NEEDED if not data.get(name)]
            for name, pattern in ALLOWED.items():
                value = str(data.get(name) or "").strip()
                if not value or (pattern and not re.fullmatch(pattern, value)):
                    setattr(data, name, "")
        slices.append(data)
        for name in missing:  # once, and not for each of hundreds of slices
            why = f"its slices have no {name}, as {header.path.name}"
            problems.setdefault(name, Problem(REFUSED, str(header.path.parent), why, HINT))
    raise_all(DataError, problems.values())
    return slices


def _descriptions(task: Task, model: str) -> list[SegmentDescription]:
    from highdicom import AlgorithmIdentificationSequence
    from pydicom.sr.codedict import codes

    by = AlgorithmIdentificationSequence(
        name="segtrain",
        family=codes.cid7162.ArtificialIntelligence,
        version=version("segtrain"),
        parameters={"run": model} if model else None,
    )
    return [_description(number, name, task.codes_of(name), by) for number, name in enumerate(task.names[1:], start=1)]


def _description(number: int, name: str, codes: Codes, by: AlgorithmIdentificationSequence) -> SegmentDescription:
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription

    return SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=_code(codes.category),
        segmented_property_type=_code(codes.type),
        algorithm_type="AUTOMATIC",
        algorithm_identification=by,
        anatomic_regions=None if codes.region is None else [_code(codes.region)],
        display_color=CIELabColor.from_rgb(*(255 * share for share in label_colour(number - 1))),
    )


def _code(term: Term) -> Code:
    return Code(term.value, term.scheme, term.meaning)


@contextmanager
def _quiet_highdicom() -> Iterator[None]:
    """It logs what it finds odd, names of patients among it."""
    logger = logging.getLogger("highdicom")
    with quiet_pydicom():
        before = logger.level
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(before)
