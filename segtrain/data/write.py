"""LabelMap -> a file on its own grid."""

from __future__ import annotations

from pathlib import Path

from segtrain.core.case import ScanSource
from segtrain.core.errors import DataError, Problem
from segtrain.core.volume import LabelMap
from segtrain.data.nifti import is_nifti, write_nifti


def write_prediction(path: Path, labels: LabelMap, like: ScanSource) -> None:
    """Write a mask as NIfTI: shape and affine bit for bit those of `like`, or the grid of its DICOM series.

    Raises DataError rather than write over an input, ResourceError where the file cannot be written.
    """
    _refuse_inputs(path, like.path)
    write_nifti(path, labels, like=like.path if is_nifti(like.path) else None)


def _refuse_inputs(path: Path, scan: Path) -> None:
    """Neither the scan itself, under whatever name, nor a place within its DICOM folder."""
    same = path.exists() and scan.exists() and path.samefile(scan)
    inside = scan.is_dir() and path.resolve().is_relative_to(scan.resolve())
    if same or inside or path.resolve() == scan.resolve():
        what = "a prediction would be written over or into the scan that it belongs to"
        raise DataError(Problem(what, str(path), f"the scan is {scan}", "choose another folder with --out"))
