"""MetaImage and NRRD files written by SimpleITK, and what SimpleITK makes of any: the judge of our readers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

DIRECTION = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
VALUES = (np.arange(60).reshape(5, 4, 3) * 7 % 61 - 20).astype(np.int16)
"""(X, Y, Z) of no symmetry."""


def write(path: Path, array=VALUES, *, packed=False) -> Path:
    """An oblique scan of (X, Y, Z), or of (X, Y, Z, channels)."""
    image = sitk.GetImageFromArray(np.moveaxis(array, (0, 1, 2), (2, 1, 0)), isVector=array.ndim == 4)
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-10.5, 20.25, 3))
    image.SetDirection(DIRECTION)
    sitk.WriteImage(image, str(path), useCompression=packed)
    return path


def judged(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(channels, X, Y, Z) and the affine in RAS, as SimpleITK reads them."""
    image = sitk.ReadImage(str(path))
    axes = image.GetDimension()
    affine = np.eye(4)
    affine[:axes, :axes] = np.reshape(image.GetDirection(), (axes, axes)) * image.GetSpacing()
    affine[:axes, 3] = image.GetOrigin()
    array = sitk.GetArrayFromImage(image)
    array = array.T[np.newaxis] if image.GetNumberOfComponentsPerPixel() == 1 else array.T
    if axes == 2:
        array = array[..., np.newaxis]
    return array, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
