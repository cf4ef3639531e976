import nibabel
import numpy as np
import pytest

from segtrain.core.case import ScanSource
from segtrain.core.errors import DataError, ResourceError
from segtrain.core.volume import LabelMap
from segtrain.data.nifti import write_nifti_image
from segtrain.data.read import read_labels, read_volume
from segtrain.data.write import write_prediction
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
