"""What a file is, told by its name: the one table of suffixes.

Kinds are named after the border that reads them. A file that comes in two parts is known by its header: `.mhd`, `.nhdr`
and `.hdr` stand for the scan, and what lies beside them (`.raw`, `.zraw`, `.img`) is a part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

Kind = Literal["nifti", "mha", "nrrd", "picture", "dicom"]

SUFFIXES: Mapping[str, Kind] = {
    ".nii.gz": "nifti",
    ".nii": "nifti",
    ".hdr": "nifti",
    ".hdr.gz": "nifti",
    ".mha": "mha",
    ".mhd": "mha",
    ".seg.nrrd": "nrrd",
    ".nrrd": "nrrd",
    ".nhdr": "nrrd",
    ".png": "picture",
    ".tif": "picture",
    ".tiff": "picture",
    ".jpg": "picture",
    ".jpeg": "picture",
    ".dcm": "dicom",
    ".dicom": "dicom",
    ".ima": "dicom",
}
"""Suffix -> kind; a longer one comes before the one that it ends in. `.seg.nrrd` is how 3D Slicer names a mask."""

VOLUMES: tuple[Kind, ...] = ("nifti", "mha", "nrrd")
"""Kinds of files that are nothing but scans or masks."""

VOXELS_OF_PAIR: Mapping[str, str] = {".img": ".hdr", ".img.gz": ".hdr.gz"}
"""The file of a pair that holds the voxels -> its header."""

UNREAD_SUFFIXES = (".mgz", ".mgh", ".mnc", ".npy", ".npz", ".zip", ".tar", ".gipl", ".vtk", ".bmp", ".webp", ".gif")
"""Files that a person may take for scans of the data set, and that no border reads."""

READ = ".nii, .nii.gz, .hdr/.img, .mha, .mhd, .nrrd, .nhdr, .png, .tif, .jpg or DICOM"
"""For those who gave something else."""


def suffix_of(path: Path) -> str:
    """The suffix by which a file is known, in lower case; "" where there is none of the table."""
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix) and len(name) > len(suffix)), "")


def format_of(path: Path) -> Kind | None:
    """The kind of a file; None for files of other kinds, and for folders whatever they are called."""
    return None if path.is_dir() else SUFFIXES.get(suffix_of(path))


def scan_name(path: Path) -> str:
    """The name of a file without its suffix; the name of a folder as it is."""
    if path.is_dir():
        return path.name
    return path.name[: len(path.name) - len(suffix_of(path))]


def header_of_pair(path: Path) -> Path | None:
    """The `.hdr` that belongs to an `.img`; None for files that are no `.img`."""
    for voxels, header in VOXELS_OF_PAIR.items():
        if path.name.lower().endswith(voxels):
            return path.with_name(path.name[: -len(voxels)] + header)
    return None
