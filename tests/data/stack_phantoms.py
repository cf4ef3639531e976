"""An ellipsoid whose place in mm is known, cut into slices that lie anyhow, with masks of every kind drawn on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813
from pydicom.uid import generate_uid

from segtrain.core.case import ScanSource
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.data.dicom.scan import checked_series
from segtrain.data.dicom.seg import write_seg
from tests.data.dicom_phantoms import write_slice
from tests.data.rtstruct_phantoms import contour, write_rtstruct

TASK = Task(labels={"background": 0, "organ": 1})
ROWS, COLUMNS = 44, 40
SPACING_MM = (1.2, 0.9)
"""Between rows, between columns."""
CORNER_MM = (-16.0, -31.0)
CENTRE_MM, RADII_MM = np.array([2.0, -4.0, 19.0]), np.array([11.0, 14.0, 13.0])
"""LPS."""
EVEN = [2.5 * n for n in range(17)]
STACKS: dict[str, tuple[list[float], float]] = {
    "missing": ([height for n, height in enumerate(EVEN) if n not in (6, 7, 11)], 0.0),
    "uneven": ([2.5 * n for n in range(9)] + [20 + 3.5 * n for n in range(1, 6)], 0.0),
    "tilt": (EVEN, 15.0),
    "missing and tilt": ([height for n, height in enumerate(EVEN) if n not in (6, 7)], -12.0),
}
"""Heights of the slices in mm, and the tilt in degrees."""


def corners_mm(heights, degrees: float = 0.0) -> np.ndarray:
    """(n, 3) LPS position of the first pixel of each slice; a tilted gantry moves them along the columns."""
    heights = np.asarray(heights, dtype=float)
    return np.column_stack(
        [np.full(len(heights), CORNER_MM[0]), CORNER_MM[1] + np.tan(np.radians(degrees)) * heights, heights]
    )


def distance(corner) -> np.ndarray:
    """(rows, columns) of a slice: 1 on the surface of the ellipsoid, less inside."""
    y, x = np.indices((ROWS, COLUMNS)) * np.reshape(SPACING_MM, (2, 1, 1))
    points = np.stack([x + corner[0], y + corner[1], np.full_like(x, corner[2])], axis=-1)
    return np.sqrt((((points - CENTRE_MM) / RADII_MM) ** 2).sum(axis=-1))


def values_of_slice(corner) -> np.ndarray:
    """A smooth hill of 1000 on a ground of -1000."""
    return np.round(2000 * np.exp(-(distance(corner) ** 2)) - 1000).astype(np.int16)


def write_stack(folder: Path, heights, degrees: float = 0.0, values=values_of_slice, **elements) -> Path:
    """The series, in a folder of its own."""
    uid = generate_uid(entropy_srcs=[str(folder)])
    geometry = {"Rows": ROWS, "Columns": COLUMNS, "PixelSpacing": list(SPACING_MM)}
    for number, corner in enumerate(corners_mm(heights, degrees)):
        write_slice(folder / f"{number:03}.dcm", values(corner), uid, corner, **geometry, **elements)
    return folder


def drawn(corner) -> np.ndarray:
    """The mask of a slice."""
    return (distance(corner) <= 1).astype(np.int16)


def drawn_array(heights, degrees: float = 0.0) -> np.ndarray:
    """(columns, rows, n) as it lies in the slices."""
    return np.stack([drawn(corner).T for corner in corners_mm(heights, degrees)], axis=-1).astype(np.uint8)


def as_rtstruct(path: Path, heights, degrees: float = 0.0) -> Path:
    """An outline on each slice, where the ellipsoid really is."""
    angle = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    contours = []
    for height in heights:
        share = 1 - ((height - CENTRE_MM[2]) / RADII_MM[2]) ** 2
        if share > 0:
            ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1) * RADII_MM * np.sqrt(share)
            contours.append(contour(ring + np.array([CENTRE_MM[0], CENTRE_MM[1], height])))
    return write_rtstruct(path, {"organ": contours})


def as_seg(path: Path, heights, degrees: float = 0.0) -> Path:
    """A SEG that is written on an even series, whose frames are then laid where the slices are."""
    even = write_stack(path.parent / "even", EVEN[: len(heights)])
    series = checked_series(even, "")
    write_seg(path, LabelMap(drawn_array(heights, degrees), series.grid), ScanSource(even), TASK, model="m")
    data = pydicom.dcmread(path)
    places = dict(zip([round(height, 3) for height in EVEN], corners_mm(heights, degrees), strict=False))
    for groups in data.PerFrameFunctionalGroupsSequence:
        position = groups.PlanePositionSequence[0]
        position.ImagePositionPatient = [
            float(f"{v:.6f}") for v in places[round(float(position.ImagePositionPatient[2]), 3)]
        ]
    data.save_as(path)
    return path


def as_series(path: Path, heights, degrees: float = 0.0) -> Path:
    """A mask as DICOM slices, beside those of the scan."""
    return write_stack(path, heights, degrees, drawn)


def as_simpleitk_converts(path: Path, heights, degrees: float = 0.0) -> Path:
    """A NIfTI mask on the grid that SimpleITK makes up of the series."""
    reader = sitk.ImageSeriesReader()
    scan = write_stack(path.parent / "scan of sitk", heights, degrees)
    reader.SetFileNames(sorted(map(str, scan.iterdir())))
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        image = reader.Execute()
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)
    mask = sitk.GetImageFromArray(drawn_array(heights, degrees).transpose(2, 1, 0))
    mask.CopyInformation(image)
    file = path.with_suffix(".nii.gz")
    sitk.WriteImage(mask, str(file))
    return file


def centre_mm(labels: LabelMap) -> np.ndarray:
    """Centroid of the labelled voxels, LPS."""
    index = np.argwhere(labels.array == 1).mean(axis=0)
    return labels.grid.positions_mm(index[None])[0] * (-1, -1, 1)
