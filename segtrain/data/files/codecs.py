"""Whether the libraries under the readers can decode what they should, found out by doing it.

A wheel may be installed and import well, and still lack a codec that was left out of its build.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its own manual's name)
from numpy.typing import NDArray

from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap, Volume
from segtrain.data.files.itk_files import read_itk, write_itk
from segtrain.data.files.nifti import read_nifti, write_nifti_image
from segtrain.data.files.pictures import read_picture_mask, write_png

DICOM_CODECS: Mapping[str, str] = {"DICOM": "", "DICOM, JPEG lossless": "JPEG", "DICOM, JPEG 2000": "JPEG2000"}
"""Name -> what GDCM calls the compression."""


def codec_faults() -> dict[str, str]:
    """Format -> why it cannot be read; empty where it can."""
    values = (np.arange(16 * 12, dtype=np.int16) * 37 % 4001).reshape(16, 12)
    ways = {"NIfTI": _through_nifti, "MetaImage": _through_mha, "PNG": _through_png} | {
        name: partial(_through_dicom, codec) for name, codec in DICOM_CODECS.items()
    }
    return {name: _fault(partial(way, values), values) for name, way in ways.items()}


def _fault(through: Callable[[Path], NDArray[np.int16]], values: NDArray[np.int16]) -> str:
    """What goes wrong on the way to a file and back."""
    try:
        with TemporaryDirectory(prefix="segtrain-", ignore_cleanup_errors=True) as folder:
            back = through(Path(folder))
    except Exception as error:  # whatever a library raises, it cannot be used
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return "" if np.array_equal(back, values) else "other values come back"


def _through_nifti(values: NDArray[np.int16], folder: Path) -> NDArray[np.int16]:
    image = Volume(values[np.newaxis, :, :, np.newaxis], Grid((*values.shape, 1), np.eye(4)))
    write_nifti_image(folder / "image.nii.gz", image)
    back: NDArray[np.int16] = read_nifti(folder / "image.nii.gz").array[0, :, :, 0]
    return back


def _through_mha(values: NDArray[np.int16], folder: Path) -> NDArray[np.int16]:
    mask = LabelMap(values[:, :, np.newaxis], Grid((*values.shape, 1), np.eye(4)))
    write_itk(folder / "image.mha", mask, {})
    back: NDArray[np.int16] = read_itk(folder / "image.mha").array[0, :, :, 0]
    return back


def _through_png(values: NDArray[np.int16], folder: Path) -> NDArray[np.int16]:
    mask = LabelMap(values[:, :, np.newaxis], Grid((*values.shape, 1), np.eye(4)))
    write_png(folder / "image.png", mask)
    back: NDArray[np.int16] = read_picture_mask(folder / "image.png").array[0, :, :, 0]
    return back


def _through_dicom(compression: str, values: NDArray[np.int16], folder: Path) -> NDArray[np.int16]:
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(folder / "image.dcm"))
    if compression:
        writer.UseCompressionOn()
        writer.SetCompressor(compression)
    writer.Execute(sitk.GetImageFromArray(values))
    back: NDArray[np.int16] = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "image.dcm"))).squeeze()
    return back
