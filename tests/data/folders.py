"""Folders of tiny NIfTI scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segtrain.core.volume import LabelMap
from segtrain.data.files.nifti import write_nifti
from tests import phantoms


def write_scan(path: Path) -> Path:
    """A file of 27 voxels, good as an image or a mask."""
    grid = phantoms.grid((3, 3, 3))
    write_nifti(path, LabelMap(np.ones(grid.shape, np.uint8), grid))
    return path


def write_folders(root: Path, images, labels) -> tuple[Path, Path]:
    """`root/images` and `root/labels` with these file names; a name without suffix gets `.nii.gz`."""
    for folder, names in (("images", images), ("labels", labels)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            write_scan(root / folder / (name if ".nii" in name else f"{name}.nii.gz"))
    return root / "images", root / "labels"


def write_structures(folder: Path, structures: dict[str, list[tuple[int, int, int]]], value: int = 1) -> Path:
    """A folder with a mask of 27 voxels a structure, by the indices of its voxels."""
    grid = phantoms.grid((3, 3, 3))
    for name, voxels in structures.items():
        array = np.zeros(grid.shape, np.uint8)
        for index in voxels:
            array[index] = value
        write_nifti(folder / f"{name}.nii.gz", LabelMap(array, grid))
    return folder
