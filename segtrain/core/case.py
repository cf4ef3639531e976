"""One examination of one patient: where its images and its label are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class ScanSource:
    """A file, or a folder of DICOM slices, with the UID of the series meant where it is one of DICOM."""

    path: Path
    series_uid: str = ""

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class Case:
    """Images by channel in the order of the data settings; `label` is None for prediction."""

    id: str
    patient: str
    images: tuple[ScanSource, ...]
    label: ScanSource | None = None
