"""Masks as .mha and .nrrd: SimpleITK reads where they lie, and their headers say it in the formats' own words."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from segtrain.core.errors import ResourceError, UnreadableScan
from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap
from segtrain.data.files.itk_files import read_itk, write_itk
from tests import phantoms

NAMES = {"organ": 1, "tumour": 4}
FORMATS = pytest.mark.parametrize("suffix", [".mha", ".nrrd"])


def mask(degrees=12.0, flips=(-1, 1, 1)) -> LabelMap:
    grid = phantoms.grid((6, 5, 4), degrees=degrees, flips=flips)
    return LabelMap(np.random.default_rng(0).choice([0, 1, 4], grid.shape), grid)


def header(path: Path) -> str:
    """The text before the voxels."""
    return path.read_bytes().partition(b"\n\n")[0].partition(b"ElementDataFile")[0].decode()


def numbers(text: str, key: str) -> np.ndarray:
    (line,) = re.findall(rf"^{key}[ :=]+(.*)$", text, re.MULTILINE)
    return np.array([float(n) for n in re.findall(r"[-+\d.e]+", line)])


@FORMATS
def test_voxels_lie_where_they_were_drawn(tmp_path, suffix):
    labels = mask()
    write_itk(tmp_path / f"mask{suffix}", labels, NAMES)
    judge = sitk.ReadImage(str(tmp_path / f"mask{suffix}"))
    index = np.argwhere(np.ones(labels.grid.shape))
    lps = np.array([judge.TransformIndexToPhysicalPoint([int(i) for i in v]) for v in index])
    np.testing.assert_allclose(lps * (-1, -1, 1), labels.grid.positions_mm(index.astype(float)), atol=1e-9)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(judge).T, labels.array)


@FORMATS
def test_what_was_written_is_read_again_voxel_for_voxel(tmp_path, suffix):
    labels = mask()
    write_itk(tmp_path / f"mask{suffix}", labels, NAMES)
    again = read_itk(tmp_path / f"mask{suffix}")
    np.testing.assert_array_equal(again.array[0], labels.array)
    assert again.grid.same_space(labels.grid, 1e-9)


@FORMATS
@pytest.mark.parametrize("cut", [1, 4, 20, 0.5])
def test_a_truncated_file_is_never_filled_up(tmp_path, suffix, cut):
    write_itk(tmp_path / f"mask{suffix}", mask(), NAMES)
    data = (tmp_path / f"mask{suffix}").read_bytes()
    (tmp_path / f"mask{suffix}").write_bytes(data[: -cut if cut >= 1 else len(data) // 2])
    with pytest.raises(UnreadableScan):
        read_itk(tmp_path / f"mask{suffix}")


@FORMATS
def test_a_flipped_bit_in_packed_voxels_is_seen(tmp_path, suffix):
    """SimpleITK reads such a .mha with success."""
    write_itk(tmp_path / f"mask{suffix}", mask(), NAMES)
    data = bytearray((tmp_path / f"mask{suffix}").read_bytes())
    data[-15] ^= 4
    (tmp_path / f"mask{suffix}").write_bytes(bytes(data))
    with pytest.raises(UnreadableScan):
        read_itk(tmp_path / f"mask{suffix}")


def test_a_nrrd_says_so_in_its_own_words(tmp_path):
    labels = mask()
    write_itk(tmp_path / "mask.nrrd", labels, NAMES)
    text = header(tmp_path / "mask.nrrd")
    assert "space: left-posterior-superior" in text
    assert "type: unsigned char" in text
    lps = np.diag([-1, -1, 1]) @ labels.grid.affine[:3]
    np.testing.assert_allclose(numbers(text, "space directions").reshape(3, 3), lps[:, :3].T, atol=1e-9)
    np.testing.assert_allclose(numbers(text, "space origin"), lps[:, 3], atol=1e-9)


def test_a_mha_says_so_in_its_own_words(tmp_path):
    labels = mask()
    write_itk(tmp_path / "mask.mha", labels, NAMES)
    text = header(tmp_path / "mask.mha")
    lps = np.diag([-1, -1, 1]) @ labels.grid.affine[:3]
    turned = numbers(text, "TransformMatrix").reshape(3, 3) * numbers(text, "ElementSpacing")[:, None]
    np.testing.assert_allclose(turned, lps[:, :3].T, atol=1e-9)
    np.testing.assert_allclose(numbers(text, "Offset"), lps[:, 3], atol=1e-9)
    assert "CompressedData = True" in text


@FORMATS
def test_a_sheared_grid_stays_as_it_is(tmp_path, suffix):
    affine = np.array([[0.9, 0.1, 0, 3], [0, 1.2, 0, 4], [0.3, 0, 2.5, 5], [0, 0, 0, 1]])
    labels = LabelMap(np.arange(24).reshape(2, 3, 4), Grid((2, 3, 4), affine))
    write_itk(tmp_path / f"mask{suffix}", labels, NAMES)
    judge = sitk.ReadImage(str(tmp_path / f"mask{suffix}"))
    at = np.array(judge.TransformIndexToPhysicalPoint([1, 2, 3])) * (-1, -1, 1)
    np.testing.assert_allclose(at, (affine @ [1, 2, 3, 1])[:3], atol=1e-9)


@FORMATS
def test_names_of_labels_are_those_that_slicer_reads(tmp_path, suffix):
    write_itk(tmp_path / f"mask{suffix}", mask(), {"tümör": 1, "two\nlines = 3": 300})
    judge = sitk.ReadImage(str(tmp_path / f"mask{suffix}"))
    found = {key: judge.GetMetaData(key) for key in judge.GetMetaDataKeys() if key.startswith("Segment")}
    assert {key.partition("_")[2]: value for key, value in found.items() if key.startswith("Segment1")} == {
        "ID": "two lines = 3",
        "Name": "two lines = 3",
        "LabelValue": "300",
        "Layer": "0",
        "Color": "0.315 0.486 0.900",
        "Extent": "0 5 0 4 0 3",
    }
    assert (found["Segment0_Name"], found["Segment0_LabelValue"], len(found)) == ("tümör", "1", 12)


@FORMATS
@pytest.mark.parametrize(
    ("largest", "smallest", "kind"),
    [(255, 0, "8-bit unsigned"), (256, 0, "16-bit unsigned"), (70000, 0, "32-bit signed"), (1, -1, "32-bit signed")],
)
def test_ids_take_the_smallest_of_three_types(tmp_path, suffix, largest, smallest, kind):
    grid = phantoms.grid((2, 2, 2))
    array = np.zeros(grid.shape, np.int64)
    array[0, 0, 0], array[1, 1, 1] = smallest, largest
    write_itk(tmp_path / f"mask{suffix}", LabelMap(array, grid), NAMES)
    judge = sitk.ReadImage(str(tmp_path / f"mask{suffix}"))
    assert judge.GetPixelIDTypeAsString() == f"{kind} integer"
    np.testing.assert_array_equal(sitk.GetArrayFromImage(judge).T, array)


@FORMATS
def test_equal_masks_give_equal_bytes(tmp_path, suffix):
    one, two = tmp_path / f"one{suffix}", tmp_path / "b" / f"two{suffix}"
    write_itk(one, mask(), NAMES)
    write_itk(two, mask(), NAMES)
    assert one.read_bytes() == two.read_bytes()


@FORMATS
def test_what_simpleitk_cannot_write_is_a_fault_of_the_disk(tmp_path, suffix, monkeypatch):
    def lost(*image_and_file, **options):
        raise RuntimeError("ITK ERROR")

    monkeypatch.setattr(sitk, "WriteImage", lost)
    with pytest.raises(ResourceError, match="cannot write"):
        write_itk(tmp_path / f"mask{suffix}", mask(), NAMES)
    assert list(tmp_path.iterdir()) == []


@FORMATS
def test_a_file_that_was_not_written_whole_is_seen(tmp_path, suffix, monkeypatch):
    honest = sitk.WriteImage
    monkeypatch.setattr(sitk, "WriteImage", lambda image, *rest, **more: honest(image * 0, *rest, **more))
    with pytest.raises(ResourceError, match="not written whole"):
        write_itk(tmp_path / f"mask{suffix}", mask(), NAMES)
    assert list(tmp_path.iterdir()) == []
