"""LabelMap -> a file on its own grid, in the format that its reader wants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import DataError, Problem, raise_all
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.data.dicom.seg import require_segments, write_seg
from segtrain.data.files.formats import format_of
from segtrain.data.files.itk_files import write_itk
from segtrain.data.files.nifti import write_nifti
from segtrain.data.files.pictures import write_png

MaskFormat = Literal["nii.gz", "nii", "mha", "nrrd", "png", "dicom-seg"]
"""How masks are written; png only for masks of one slice, dicom-seg only for scans that are DICOM series."""

SUFFIXES: Mapping[MaskFormat, str] = {
    "nii.gz": ".nii.gz",
    "nii": ".nii",
    "mha": ".mha",
    "nrrd": ".nrrd",
    "png": ".png",
    "dicom-seg": ".dcm",
}


@dataclass(frozen=True)
class MaskWriter:
    """Writes the masks of a task in one format."""

    format: MaskFormat
    task: Task
    model: str
    """What drew them, as a person calls it: the name of the run. DICOM SEG says it."""

    def require(self, cases: Sequence[Case]) -> None:
        """DataError with every case, ConfigError with every label that cannot be written in this format.

        For those who would not like to learn it after the first prediction.
        """
        if self.format != "dicom-seg":
            return
        require_segments(self.task)
        raise_all(DataError, (_no_series(case) for case in cases if not case.images[0].path.is_dir()))

    def place(self, folder: Path, case: Case) -> Path:
        """Where the mask of a case lies in a folder."""
        return folder / f"{case.id}{SUFFIXES[self.format]}"

    def write(self, folder: Path, labels: LabelMap, case: Case) -> Path:
        """Write the mask of a case, which lies on the grid of its first image; gives the path.

        Raises DataError rather than write over an input, and where the format cannot hold the mask, ResourceError
        where the file cannot be written.
        """
        path, like = self.place(folder, case), case.images[0]
        inputs = [*case.images, *([case.label] if case.label else [])]
        if self.format in ("nii.gz", "nii"):
            write_prediction(path, labels, like, others=inputs)
            return path
        _refuse_inputs(path, inputs)
        if self.format == "dicom-seg":
            self.require([case])
            write_seg(path, labels, like, self.task, model=self.model)
        elif self.format == "png":
            write_png(path, labels)
        else:
            write_itk(path, labels, {name: self.task.labels[name] for name in self.task.names[1:]})
        return path


def write_prediction(path: Path, labels: LabelMap, like: ScanSource, *, others: Iterable[ScanSource] = ()) -> None:
    """Write a mask as NIfTI: shape and affine bit for bit those of `like`, or the grid of its DICOM series.

    Raises DataError rather than write over an input (`like`, and `others`: further channels, the reference),
    ResourceError where the file cannot be written.
    """
    _refuse_inputs(path, (like, *others))
    write_nifti(path, labels, like=like.path if format_of(like.path) == "nifti" else None)


def _no_series(case: Case) -> Problem:
    why = "the scan is no DICOM series, to whose slices a SEG would refer"
    hint = "take another format of masks, as nii.gz"
    return Problem(f"case {case.id} cannot have a DICOM SEG", str(case.images[0]), why, hint)


def _refuse_inputs(path: Path, sources: Iterable[ScanSource]) -> None:
    """Neither a scan itself, under whatever name, nor a place within its DICOM folder."""
    for scan in (source.path for source in sources):
        same = path.exists() and scan.exists() and path.samefile(scan)
        inside = scan.is_dir() and path.resolve().is_relative_to(scan.resolve())
        if same or inside or path.resolve() == scan.resolve():
            what = "a prediction would be written over or into a scan or mask of its case"
            raise DataError(Problem(what, str(path), f"that one is {scan}", "choose another folder with --out"))
