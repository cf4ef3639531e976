"""TIFFs by their tags, with SimpleITK as the judge where it reads them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from segtrain.core.errors import UnreadableScan
from segtrain.data.files.pictures import NOTE, read_picture, read_picture_mask
from segtrain.data.files.tiff import WHITE_IS_0
from tests.faults.table import fault

VALUES = np.array([[0, 1, 2], [3, 250, 5]])
"""(rows, columns)."""


def tiff(
    path: Path, values: np.ndarray, *, photometric: int = 1, form: int = 1, bits: int = 0, samples: int = 1
) -> Path:
    """One page by hand, in the byte order of the array: Pillow writes few of the kinds that it reads."""
    order = ">" if values.dtype.byteorder == ">" else "<"
    data, rows, columns = values.tobytes(), values.shape[0], values.shape[1] * (8 // bits if bits else 1)
    depth = bits or values.dtype.itemsize * 8
    tags = {256: columns, 257: rows, 258: depth, 259: 1, 262: photometric, 273: 8}
    tags |= {277: samples, 278: rows, 279: len(data), 339: form}
    if samples == 2:
        tags |= {256: columns // 2, 258: depth | depth << 16, 339: form | form << 16, 338: 0}
    out = struct.pack(f"{order}H", len(tags))
    for tag, value in sorted(tags.items()):
        pair = samples == 2 and tag in (258, 339)
        short = struct.pack(f"{order}HH", value, 0) if value < 65536 else struct.pack(f"{order}I", value)
        out += struct.pack(f"{order}HHI", tag, 3, 1 + pair) + short
    start = b"II*\0" if order == "<" else b"MM\0*"
    path.write_bytes(start + struct.pack(f"{order}I", 8 + len(data)) + data + out + bytes(4))
    return path


@pytest.mark.parametrize("read", [read_picture, read_picture_mask])
@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("u1", 1),
        ("i1", 2),
        ("<u2", 1),
        (">u2", 1),
        ("<i2", 2),
        (">i2", 2),
        ("<u4", 1),
        ("<i4", 2),
        (">i4", 2),
        ("<f4", 3),
    ],
)
@fault("F2", "TIFFs of int8 and of uint32 above 2^31", then="read as SimpleITK reads them")
def test_numbers_have_the_sign_that_the_file_says(tmp_path: Path, kind: str, form: int, read) -> None:
    path = tiff(tmp_path / "a.tif", (VALUES * 17_000_000 if kind[-1] == "4" else VALUES).astype(kind), form=form)
    found = read(path).array[0, :, :, 0].T
    np.testing.assert_array_equal(found, sitk.GetArrayFromImage(sitk.ReadImage(str(path))))


@pytest.mark.parametrize("read", [read_picture, read_picture_mask])
@pytest.mark.parametrize("kind", ["u1", "<u2"])
@fault("F2", "a TIFF whose white is 0, of 8 or 16 bits", then="as it is stored, as SimpleITK reads it; noted")
def test_a_white_of_0_stays_what_is_stored(tmp_path: Path, kind: str, read) -> None:
    volume = read(tiff(tmp_path / "a.tif", VALUES.astype(kind), photometric=0))
    np.testing.assert_array_equal(volume.array[0, :, :, 0].T, VALUES)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.tif"))), VALUES)
    assert volume.notes == (NOTE, WHITE_IS_0)


@pytest.mark.parametrize("photometric", [0, 1])
def test_few_bits_are_what_is_stored_and_one_bit_is_white(tmp_path: Path, photometric: int) -> None:
    packed = np.array([[0b00011011]], np.uint8)
    four = read_picture_mask(tiff(tmp_path / "a.tif", packed, photometric=photometric, bits=2))
    assert four.array.ravel().tolist() == [0, 1, 2, 3]
    two = read_picture_mask(tiff(tmp_path / "b.tif", packed, photometric=photometric, bits=1))
    assert two.array.ravel().tolist() == [int(bit) ^ (photometric == 0) for bit in "00011011"]
    judge = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "b.tif")))  # red, green, blue, opacity
    np.testing.assert_array_equal(two.array[0, :, :, 0].T * 255, judge[..., 0])


def test_a_second_value_a_pixel_is_not_dropped(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", np.arange(12, dtype=np.uint8).reshape(2, 6), samples=2)
    with pytest.raises(UnreadableScan, match=r"several values a pixel[\s\S]*tag 277\) is 2"):
        read_picture(path)


def stack(path: Path, description: str, pages: int = 6) -> Path:
    images = [Image.fromarray(np.full((4, 5), page, np.uint8)) for page in range(pages)]
    tags = ImageFileDirectory_v2()
    tags[270] = description
    images[0].save(path, save_all=True, append_images=images[1:], tiffinfo=tags)
    return path


IMAGEJ = "ImageJ=1.53t\nimages=6\n{}hyperstack=true\n"
OME = '<?xml version="1.0"?><OME><Image><Pixels SizeX="5" SizeY="4" SizeZ="3" SizeC="{}" SizeT="{}"/></Image></OME>'


@pytest.mark.parametrize(
    ("description", "words"),
    [
        (IMAGEJ.format("channels=2\nslices=3\n"), "says 2 channels"),
        (IMAGEJ.format("slices=2\nframes=3\n"), "says 3 times"),
        (OME.format(2, 1), "says 2 channels"),
        (OME.format(1, 2), "says 2 times"),
        (IMAGEJ.replace("=6", "=600").format(""), "says 600 images"),
    ],
)
@fault("F2", "a stack of ImageJ or OME with channels or times", then="refused by its tag; its pages are no slices")
def test_pages_that_are_no_slices_are_refused(tmp_path: Path, description: str, words: str) -> None:
    with pytest.raises(UnreadableScan, match=words):
        read_picture(stack(tmp_path / "a.tif", description))


@pytest.mark.parametrize("description", [IMAGEJ.format("slices=6\n"), OME.format(1, 1), "channels=2\nframes=3"])
def test_pages_of_one_stack_are_slices(tmp_path: Path, description: str) -> None:
    assert read_picture(stack(tmp_path / "a.tif", description)).array[0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
