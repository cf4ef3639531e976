"""DICOM series written with pydicom, with every fault that a test may want."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from segtrain.core.grid import Grid

SIZE = (6, 5)
"""Rows, columns."""


def header(path: Path, series: str, position, directions=(1, 0, 0, 0, 1, 0), **elements) -> FileDataset:
    """A CT slice without pixels; `elements` replace any element, None takes it out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = elements.get("SOPClassUID", CTImageStorage)
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(path)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    plain = {
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "StudyInstanceUID": "1.2.3.4",
        "SeriesInstanceUID": series,
        "SeriesDescription": "phantom",
        "FrameOfReferenceUID": "1.2.3",
        "PatientID": "4711",
        "PatientName": "Canary^Tweety",
        "Modality": "CT",
        "Rows": SIZE[0],
        "Columns": SIZE[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "PixelSpacing": [0.8, 0.7],
        "SliceThickness": 5.0,
        "ImagePositionPatient": [float(f"{v:.6f}") for v in position],
        "ImageOrientationPatient": [float(f"{v:.9f}") for v in directions],
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
    }
    for name, value in {**plain, **elements}.items():
        if value is not None:
            setattr(data, name, value)
    return data


def write_slice(
    path: Path, pixels: np.ndarray, series: str, position, directions=(1, 0, 0, 0, 1, 0), **elements
) -> Path:
    """One file with int16 pixels (rows, columns), or uint16 with PixelRepresentation 0."""
    data = header(path, series, position, directions, **elements)
    kind = np.int16 if data.PixelRepresentation else np.uint16
    data.PixelData = np.ascontiguousarray(pixels, dtype=kind).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def pixels_of(number: int) -> np.ndarray:
    """Every voxel of a phantom series has another value."""
    return np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) + 100 * number


def write_series(folder: Path, heights_mm=(0, 2.5, 5, 7.5), *, uid: str | None = None, **elements) -> list[Path]:
    """Axial slices at these heights, with file names in another order."""
    series = uid or generate_uid(entropy_srcs=[str(folder)])
    return [
        write_slice(folder / f"{(7 * n + 3) % 31:03}_{n}.dcm", pixels_of(n), series, (-10, -20, height), **elements)
        for n, height in enumerate(heights_mm)
    ]


def write_on_grid(folder: Path, array: np.ndarray, grid: Grid) -> None:
    """An array (X, Y, Z) on a RAS+ grid as a series: the inverse of what the reader does."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine
    x, y, _ = grid.spacing_mm
    directions = (*(lps[:3, 0] / x), *(lps[:3, 1] / y))
    for n in range(grid.shape[2]):
        slice_ = array[:, :, n].T
        more = {
            "Rows": slice_.shape[0],
            "Columns": slice_.shape[1],
            "PixelSpacing": [float(f"{y:.9f}"), float(f"{x:.9f}")],
        }
        position = lps[:3, 3] + n * lps[:3, 2]
        write_slice(folder / f"{n:03}", slice_, f"1.2.{abs(hash(str(folder))) % 10**9}", position, directions, **more)
