import shutil

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813

from segtrain.core.errors import UnreadableScan
from segtrain.data.dicom.scan import list_series, read_dicom
from segtrain.data.files.nifti import read_nifti
from tests import phantoms
from tests.data.dicom_phantoms import pixels_of, write_on_grid, write_series, write_slice
from tests.faults.table import fault


def expected(count=4):
    """The phantom series as (X, Y, Z)."""
    return np.stack([pixels_of(n).T for n in range(count)], axis=-1)


@fault("F9", "names in another order", then="read in the order of positions")
def test_slices_are_sorted_by_position_whatever_their_names(tmp_path):
    write_series(tmp_path)
    volume = read_dicom(tmp_path)
    np.testing.assert_array_equal(volume.array[0], expected())
    assert volume.array.dtype.kind == "i"


def test_columns_rows_and_slices_lie_in_ras(tmp_path):
    write_series(tmp_path)
    grid = read_dicom(tmp_path).grid
    np.testing.assert_allclose(grid.spacing_mm, (0.7, 0.8, 2.5))
    np.testing.assert_allclose(grid.positions_mm(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])),
        [[10, 20, 0], [9.3, 20, 0], [10, 19.2, 0], [10, 20, 2.5]])  # fmt: skip


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, 1)])
@pytest.mark.parametrize("degrees", [0, 20])
def test_what_is_written_on_a_grid_is_read_on_it(tmp_path, flips, degrees):
    grid = phantoms.grid((5, 4, 3), degrees=degrees, flips=flips)
    array = np.arange(60).reshape(5, 4, 3)
    write_on_grid(tmp_path / "s", array, grid)
    volume = read_dicom(tmp_path / "s")
    for index in np.argwhere(np.ones(array.shape)):
        place = grid.positions_mm(index[None].astype(float))
        found = np.linalg.inv(volume.grid.affine) @ [*place[0], 1]
        np.testing.assert_allclose(found, np.round(found), atol=1e-4)
        assert volume.array[(0, *np.round(found[:3]).astype(int))] == array[tuple(index)]


@fault("F9", "a slope for each slice", then="read, each with its own")
def test_every_slice_has_its_own_slope_as_pydicom_reads_it(tmp_path):
    for n, (slope, intercept) in enumerate([(1, -1024), (0.5, 3), (2.25, 0)]):
        write_slice(
            tmp_path / f"{n}.dcm", pixels_of(n), "1.2.9", (0, 0, 5 * n), RescaleSlope=slope, RescaleIntercept=intercept
        )
    volume = read_dicom(tmp_path)
    assert volume.array.dtype == np.float32
    for n in range(3):
        data = pydicom.dcmread(tmp_path / f"{n}.dcm")
        judge = data.pixel_array * float(data.RescaleSlope) + float(data.RescaleIntercept)
        np.testing.assert_allclose(volume.array[0, :, :, n], judge.T)


@pytest.mark.parametrize("slope", [1, 2, 0.5])
@pytest.mark.parametrize("signed", [0, 1])
def test_monochrome1_has_the_values_of_monochrome2(tmp_path, slope, signed):
    kind = {"RescaleSlope": slope, "RescaleIntercept": -5, "PixelRepresentation": signed}
    write_series(tmp_path / "one", **kind, PhotometricInterpretation="MONOCHROME1")
    write_series(tmp_path / "two", **kind)
    np.testing.assert_array_equal(read_dicom(tmp_path / "one").array, expected()[None] * slope - 5)
    np.testing.assert_array_equal(read_dicom(tmp_path / "two").array, expected()[None] * slope - 5)


def test_spacing_is_the_step_and_not_the_thickness(tmp_path):
    write_series(tmp_path, SliceThickness=5.0, SpacingBetweenSlices=7.0)
    assert read_dicom(tmp_path).grid.spacing_mm[2] == pytest.approx(2.5)


def test_two_slices_are_a_scan_and_one_is_where_its_thickness_is_known(tmp_path):
    write_series(tmp_path / "two", (0, 2.5))
    assert read_dicom(tmp_path / "two").array.shape == (1, 5, 6, 2)
    write_series(tmp_path / "one", (0,))
    assert read_dicom(tmp_path / "one").grid.spacing_mm[2] == 5
    write_series(tmp_path / "none", (0,), SliceThickness=None)
    with pytest.raises(UnreadableScan, match="how thick"):
        read_dicom(tmp_path / "none")


@fault("F9", "two series in a folder", then="refused, both are listed")
def test_one_of_several_series_must_be_chosen(tmp_path):
    write_series(tmp_path, uid="1.2.1", SeriesDescription="T1")
    for path in tmp_path.iterdir():
        path.rename(path.with_suffix(".a.dcm"))
    write_series(tmp_path, (0, 3, 6), uid="1.2.2", SeriesDescription="T2")
    with pytest.raises(UnreadableScan) as error:
        read_dicom(tmp_path)
    for word in ("2 series", "T1", "T2", "1.2.1"):
        assert word in str(error.value)
    assert read_dicom(tmp_path, "1.2.2").grid.spacing_mm[2] == 3
    with pytest.raises(UnreadableScan, match=r"no series 1\.2\.3"):
        read_dicom(tmp_path, "1.2.3")


def test_a_compressed_file_that_is_cut_off_is_named(tmp_path):
    series = phantoms.real_data("awkward") / "dicom" / "generic" / "compressed_rle" / "001"
    for path in series.iterdir():
        shutil.copyfile(path, tmp_path / path.name)
    broken = sorted(tmp_path.iterdir())[1]
    broken.write_bytes(broken.read_bytes()[:-5000])
    with pytest.raises(UnreadableScan, match=broken.name):
        read_dicom(tmp_path)


@pytest.mark.parametrize("name", ["rle", "jpeg", "jpegls", "j2k"])
@fault("F9", "every compressed syntax", then="read to the same voxels")
def test_every_compression_is_decoded_to_the_same_voxels_and_in_silence(name, capfd):
    folder = phantoms.real_data("awkward") / "dicom" / "generic"
    volume = read_dicom(folder / f"compressed_{name}" / "001")
    files = sorted((folder / "compressed_rle" / "001").iterdir(), reverse=True)
    judge = np.stack([pydicom.dcmread(path).pixel_array.T for path in files], axis=-1)
    np.testing.assert_array_equal(volume.array[0], judge)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["anatomical/001", "anatomical/001_implicit", "anatomical/002_non_isotropic"])
def test_voxels_lie_where_dicom2nifti_puts_them(name):
    folder = phantoms.real_data("awkward") / "dicom" / "generic"
    volume = read_dicom(folder / name)
    judge = read_nifti(folder / f"{name}_ground_truth.nii.gz")
    index = np.random.default_rng(0).integers(0, volume.grid.shape, (200, 3))
    places = volume.grid.positions_mm(index.astype(float))
    there = np.linalg.inv(judge.grid.affine) @ np.c_[places, np.ones(200)].T
    np.testing.assert_allclose(there, np.round(there), atol=1e-2)
    found = judge.array[(0, *np.round(there[:3]).astype(int))]
    np.testing.assert_allclose(volume.array[(0, *index.T)], found, rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gantrytilting/001", ("14.0 degrees", "gantry tilt")),
        ("notavolume/001", ("one position", "001.dcm")),
        ("sliceincrement/001", ("missing", "10 mm", "5 mm", "IM-0001-0010-0001.dcm")),
        ("sliceincrement/002", ("missing", "degrees", "IM-0001-0005.dcm")),
        ("sliceorientation/001", ("orientations", "localizer")),
    ],
)
@fault("F9", "the failing series of dicom2nifti: tilt, gaps, one position", then="refused, each with its fault")
def test_the_failing_series_are_refused_with_their_fault(name, words):
    folder = phantoms.real_data("awkward") / "dicom" / "failing" / name
    with pytest.raises(UnreadableScan) as error:
        read_dicom(folder)
    assert error.value.exit_code == 3
    for word in (*words, str(folder)):
        assert word in str(error.value)


def test_two_real_slices_are_read():
    folder = phantoms.real_data("awkward") / "dicom" / "failing" / "slicecount" / "001"
    assert read_dicom(folder).grid.shape == (256, 256, 2)


def test_colour_is_refused():
    with pytest.raises(UnreadableScan, match="colour"):
        read_dicom(phantoms.real_data("awkward") / "dicom" / "generic" / "rgb" / "001")


def studies():
    return sorted(phantoms.real_data("pgbm_dicom").glob("*/*"))


def test_tumour_volumes_of_the_real_studies_are_the_known_ones():
    volumes = [read_dicom(study / "MaskTumor") for study in studies()]
    found = [float((v.array > 0).sum() * v.grid.voxel_volume_ml) for v in volumes]
    assert sorted(round(ml, 1) for ml in found) == [2.6, 8.1, 20.9]


def test_the_series_of_a_real_study_lie_on_one_grid():
    for study in studies():
        grids = [read_dicom(study / name).grid for name in ("T1post", "FLAIRreg", "MaskTumor")]
        assert all(grids[0].same_space(grid) for grid in grids)
        (series,) = list_series(study / "T1post")
        assert series.n == grids[0].shape[2]


@pytest.mark.parametrize("name", ["T1post", "FLAIRreg", "MaskTumor"])
def test_every_real_voxel_lies_where_simpleitk_says_and_has_its_value(name):
    for study in studies():
        files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(study / name))
        judge = sitk.ReadImage(files)
        volume = read_dicom(study / name)
        np.testing.assert_array_equal(volume.array[0], sitk.GetArrayFromImage(judge).T)
        corners = [tuple(int(i) for i in c) for c in np.argwhere(np.ones((2, 2, 2))) * (np.array(judge.GetSize()) - 1)]
        lps = np.array([judge.TransformIndexToPhysicalPoint(c) for c in corners])
        np.testing.assert_allclose(volume.grid.positions_mm(np.array(corners, float)), lps * [-1, -1, 1], atol=1e-3)
