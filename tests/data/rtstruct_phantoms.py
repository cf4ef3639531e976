"""RTSTRUCT files written with pydicom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage

from segtrain.core.grid import Grid


def outline(grid: Grid, corners, at: float, kind="CLOSED_PLANAR") -> Dataset:
    """Corners (N, 2) in voxels on slice `at` -> a contour in mm."""
    corners = np.asarray(corners, dtype=float)
    index = np.column_stack([corners, np.full(len(corners), at)])
    return contour(grid.positions_mm(index) * (-1, -1, 1), kind)


def contour(points_lps_mm, kind="CLOSED_PLANAR") -> Dataset:
    """A contour of these points."""
    data = Dataset()
    data.ContourGeometricType = kind
    data.NumberOfContourPoints = len(points_lps_mm)
    data.ContourData = [f"{v:.4f}" for v in np.ravel(points_lps_mm)]
    return data


def write_rtstruct(path: Path, structures: dict[str, list[Dataset] | None], **elements) -> Path:
    """Structures by name, numbered from 1; None leaves the ContourSequence out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = RTStructureSetStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3.9"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    plain = {
        "SOPClassUID": RTStructureSetStorage,
        "SOPInstanceUID": "1.2.3.9",
        "SeriesInstanceUID": "1.2.3.8",
        "Modality": "RTSTRUCT",
        "StructureSetLabel": "drawn",
        "PatientID": "4711",
        "PatientName": "Canary^Tweety",
    }
    for name, value in {**plain, **elements}.items():
        setattr(data, name, value)
    data.StructureSetROISequence, data.ROIContourSequence = [], []
    for number, (name, contours) in enumerate(structures.items(), start=1):
        roi, drawn = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, drawn.ReferencedROINumber = number, name, number
        if contours is not None:
            drawn.ContourSequence = contours
        data.StructureSetROISequence.append(roi)
        data.ROIContourSequence.append(drawn)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path
