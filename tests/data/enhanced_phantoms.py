"""Enhanced (multi-frame) DICOM files written with pydicom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage

from tests.data.dicom_phantoms import header, pixels_of


def group(**sequences) -> Dataset:
    """A functional group item: sequence name -> elements of its only item."""
    data = Dataset()
    for name, elements in sequences.items():
        item = Dataset()
        for key, value in elements.items():
            setattr(item, key, value)
        setattr(data, name, [item])
    return data


def write_enhanced(path: Path, heights_mm=(5, 0, 2.5), slopes=(1, 2, 0.5), frames=None, **elements) -> Path:
    """Frames in any order, each with a slope of its own; `frames` are further groups of each."""
    data = header(
        path,
        "1.2.77",
        (0, 0, 0),
        NumberOfFrames=len(heights_mm),
        PixelSpacing=None,
        ImagePositionPatient=None,
        ImageOrientationPatient=None,
        SliceThickness=None,
        **{"SOPClassUID": EnhancedCTImageStorage, "RescaleSlope": None, "RescaleIntercept": None, **elements},
    )
    data.SharedFunctionalGroupsSequence = [
        group(
            PlaneOrientationSequence={"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
            PixelMeasuresSequence={"PixelSpacing": [0.8, 0.7], "SliceThickness": 2.5},
        )
    ]
    data.PerFrameFunctionalGroupsSequence = [
        group(
            PlanePositionSequence={"ImagePositionPatient": [-10, -20, height]},
            PixelValueTransformationSequence={"RescaleSlope": slope, "RescaleIntercept": -5, "RescaleType": "HU"},
            **(frames[number] if frames else {}),
        )
        for number, (height, slope) in enumerate(zip(heights_mm, slopes, strict=True))
    ]
    data.PixelData = np.stack([pixels_of(n) for n in range(len(heights_mm))]).astype(np.int16).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path
