"""The border to `.mha`, `.mhd`, `.nrrd` and `.nhdr`: read by their own words, written by SimpleITK.

Both say where voxels lie in LPS, a `Grid` in RAS (`itk_geometry`). Labels stand in the header as 3D Slicer has them in
a segmentation: `Segment0_Name`, `Segment0_LabelValue` and so on, which its vtkMRMLSegmentationStorageNode reads.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its own manual's name)
from numpy.typing import NDArray

from segtrain.core.colours import label_colour
from segtrain.core.errors import Problem, ResourceError
from segtrain.core.files import disk_errors, write_bytes
from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap, Volume
from segtrain.data.files.formats import format_of
from segtrain.data.files.itk_geometry import RAS_TO_LPS
from segtrain.data.files.meta_image import read_meta_header
from segtrain.data.files.nrrd import read_nrrd_header
from segtrain.data.files.voxel_file import read_voxels
from segtrain.data.repair.finite import plain_type, require_finite


def read_itk(path: Path) -> Volume:
    """Read a scan: integers as they are stored, everything else float32; an axis that is none of space is channels.

    Raises UnreadableScan for a damaged, truncated or absurd file and for voxels that are not finite, ResourceError
    where memory does not suffice.
    """
    volume = itk_as_stored(path)
    require_finite(path, volume.array)
    return volume


def itk_as_stored(path: Path) -> Volume:
    """As `read_itk`; voxels may be NaN or infinite."""
    file = read_meta_header(path) if format_of(path) == "mha" else read_nrrd_header(path)
    return Volume(plain_type(read_voxels(file)), file.grid, file.notes)


def parts_of_itk(path: Path) -> tuple[Path, ...]:
    """The files that a scan consists of, its header first. Raises UnreadableScan."""
    file = read_meta_header(path) if format_of(path) == "mha" else read_nrrd_header(path)
    return tuple(dict.fromkeys((path, *file.parts)))


def write_itk(path: Path, labels: LabelMap, names: Mapping[str, int]) -> None:
    """Write a mask as .mha or .nrrd, compressed, in the smallest of uint8, uint16 and int32; `names` to ids.

    Equal masks give equal bytes. Raises ResourceError where it cannot be written.
    """
    array = labels.compact()
    image = _image(array, labels.grid)
    extent = " ".join(f"0 {size - 1}" for size in labels.grid.shape)
    for place, (name, label) in enumerate(names.items()):
        # A line break would end the entry in a .mha, and what follows would be another one.
        plain = " ".join(name.split())
        colour = " ".join(f"{share:.3f}" for share in label_colour(place))
        told = {"ID": plain, "Name": plain, "LabelValue": str(label), "Layer": "0", "Color": colour, "Extent": extent}
        for key, value in told.items():
            image.SetMetaData(f"Segment{place}_{key}", value)
    write_bytes(path, _encoded(image, path, array))


def _image(array: NDArray[Any], grid: Grid) -> sitk.Image:
    """(X, Y, Z) on a grid, as SimpleITK has it: axes in the other order, positions in LPS."""
    image = sitk.GetImageFromArray(array.transpose(2, 1, 0))
    spacing = np.array(grid.spacing_mm)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((RAS_TO_LPS @ grid.affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin((RAS_TO_LPS @ grid.affine[:3, 3]).tolist())
    return image


def _encoded(image: sitk.Image, path: Path, array: NDArray[Any]) -> bytes:
    """The bytes of the file. SimpleITK picks a format by the suffix and finds no full disk: it is read again."""
    with disk_errors(path), tempfile.TemporaryDirectory(prefix="segtrain-") as folder:
        file = Path(folder) / f"mask{path.suffix.lower()}"
        try:
            sitk.WriteImage(image, str(file), useCompression=True)
            again = sitk.GetArrayFromImage(sitk.ReadImage(str(file)))
        except RuntimeError as error:
            hint = "free some space in the folder of temporary files"
            raise ResourceError(Problem(f"cannot write {path}", folder, "SimpleITK failed to", hint)) from error
        if not np.array_equal(again, array.transpose(2, 1, 0)):
            raise OSError(f"{file} was not written whole")
        return file.read_bytes()
