import gzip
import itertools

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from segtrain.core.errors import ResourceError, UnreadableScan
from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap, Volume
from segtrain.data.files.nifti import is_nifti, read_nifti, write_nifti, write_nifti_image
from tests import phantoms
from tests.faults.table import fault

SHAPE = (5, 4, 3)


def numbered(shape=SHAPE, dtype=np.int16):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def save(path, array, affine=None, **fields):
    """What nibabel writes, with header fields set afterwards on the bytes."""
    image = nibabel.Nifti1Image(array, np.diag([1.0, 2, 3, 1]) if affine is None else affine)
    nibabel.save(image, path)
    if fields:
        plain = path.read_bytes() if path.suffix == ".nii" else gzip.decompress(path.read_bytes())
        header = nibabel.Nifti1Header(plain[:348], check=False)
        for name, value in fields.items():
            header[name] = value
        plain = header.binaryblock + plain[348:]
        path.write_bytes(plain if path.suffix == ".nii" else gzip.compress(plain, mtime=0))
    return path


def signed_permutations():
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            turn = np.zeros((3, 3))
            turn[order, range(3)] = signs
            yield turn


def tell(error):
    return str(error.value)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.int64])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_integers_are_read_as_they_are_stored(tmp_path, dtype, suffix):
    path = tmp_path / f"a{suffix}"
    nibabel.save(nibabel.Nifti1Image(numbered(dtype=dtype), np.eye(4), dtype=dtype), path)
    volume = read_nifti(path)
    assert volume.array.dtype == dtype
    assert volume.array.dtype.isnative
    np.testing.assert_array_equal(volume.array[0], numbered(dtype=dtype))


def test_a_scale_in_the_header_is_applied_as_nibabel_does(tmp_path):
    path = save(tmp_path / "a.nii.gz", numbered(), scl_slope=0.5, scl_inter=-1024)
    volume = read_nifti(path)
    assert volume.array.dtype == np.float32
    np.testing.assert_allclose(volume.array[0], nibabel.load(path).get_fdata())


def test_a_scale_of_zero_or_one_changes_nothing(tmp_path):
    for slope in (0, 1, np.nan):
        volume = read_nifti(save(tmp_path / "a.nii", numbered(), scl_slope=slope, scl_inter=0))
        np.testing.assert_array_equal(volume.array[0], numbered())


def test_doubles_and_big_endian_files_become_native_single_precision(tmp_path):
    image = nibabel.Nifti1Image(numbered(dtype=np.float64) / 7, np.eye(4), nibabel.Nifti1Header(endianness=">"))
    image.set_data_dtype(np.float64)
    nibabel.save(image, tmp_path / "a.nii")
    array = read_nifti(tmp_path / "a.nii").array
    assert array.dtype == np.float32
    assert array.dtype.isnative
    np.testing.assert_allclose(array[0], numbered() / 7, rtol=1e-6)


def test_nifti_2_is_read(tmp_path):
    nibabel.save(nibabel.Nifti2Image(numbered(), np.diag([1.5, 2, 3, 1])), tmp_path / "a.nii.gz")
    volume = read_nifti(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(volume.array[0], numbered())
    assert volume.grid.spacing_mm == (1.5, 2, 3)


def test_a_fourth_axis_holds_channels_and_two_axes_are_one_slice(tmp_path):
    array = numbered((5, 4, 3, 2))
    np.testing.assert_array_equal(read_nifti(save(tmp_path / "a.nii", array)).array, np.moveaxis(array, -1, 0))
    assert read_nifti(save(tmp_path / "b.nii", array[..., :1])).array.shape == (1, 5, 4, 3)
    assert read_nifti(save(tmp_path / "c.nii", array[:, :, 0, 0])).array.shape == (1, 5, 4, 1)


@pytest.mark.parametrize("degrees", [0, 17])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, -1, 1), (1, -1, -1)])
def test_voxels_lie_where_simpleitk_says(tmp_path, degrees, flips):
    grid = phantoms.grid(SHAPE, degrees=degrees, flips=flips)
    image = nibabel.Nifti1Image(numbered(), grid.affine)
    image.set_qform(grid.affine, code=1)
    nibabel.save(image, tmp_path / "a.nii.gz")
    judge = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    index = np.argwhere(np.ones(SHAPE))
    lps = np.array([judge.TransformIndexToPhysicalPoint([int(i) for i in v]) for v in index])
    volume = read_nifti(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(volume.grid.positions_mm(index.astype(float)), lps * [-1, -1, 1], atol=1e-4)
    np.testing.assert_array_equal(volume.array[0], sitk.GetArrayFromImage(judge).T)


@pytest.mark.parametrize("keep", [0.5, -20, 400, 100, 30])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@fault("F1", "a NIfTI cut at many places", then="refused by the reader, never filled with zeros")
def test_a_truncated_file_is_refused_and_never_filled(tmp_path, keep, suffix):
    path = save(tmp_path / f"a{suffix}", np.random.default_rng(0).integers(0, 999, (20, 20, 20), dtype=np.int16))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(UnreadableScan) as error:
        read_nifti(path)
    assert str(path) in tell(error)


@fault("F2", "flipped bits and a missing checksum in `.nii.gz`", then="refused by the reader")
def test_a_missing_checksum_or_a_flipped_bit_is_noticed(tmp_path):
    path = save(tmp_path / "a.nii.gz", np.random.default_rng(0).integers(0, 999, (20, 20, 20), dtype=np.int16))
    whole = bytearray(path.read_bytes())
    path.write_bytes(whole[:-4])
    with pytest.raises(UnreadableScan):
        read_nifti(path)
    for place in range(200, len(whole), 997):
        bent = bytearray(whole)
        bent[place] ^= 4
        path.write_bytes(bent)
        with pytest.raises(UnreadableScan):
            read_nifti(path)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>404</html>", "HTML"),
        (b"just a text file", "not compressed"),
        (gzip.compress(b"just a text file" * 50, mtime=0), "not a NIfTI"),
        (gzip.compress(b"", mtime=0), "not a NIfTI"),
    ],
)
def test_what_is_no_nifti_is_named(tmp_path, content, word):
    (tmp_path / "a.nii.gz").write_bytes(content)
    with pytest.raises(UnreadableScan) as error:
        read_nifti(tmp_path / "a.nii.gz")
    assert word in tell(error)


def test_a_wrong_suffix_is_told_with_the_right_one(tmp_path):
    plain = save(tmp_path / "a.nii", numbered())
    plain.rename(tmp_path / "b.nii.gz")
    with pytest.raises(UnreadableScan, match=r"rename it to b\.nii"):
        read_nifti(tmp_path / "b.nii.gz")
    save(tmp_path / "c.nii.gz", numbered()).rename(tmp_path / "c.nii")
    with pytest.raises(UnreadableScan, match=r"rename it to c\.nii\.gz"):
        read_nifti(tmp_path / "c.nii")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    "fields",
    [
        {"dim": [3, 32000, 32000, 32000, 1, 1, 1, 1]},
        {"dim": [3, 5, 0, 3, 1, 1, 1, 1]},
        {"dim": [3, 5, -4, 3, 1, 1, 1, 1]},
        {"dim": [9, 5, 4, 3, 1, 1, 1, 1]},
        {"dim": [1, 5, 1, 1, 1, 1, 1, 1]},
        {"dim": [5, 5, 2, 1, 2, 3, 1, 1]},
        {"dim": [4, 5, 4, 3, 0, 1, 1, 1]},
        {"pixdim": [1, 1, 0, 1, 1, 1, 1, 1]},
        {"pixdim": [1, 1, -2, 1, 1, 1, 1, 1]},
        {"pixdim": [1, 1, np.nan, 1, 1, 1, 1, 1]},
        {"srow_x": [np.nan, 0, 0, 0]},
        {"srow_x": [0, 0, 0, 0]},
        {"datatype": 128, "bitpix": 24},
        {"datatype": 32, "bitpix": 64},
        {"datatype": 7777},
        {"vox_offset": 3},
        {"vox_offset": np.nan},
        {"xyzt_units": 3},
        {"xyzt_units": 6},
        {"magic": b"ni1"},
        {"magic": b"abc"},
        {"magic": b"n+0"},
    ],
)
@fault("F3", "22 headers that make no scan", then="refused before anything is allocated")
def test_an_absurd_header_is_refused_before_anything_is_allocated(tmp_path, suffix, fields):
    path = save(tmp_path / f"a{suffix}", numbered(), **fields)
    with pytest.raises(UnreadableScan) as error:
        read_nifti(path)
    assert str(path) in tell(error)


def test_colours_say_so(tmp_path):
    colour = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(UnreadableScan, match="colours"):
        read_nifti(save(tmp_path / "a.nii.gz", colour))


@fault("F4", "NaN and infinity", then="refused, with their number")
def test_voxels_that_are_no_numbers_are_counted(tmp_path):
    array = numbered(dtype=np.float32)
    array[0, 0, :2] = np.nan, np.inf
    with pytest.raises(UnreadableScan, match="2 of 60"):
        read_nifti(save(tmp_path / "a.nii.gz", array))


def test_a_missing_file_and_a_folder_are_told(tmp_path):
    with pytest.raises(UnreadableScan, match="no such file"):
        read_nifti(tmp_path / "a.nii.gz")
    (tmp_path / "b.nii").mkdir()
    with pytest.raises(UnreadableScan, match="cannot be opened"):
        read_nifti(tmp_path / "b.nii")


@fault("F11", "`x.nii` beside `x.nii.gz`, read by name", then="read, each its own voxels")
def test_x_nii_beside_x_nii_gz_are_two_files(tmp_path):
    save(tmp_path / "x.nii", numbered())
    save(tmp_path / "x.nii.gz", numbered() + 1)
    assert read_nifti(tmp_path / "x.nii").array.max() + 1 == read_nifti(tmp_path / "x.nii.gz").array.max()


@pytest.mark.parametrize("turn", list(signed_permutations()), ids=lambda t: "".join(f"{v:+.0f}" for v in t[t != 0]))
@fault("F10", "48 orientations as NIfTI", then="kept, voxel for voxel")
def test_a_mask_comes_back_voxel_by_voxel_in_all_48_orientations(tmp_path, turn):
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([0.7, 1.1, 2.5])
    affine[:3, 3] = 3.3, -8.1, 12.7
    scan = save(tmp_path / "scan.nii.gz", numbered(), affine)
    labels = LabelMap(numbered() % 4, read_nifti(scan).grid)
    for like in (scan, None):
        write_nifti(tmp_path / "mask.nii.gz", labels, like=like)
        again = read_nifti(tmp_path / "mask.nii.gz")
        np.testing.assert_array_equal(again.array[0], labels.array)
        np.testing.assert_array_equal(again.grid.affine, labels.grid.affine)
        judge, image = nibabel.load(tmp_path / "mask.nii.gz"), nibabel.load(scan)
        np.testing.assert_array_equal(judge.affine, image.affine)


@pytest.mark.parametrize("codes", [(1, 2), (0, 3), (1, 0), (0, 0)])
@fault("F7", "sform and qform that disagree, or neither", then="kept: a mask has those of its scan, bit for bit")
def test_a_mask_has_the_forms_and_the_shape_of_its_scan_bit_for_bit(tmp_path, codes):
    grid = phantoms.grid(SHAPE, degrees=20)
    image = nibabel.Nifti1Image(numbered(), None)
    image.set_qform(grid.affine, code=codes[0])
    image.set_sform(grid.affine + np.diag([0, 0, 1e-3, 0]), code=codes[1])
    nibabel.save(image, tmp_path / "scan.nii.gz")
    write_nifti(
        tmp_path / "mask.nii",
        LabelMap(numbered() % 2, read_nifti(tmp_path / "scan.nii.gz").grid),
        like=tmp_path / "scan.nii.gz",
    )
    scan, mask = nibabel.load(tmp_path / "scan.nii.gz"), nibabel.load(tmp_path / "mask.nii")
    for name in (
        "qform_code",
        "sform_code",
        "quatern_b",
        "quatern_c",
        "quatern_d",
        "qoffset_x",
        "srow_x",
        "srow_y",
        "srow_z",
    ):
        assert scan.header[name].tobytes() == mask.header[name].tobytes(), name
    np.testing.assert_array_equal(scan.affine, mask.affine)
    assert scan.shape == mask.shape
    assert mask.get_data_dtype() == np.uint8


def test_a_mask_of_a_slice_is_a_slice_and_of_channels_a_volume(tmp_path):
    for shape, expected in (((5, 4), (5, 4)), ((5, 4, 1), (5, 4, 1)), ((5, 4, 3, 2), (5, 4, 3))):
        scan = save(tmp_path / "scan.nii.gz", numbered(shape))
        grid = read_nifti(scan).grid
        write_nifti(tmp_path / "mask.nii.gz", LabelMap(np.zeros(grid.shape, np.int32), grid), like=scan)
        assert nibabel.load(tmp_path / "mask.nii.gz").shape == expected


def test_scale_and_intensity_fields_of_the_scan_do_not_reach_its_mask(tmp_path):
    scan = save(tmp_path / "scan.nii.gz", numbered(), scl_slope=0.5, scl_inter=-1024, cal_max=9, intent_code=1001)
    write_nifti(tmp_path / "mask.nii.gz", LabelMap(numbered() % 3, read_nifti(scan).grid), like=scan)
    mask = nibabel.load(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(np.asarray(mask.dataobj), numbered() % 3)
    assert mask.header["cal_max"] == 0


@pytest.mark.parametrize("shape", [(5, 4, 3), (5, 4, 1)])
def test_the_values_of_several_numbers_that_simpleitk_writes_are_channels(tmp_path, shape):
    """As (x, y, z, 1, channels): the fourth axis is time."""
    values = numbered((*shape, 2)).astype(np.float32)
    image = sitk.GetImageFromArray(values.transpose(2, 1, 0, 3), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "a.nii.gz"))
    assert nibabel.load(tmp_path / "a.nii.gz").shape == (*shape, 1, 2)
    np.testing.assert_array_equal(read_nifti(tmp_path / "a.nii.gz").array, np.moveaxis(values, -1, 0))


@pytest.mark.parametrize(("largest", "dtype"), [(255, np.uint8), (256, np.uint16), (70000, np.int32)])
def test_ids_take_the_smallest_type_that_holds_them(tmp_path, largest, dtype):
    array = np.zeros(SHAPE, dtype=np.int64)
    array[0, 0, 0] = largest
    write_nifti(tmp_path / "a.nii.gz", LabelMap(array, phantoms.grid(SHAPE)))
    again = read_nifti(tmp_path / "a.nii.gz").array
    assert again.dtype == dtype
    assert again.max() == largest


def test_equal_masks_give_equal_bytes(tmp_path):
    labels = LabelMap(numbered() % 2, phantoms.grid(SHAPE))
    write_nifti(tmp_path / "a.nii.gz", labels)
    write_nifti(tmp_path / "b.nii.gz", labels)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_a_mask_on_another_grid_than_its_scan_is_not_written(tmp_path):
    scan = save(tmp_path / "scan.nii.gz", numbered())
    with pytest.raises(ValueError, match="not on the grid"):
        write_nifti(tmp_path / "mask.nii.gz", LabelMap(numbered() % 2, phantoms.grid(SHAPE)), like=scan)
    assert [p.name for p in tmp_path.iterdir()] == ["scan.nii.gz"]


def test_a_place_that_cannot_be_written_is_a_resource_error(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ResourceError):
        write_nifti(tmp_path / "file" / "a.nii.gz", LabelMap(numbered() % 2, phantoms.grid(SHAPE)))


def test_a_scan_of_several_channels_comes_back(tmp_path):
    volume, _ = phantoms.scan(channels=2)
    write_nifti_image(tmp_path / "a.nii.gz", volume)
    again = read_nifti(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(again.array, volume.array)
    assert again.grid.same_space(volume.grid, 1e-5)
    single = Volume(volume.array[:1], volume.grid)
    write_nifti_image(tmp_path / "b.nii", single)
    assert nibabel.load(tmp_path / "b.nii").ndim == 3


def test_a_very_long_axis_is_written_as_nifti_2(tmp_path):
    grid = Grid((33000, 1, 1), np.eye(4))
    write_nifti(tmp_path / "a.nii.gz", LabelMap(np.ones(grid.shape, np.uint8), grid))
    assert read_nifti(tmp_path / "a.nii.gz").array.sum() == 33000


def test_names_with_spaces_and_accents_work(tmp_path):
    path = save(tmp_path / "Prüfung 1 é.NII.GZ", numbered())
    assert is_nifti(path)
    assert not is_nifti(tmp_path / "a.nii.gz.txt")
    assert read_nifti(path).array.max() == 59


def test_the_200_real_scans_are_read_as_nibabel_reads_them():
    folder = phantoms.real_data("hippocampus")
    for path in sorted(folder.glob("*/*.nii.gz"))[::40]:
        judge, volume = nibabel.load(path), read_nifti(path)
        np.testing.assert_allclose(volume.array[0], judge.get_fdata(), rtol=1e-6)
        np.testing.assert_array_equal(volume.grid.affine, judge.affine)


@pytest.mark.parametrize("suffix", [".hdr", ".hdr.gz"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.Nifti2Pair])
def test_a_pair_is_read_as_nibabel_reads_it(tmp_path, suffix, kind):
    image = kind(numbered(), np.diag([-0.8, 1.1, 2.5, 1]))
    image.header.set_slope_inter(2, -3)
    nibabel.save(image, tmp_path / f"a{suffix}")
    volume, judge = read_nifti(tmp_path / f"a{suffix}"), nibabel.load(tmp_path / f"a{suffix}")
    np.testing.assert_allclose(volume.array[0], judge.get_fdata())
    np.testing.assert_allclose(volume.grid.affine, judge.affine)


@pytest.mark.parametrize("first", [b"<", b"\x1f\x8b"])
def test_voxels_of_a_pair_may_begin_with_anything(tmp_path, first):
    values = np.frombuffer(first + bytes(24 - len(first)), np.uint8).reshape(4, 3, 2, order="F")
    nibabel.save(nibabel.Nifti1Pair(values, np.eye(4)), tmp_path / "a.hdr")
    np.testing.assert_array_equal(read_nifti(tmp_path / "a.hdr").array[0], values)


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_a_pair_that_is_not_whole_is_refused(tmp_path, packed):
    nibabel.save(nibabel.Nifti1Pair(numbered(), np.eye(4)), tmp_path / f"a.hdr{packed}")
    voxels = tmp_path / f"a.img{packed}"
    voxels.write_bytes(voxels.read_bytes()[:-3])
    with pytest.raises(UnreadableScan, match=r"truncated|damaged"):
        read_nifti(tmp_path / f"a.hdr{packed}")
    voxels.unlink()
    with pytest.raises(UnreadableScan, match="file with the voxels is missing"):
        read_nifti(tmp_path / f"a.hdr{packed}")


def test_analyze_does_not_say_left_from_right(tmp_path):
    nibabel.save(nibabel.AnalyzeImage(numbered(), np.eye(4)), tmp_path / "a.hdr")
    with pytest.raises(UnreadableScan, match="left from right"):
        read_nifti(tmp_path / "a.hdr")


def test_a_mask_of_a_pair_has_its_geometry_in_one_file(tmp_path):
    image = nibabel.Nifti1Pair(numbered(), np.array([[0, 2.5, 0, 1], [-0.8, 0, 0, 2], [0, 0, 1.1, 3], [0, 0, 0, 1]]))
    nibabel.save(image, tmp_path / "a.hdr")
    grid = read_nifti(tmp_path / "a.hdr").grid
    write_nifti(tmp_path / "m.nii.gz", LabelMap(np.ones(grid.shape, np.uint8), grid), like=tmp_path / "a.hdr")
    mask = nibabel.load(tmp_path / "m.nii.gz")
    assert bytes(mask.header["magic"]).startswith(b"n+1")
    np.testing.assert_array_equal(mask.affine, nibabel.load(tmp_path / "a.hdr").affine)
    assert np.asarray(mask.dataobj).all()
