import itertools
from typing import get_args

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from PIL import Image
from scipy.spatial.transform import Rotation

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import ConfigError, DataError, ResourceError
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.data.files.nifti import write_nifti_image
from segtrain.data.read import read_labels, read_volume
from segtrain.data.write import SUFFIXES, MaskFormat, MaskWriter, write_prediction
from tests import phantoms
from tests.data.dicom_phantoms import write_on_grid, write_series


def scan_file(path):
    volume, labels = phantoms.scan(phantoms.grid((6, 5, 4), degrees=12))
    write_nifti_image(path, volume)
    return ScanSource(path), LabelMap(labels.array, read_volume([ScanSource(path)]).grid)


def test_a_mask_lies_on_the_file_it_belongs_to_bit_for_bit(tmp_path):
    scan, labels = scan_file(tmp_path / "scan.nii.gz")
    write_prediction(tmp_path / "out" / "case.nii.gz", labels, scan)
    mask, image = nibabel.load(tmp_path / "out" / "case.nii.gz"), nibabel.load(scan.path)
    np.testing.assert_array_equal(mask.affine, image.affine)
    assert mask.shape == image.shape
    np.testing.assert_array_equal(np.asarray(mask.dataobj), labels.array)


def test_a_mask_of_a_dicom_series_is_nifti_on_its_grid(tmp_path):
    grid = phantoms.grid((6, 5, 4), degrees=12, flips=(-1, -1, 1))
    write_on_grid(tmp_path / "s", np.zeros(grid.shape), grid)
    source = ScanSource(tmp_path / "s")
    labels = LabelMap(np.arange(120).reshape(grid.shape) % 3, read_volume([source]).grid)
    write_prediction(tmp_path / "case.nii.gz", labels, source)
    again = read_labels(ScanSource(tmp_path / "case.nii.gz"))
    assert again.grid.same_space(read_volume([source]).grid, 1e-4)
    np.testing.assert_array_equal(again.array, labels.array)


def test_the_scan_itself_is_never_written_over(tmp_path):
    scan, labels = scan_file(tmp_path / "scan.nii.gz")
    before = scan.path.read_bytes()
    (tmp_path / "link.nii.gz").symlink_to(scan.path)
    for name in ("scan.nii.gz", "link.nii.gz", "../" + tmp_path.name + "/scan.nii.gz"):
        with pytest.raises(DataError, match="over or into"):
            write_prediction(tmp_path / name, labels, scan)
    assert scan.path.read_bytes() == before


def test_nothing_is_written_between_the_slices_of_a_series(tmp_path):
    write_series(tmp_path / "s")
    source = ScanSource(tmp_path / "s")
    grid = read_volume([source]).grid
    with pytest.raises(DataError):
        write_prediction(tmp_path / "s" / "mask.nii.gz", LabelMap(np.zeros(grid.shape, np.uint8), grid), source)


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    scan, labels = scan_file(tmp_path / "scan.nii.gz")
    out = tmp_path / "out" / "case.nii.gz"
    write_prediction(out, labels, scan)
    before = out.read_bytes()

    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("segtrain.core.files.sync", full)
    with pytest.raises(ResourceError, match="No space left"):
        write_prediction(out, LabelMap(1 - labels.array, labels.grid), scan)
    assert out.read_bytes() == before
    assert [p.name for p in out.parent.iterdir()] == ["case.nii.gz"]


TASK = Task(labels={"background": 0, "organ": 1, "tumour": 2})
FILES = [name for name in get_args(MaskFormat) if name != "dicom-seg"]
GEOMETRY = ("dim", "pixdim", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "srow_x", "srow_y")
GEOMETRY += ("srow_z", "qoffset_x", "qoffset_y", "qoffset_z", "xyzt_units")


def orientations():
    """All 48 ways in which axes can be ordered and turned round, and two oblique ones."""
    for order, signs in itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)):
        turn = np.zeros((3, 3))
        turn[order, range(3)] = signs
        yield turn
    yield Rotation.from_euler("xyz", (12, -23, 34), degrees=True).as_matrix()
    yield Rotation.from_euler("xyz", (5, 10, -15), degrees=True).as_matrix() @ np.diag((1, -1, 1))


def nifti_case(folder, turn, codes=(1, 1)):
    """A scan of that orientation, and a mask on it without any symmetry."""
    affine = np.eye(4)
    affine[:3, :3] = turn * (0.8, 1.1, 2.5)
    affine[:3, 3] = -93.7, 121.3, -412.6
    image = nibabel.Nifti1Image(np.zeros((6, 5, 4), np.float32), affine)
    image.set_qform(affine, code=codes[0])
    image.set_sform(affine, code=codes[1])
    folder.mkdir(exist_ok=True)
    nibabel.save(image, folder / "P1.nii.gz")
    source = ScanSource(folder / "P1.nii.gz")
    grid = read_volume([source]).grid
    return Case("P1", "P1", (source,)), LabelMap(np.random.default_rng(0).integers(0, 3, grid.shape), grid)


def dicom_case(folder):
    grid = phantoms.grid((6, 5, 4), degrees=12, flips=(-1, -1, 1))
    write_on_grid(folder, np.zeros(grid.shape), grid)
    source = ScanSource(folder)
    on = read_volume([source]).grid
    return Case("P1", "P1", (source,)), LabelMap(np.random.default_rng(0).integers(0, 3, on.shape), on)


WITH_BOTH = [(turn, (1, 1)) for turn in orientations()]
WITH_ONE_OR_OTHERS = [(turn, codes) for turn in list(orientations())[-2:] for codes in ((1, 0), (0, 2), (2, 4))]


@pytest.mark.parametrize(("turn", "codes"), WITH_BOTH + WITH_ONE_OR_OTHERS)
def test_a_nifti_mask_has_the_geometry_of_its_scan_bit_for_bit(tmp_path, turn, codes):
    case, labels = nifti_case(tmp_path / "scans", turn, codes)
    for form in ("nii.gz", "nii"):
        mask = nibabel.load(MaskWriter(form, TASK, "m").write(tmp_path / "out", labels, case))
        scan = nibabel.load(case.images[0].path)
        for field in GEOMETRY:
            assert mask.header[field].tobytes() == scan.header[field].tobytes(), field
        assert mask.get_data_dtype() == np.uint8
        np.testing.assert_array_equal(np.asarray(mask.dataobj), labels.array)


@pytest.mark.parametrize("form", ["nii.gz", "mha", "nrrd"])
@pytest.mark.parametrize("turn", list(orientations()))
def test_a_mask_lies_on_its_scan_for_simpleitk_too(tmp_path, turn, form):
    case, labels = nifti_case(tmp_path / "scans", turn)
    path = MaskWriter(form, TASK, "m").write(tmp_path / "out", labels, case)
    assert path == tmp_path / "out" / f"P1.{form}"
    mask, scan = sitk.ReadImage(str(path)), sitk.ReadImage(str(case.images[0].path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask).T, labels.array)
    for corner in itertools.product((0, 5), (0, 4), (0, 3)):
        there = [image.TransformIndexToPhysicalPoint(corner) for image in (mask, scan)]
        np.testing.assert_allclose(*there, atol=1e-3)


@pytest.mark.parametrize("form", [name for name in FILES if name != "png"])
def test_a_mask_of_a_dicom_series_in_every_format(tmp_path, form):
    case, labels = dicom_case(tmp_path / "ct")
    path = MaskWriter(form, TASK, "m").write(tmp_path / "out", labels, case)
    mask = sitk.ReadImage(str(path))
    index = np.argwhere(labels.array)
    lps = np.array([mask.TransformIndexToPhysicalPoint([int(i) for i in v]) for v in index])
    np.testing.assert_allclose(lps * (-1, -1, 1), labels.grid.positions_mm(index.astype(float)), atol=1e-3)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask).T, labels.array)


def test_a_mask_of_a_picture_is_a_picture_where_asked_for(tmp_path):
    values = np.arange(42, dtype=np.uint8).reshape(6, 7)
    Image.fromarray(values).save(tmp_path / "P1.png")
    source = ScanSource(tmp_path / "P1.png")
    case, grid = Case("P1", "P1", (source,)), read_volume([source]).grid
    labels = LabelMap((values.T % 3)[:, :, None], grid)
    path = MaskWriter("png", TASK, "m").write(tmp_path / "out", labels, case)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), values % 3)
    nifti = MaskWriter("nii.gz", TASK, "m").write(tmp_path / "out", labels, case)
    assert read_labels(ScanSource(nifti)).grid.same_space(read_labels(ScanSource(path)).grid)


def test_a_mask_of_several_slices_or_large_ids_is_no_picture(tmp_path):
    case, labels = nifti_case(tmp_path / "scans", np.eye(3))
    with pytest.raises(DataError, match="4 slices"):
        MaskWriter("png", TASK, "m").write(tmp_path / "out", labels, case)


def test_a_dicom_seg_of_a_series(tmp_path):
    case, labels = dicom_case(tmp_path / "ct")
    writer = MaskWriter("dicom-seg", TASK, "runs/first")
    writer.require([case])
    path = writer.write(tmp_path / "out", labels, case)
    assert path == tmp_path / "out" / "P1.dcm"
    assert [s.SegmentLabel for s in pydicom.dcmread(path).SegmentSequence] == ["organ", "tumour"]


def test_a_dicom_seg_needs_dicom_series(tmp_path):
    nifti, labels = nifti_case(tmp_path / "scans", np.eye(3))
    dicom, _ = dicom_case(tmp_path / "ct")
    writer = MaskWriter("dicom-seg", TASK, "m")
    with pytest.raises(DataError, match="case P1 cannot have a DICOM SEG") as error:
        writer.require([dicom, nifti, nifti])
    assert [problem.hint for problem in error.value.problems] == ["take another format of masks, as nii.gz"] * 2
    with pytest.raises(DataError, match="no DICOM series"):
        writer.write(tmp_path / "out", labels, nifti)
    assert not (tmp_path / "out").exists()
    MaskWriter("mha", TASK, "m").require([nifti])


def test_names_that_dicom_cannot_hold_are_told_before_the_first_case():
    writer = MaskWriter("dicom-seg", Task(labels={"background": 0, "a" * 65: 1}), "m")
    with pytest.raises(ConfigError, match="no room"):
        writer.require([])


@pytest.mark.parametrize("form", get_args(MaskFormat))
def test_no_format_writes_over_an_input(tmp_path, form):
    folder = tmp_path / "in"
    case, labels = dicom_case(folder / "ct")
    inside = Case("P1", "P1", (ScanSource(folder),))
    with pytest.raises(DataError, match="over or into"):
        MaskWriter(form, TASK, "m").write(folder, labels, inside)
    reference = ScanSource(tmp_path / f"P1{SUFFIXES[form]}")
    reference.path.write_bytes(b"drawn by hand")
    with pytest.raises(DataError, match="over or into"):
        MaskWriter(form, TASK, "m").write(tmp_path, labels, Case("P1", "P1", case.images, reference))
    assert reference.path.read_bytes() == b"drawn by hand"


@pytest.mark.parametrize("form", [name for name in FILES if name != "png"])
def test_no_format_but_dicom_tells_who_the_patient_is(tmp_path, form):
    case, labels = dicom_case(tmp_path / "ct")
    path = MaskWriter(form, TASK, "m").write(tmp_path / "out", labels, case)
    plain = bytes(nibabel.load(path).header.binaryblock) if form.startswith("nii") else b""
    for told in (b"Tweety", b"4711", str(tmp_path).encode()):
        assert told not in path.read_bytes() + plain
