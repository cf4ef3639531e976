"""Where a NIfTI file lies, with nibabel and SimpleITK as judges."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from segtrain.core.errors import UnreadableScan
from segtrain.core.volume import Volume
from segtrain.data.files.nifti import read_nifti
from segtrain.data.files.nifti_grid import EMPTY_SFORM, NEITHER
from tests.data.itk_phantoms import judged
from tests.faults.table import fault

AFFINE = np.array([[0, 2.0, 0, -10], [2, 0, 0, -20], [0, 0, 3, 30], [0, 0, 0, 1]])
VALUES = np.arange(60, dtype=np.int16).reshape(5, 4, 3)


def written(
    path: Path, sform: np.ndarray | None, qform: np.ndarray | None, values: np.ndarray = VALUES, **fields: object
) -> Path:
    """A file with either, both or none; header fields are set afterwards, unchecked."""
    image = nibabel.Nifti1Image(values, None)
    image.header.set_zooms((2, 2, 3, 1, 1)[: values.ndim])
    image.header.set_xyzt_units("mm")
    image.set_qform(qform, code=0 if qform is None else 1)
    image.set_sform(sform, code=0 if sform is None else 2)
    nibabel.save(image, path)
    data = path.read_bytes()
    header = nibabel.Nifti1Header(data[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(header.binaryblock + data[348:])
    return path


def moved(x_mm: float) -> np.ndarray:
    return AFFINE + x_mm * np.eye(4, k=3)


def same_as_nibabel(path: Path) -> Volume:
    found = read_nifti(path)
    np.testing.assert_allclose(found.grid.affine, nibabel.load(path).affine, atol=1e-5)
    return found


@fault("F7", "sform and qform more than half a voxel apart", then="the sform, as nibabel; noted, with both spacings")
def test_forms_that_disagree_are_noted_from_half_a_voxel_on(tmp_path: Path) -> None:
    for x_mm in (0, 0.9):
        assert same_as_nibabel(written(tmp_path / "a.nii", AFFINE, moved(x_mm))).notes == ()
    (note,) = same_as_nibabel(written(tmp_path / "a.nii", AFFINE, moved(1.1))).notes
    assert note == "its sform and qform are 0.55 voxels apart (spacings 2x2x3 against 2x2x3 mm): its sform is taken"
    scaled = AFFINE @ np.diag([1.2, 1.2, 1.2, 1])
    (note,) = same_as_nibabel(written(tmp_path / "a.nii", scaled, AFFINE)).notes
    assert "2.4x2.4x3.6 against 2x2x3 mm" in note
    (note,) = same_as_nibabel(written(tmp_path / "a.nii", AFFINE, AFFINE, quatern_b=2, quatern_c=2)).notes
    assert note.startswith("its qform is damaged")


@fault("F7", "neither sform nor qform is set", then="centred on the spacing, as nibabel; noted")
def test_one_form_is_taken_without_a_word_and_none_is_noted(tmp_path: Path) -> None:
    assert same_as_nibabel(written(tmp_path / "a.nii", AFFINE, None)).notes == ()
    assert same_as_nibabel(written(tmp_path / "a.nii", None, AFFINE)).notes == ()
    assert same_as_nibabel(written(tmp_path / "a.nii", None, None)).notes == (NEITHER,)


def test_a_qfac_of_0_is_1(tmp_path: Path) -> None:
    """As nifti1.h has it. nibabel mends it when it loads, and refuses it in a header that was not mended."""
    path = written(tmp_path / "a.nii", None, AFFINE, pixdim=[0, 2, 2, 3, 1, 1, 1, 1])
    turned = same_as_nibabel(path)
    np.testing.assert_allclose(turned.grid.affine, judged(path)[1], atol=1e-5)
    assert turned.notes == ()


@fault("F7", "an sform of zeros with its code set, and a qform", then="the qform, as SimpleITK; noted")
def test_an_empty_sform_gives_way_to_a_qform(tmp_path: Path) -> None:
    nothing = {"srow_x": 0, "srow_y": 0, "srow_z": 0}
    path = written(tmp_path / "a.nii", AFFINE, AFFINE, **nothing)
    found = read_nifti(path)
    np.testing.assert_allclose(found.grid.affine, judged(path)[1], atol=1e-5)
    assert found.notes == (EMPTY_SFORM,)
    for fields, qform in ((nothing, None), ({"srow_x": 0}, AFFINE)):
        with pytest.raises(UnreadableScan, match="where its voxels lie"):
            read_nifti(written(tmp_path / "a.nii", AFFINE, qform, **fields))


def test_a_single_slice_may_be_0_mm_thick_where_the_sform_has_its_step(tmp_path: Path) -> None:
    flat = {"values": VALUES[:, :, :1], "pixdim": [1, 2, 2, 0, 1, 1, 1, 1]}
    assert same_as_nibabel(written(tmp_path / "a.nii", AFFINE, AFFINE, **flat)).notes == ()
    (note,) = read_nifti(written(tmp_path / "a.nii", AFFINE, moved(9), **flat)).notes
    assert "4.5 voxels apart" in note
    with pytest.raises(UnreadableScan, match="spacing is not positive"):
        read_nifti(written(tmp_path / "a.nii", None, AFFINE, **flat))
    with pytest.raises(UnreadableScan, match="spacing is not positive"):
        read_nifti(written(tmp_path / "a.nii", AFFINE, AFFINE, pixdim=[1, 2, 2, 0, 1, 1, 1, 1]))
