"""SimpleITK, which has its own NIfTI library, says where every voxel lies; segtrain must agree within a micrometre.

SimpleITK's points are LPS (x to the left, y to the back), segtrain's RAS.
"""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from scipy.spatial.transform import Rotation

from segtrain.core.case import ScanSource
from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap
from segtrain.data.files.nifti import write_nifti, write_nifti_image
from segtrain.data.read import read_labels, read_volume
from segtrain.data.write import write_prediction
from tests.data.dicom_phantoms import write_on_grid
from tests.phantoms import scan

TOLERANCE_MM = 1e-3
SHAPE = (7, 6, 5)
LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])


def grid(degrees=(0, 0, 0), flips=(1, 1, 1), order=(0, 1, 2), spacing_mm=(1.0, 1.0, 1.0)) -> Grid:
    """Turned about all three axes, with axes that are swapped and run backwards, far from the origin."""
    turn = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = (turn @ np.diag(flips))[:, order] * spacing_mm
    affine[:3, 3] = -93.7, 121.3, -412.6
    return Grid(SHAPE, affine)


GRIDS = {
    "axis-aligned": grid(),
    "anisotropic": grid(spacing_mm=(0.47, 0.9, 6.5)),
    "oblique": grid((12, -23, 34)),
    "oblique and anisotropic": grid((-7, 41, 160), spacing_mm=(0.47, 0.47, 6.5)),
    "flipped": grid(flips=(-1, -1, 1), spacing_mm=(0.8, 1.1, 3.0)),
    "mirrored": grid(flips=(-1, 1, 1), spacing_mm=(0.8, 1.1, 3.0)),
    "swapped": grid(order=(2, 0, 1), spacing_mm=(0.8, 1.1, 3.0)),
    "all at once": grid((5, 10, -15), (1, -1, -1), (1, 2, 0), (0.8, 1.1, 3.0)),
}
each_grid = pytest.mark.parametrize("native", GRIDS.values(), ids=GRIDS)


def voxels() -> np.ndarray:
    """Indices of all voxels (N, 3)."""
    return np.argwhere(np.ones(SHAPE))


def itk_points(judge: sitk.Image, index: np.ndarray) -> np.ndarray:
    """Where SimpleITK puts voxels, in RAS."""
    lps = [judge.TransformIndexToPhysicalPoint([int(i) for i in voxel]) for voxel in index]
    return np.array(lps) * LPS_TO_RAS


def itk_array(judge: sitk.Image) -> np.ndarray:
    """SimpleITK's voxels in the order x, y, z."""
    return sitk.GetArrayFromImage(judge).transpose(2, 1, 0)


def by_simpleitk(path: Path, array: np.ndarray, native: Grid) -> None:
    image = sitk.GetImageFromArray(array.transpose(2, 1, 0))
    lps = np.diag(LPS_TO_RAS) @ native.affine[:3]
    image.SetSpacing(native.spacing_mm)
    image.SetDirection((lps[:, :3] / native.spacing_mm).ravel().tolist())
    image.SetOrigin(lps[:, 3].tolist())
    sitk.WriteImage(image, str(path))


def by_nibabel(path: Path, array: np.ndarray, native: Grid, codes=(1, 1)) -> None:
    image = nibabel.Nifti1Image(array, native.affine)
    image.set_qform(native.affine, code=codes[0])
    image.set_sform(native.affine, code=codes[1])
    nibabel.save(image, path)


def qform_only(path: Path, array: np.ndarray, native: Grid) -> None:
    by_nibabel(path, array, native, codes=(1, 0))


def sform_only(path: Path, array: np.ndarray, native: Grid) -> None:
    by_nibabel(path, array, native, codes=(0, 1))


@each_grid
@pytest.mark.parametrize("write", [by_simpleitk, by_nibabel, qform_only, sform_only])
def test_a_scan_lies_where_simpleitk_says(tmp_path, native, write):
    path = tmp_path / "scan.nii.gz"
    array = np.random.default_rng(0).integers(-1000, 3000, SHAPE, dtype=np.int16)
    write(path, array, native)
    judge, volume = sitk.ReadImage(str(path)), read_volume([ScanSource(path)])
    points = itk_points(judge, voxels())
    for seen in (volume.grid, read_volume([ScanSource(path)]).grid):
        assert np.abs(seen.positions_mm(voxels().astype(float)) - points).max() < TOLERANCE_MM
    assert volume.grid.spacing_mm == pytest.approx(judge.GetSpacing(), abs=TOLERANCE_MM)
    np.testing.assert_array_equal(volume.array[0], itk_array(judge))
    np.testing.assert_array_equal(volume.array[0], array)


@each_grid
def test_a_scan_that_segtrain_wrote_is_read_by_simpleitk_at_the_same_places(tmp_path, native):
    volume, _ = scan(native)
    write_nifti_image(tmp_path / "scan.nii.gz", volume)
    judge = sitk.ReadImage(str(tmp_path / "scan.nii.gz"))
    np.testing.assert_array_equal(itk_array(judge), volume.array[0])
    assert np.abs(itk_points(judge, voxels()) - native.positions_mm(voxels().astype(float))).max() < TOLERANCE_MM


def nifti_scan(folder: Path, native: Grid) -> ScanSource:
    by_simpleitk(folder / "scan.nii.gz", np.zeros(SHAPE, np.int16), native)
    return ScanSource(folder / "scan.nii.gz")


def dicom_scan(folder: Path, native: Grid) -> ScanSource:
    write_on_grid(folder / "series", np.zeros(SHAPE), native)
    return ScanSource(folder / "series")


@each_grid
@pytest.mark.parametrize("make", [nifti_scan, dicom_scan])
def test_each_voxel_of_a_mask_is_found_by_simpleitk_where_it_was_drawn(tmp_path, native, make):
    source = make(tmp_path, native)
    on = read_volume([source]).grid
    labels = LabelMap(np.random.default_rng(1).integers(0, 4, on.shape), on)
    write_prediction(tmp_path / "mask.nii.gz", labels, source)
    judge = sitk.ReadImage(str(tmp_path / "mask.nii.gz"))
    for label in range(1, 4):
        found = itk_points(judge, np.argwhere(itk_array(judge) == label))
        drawn = on.positions_mm(np.argwhere(labels.array == label).astype(float))
        assert found.shape == drawn.shape
        assert np.abs(found - drawn).max() < TOLERANCE_MM


@each_grid
def test_simpleitk_lays_a_mask_over_its_scan(tmp_path, native):
    source = nifti_scan(tmp_path, native)
    labels = LabelMap(np.arange(np.prod(SHAPE)).reshape(SHAPE) % 5, read_volume([source]).grid)
    write_prediction(tmp_path / "mask.nii.gz", labels, source)
    image, mask = sitk.ReadImage(str(source.path)), sitk.ReadImage(str(tmp_path / "mask.nii.gz"))
    assert (mask.GetOrigin(), mask.GetDirection(), mask.GetSpacing(), mask.GetSize()) == (
        image.GetOrigin(),
        image.GetDirection(),
        image.GetSpacing(),
        image.GetSize(),
    )


@each_grid
def test_a_mask_that_simpleitk_resampled_onto_another_grid_is_read_there(tmp_path, native):
    """The way of many users: drawn on one series, moved onto another by SimpleITK, read by segtrain."""
    labels = LabelMap(np.arange(np.prod(SHAPE)).reshape(SHAPE) % 5, native)
    write_nifti(tmp_path / "drawn.nii.gz", labels)
    canonical = native.canonical()
    by_simpleitk(tmp_path / "onto.nii.gz", np.zeros(canonical.shape, np.uint8), canonical)
    judge, onto = (sitk.ReadImage(str(tmp_path / f"{n}.nii.gz")) for n in ("drawn", "onto"))
    moved = sitk.Resample(judge, onto, sitk.Transform(), sitk.sitkNearestNeighbor)
    sitk.WriteImage(moved, str(tmp_path / "moved.nii.gz"))
    again = read_labels(ScanSource(tmp_path / "moved.nii.gz"))
    assert again.grid.same_space(canonical, TOLERANCE_MM)
    index = np.argwhere(again.array >= 0)
    back = (
        np.linalg.inv(native.affine)
        @ np.column_stack([again.grid.positions_mm(index.astype(float)), np.ones(len(index))]).T
    )
    old = np.round(back[:3].T).astype(int)
    np.testing.assert_array_equal(again.array.ravel(), labels.array[tuple(old.T)])
