"""LabelMap -> a file on its own grid."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from segtrain.core.case import ScanSource
from segtrain.core.errors import DataError, Problem
from segtrain.core.volume import LabelMap
from segtrain.data.nifti import is_nifti, write_nifti


def write_prediction(path: Path, labels: LabelMap, like: ScanSource, *, others: Iterable[ScanSource] = ()) -> None:
    """Write a mask as NIfTI: shape and affine bit for bit those of `like`, or the grid of its DICOM series.

    Raises DataError rather than write over an input (`like`, and `others`: further channels, the reference),
    ResourceError where the file cannot be written.
    """
    for source in (like, *others):
        _refuse_inputs(path, source.path)
    write_nifti(path, labels, like=like.path if is_nifti(like.path) else None)


def _refuse_inputs(path: Path, scan: Path) -> None:
    """Neither the scan itself, under whatever name, nor a place within its DICOM folder."""
    same = path.exists() and scan.exists() and path.samefile(scan)
    inside = scan.is_dir() and path.resolve().is_relative_to(scan.resolve())
    if same or inside or path.resolve() == scan.resolve():
        what = "a prediction would be written over or into a scan or mask of its case"
        raise DataError(Problem(what, str(path), f"that one is {scan}", "choose another folder with --out"))
