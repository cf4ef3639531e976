"""PNG, TIFF and JPEG as scans and masks of one slice."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from segtrain.core.errors import DataError, ResourceError, UnreadableScan
from segtrain.core.volume import LabelMap
from segtrain.data.files.pictures import NOTE, picture_grid, read_picture, read_picture_mask, write_png
from tests.faults.table import fault

VALUES = np.arange(42, dtype=np.uint8).reshape(6, 7) * 5
"""(rows, columns)."""


def saved(path, array=VALUES, **options):
    Image.fromarray(array).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_picture_is_one_slice_where_simpleitk_has_it(tmp_path, suffix, kind):
    path = saved(tmp_path / f"a{suffix}", VALUES.astype(kind) * (1 if kind is np.uint8 else 257))
    volume, judge = read_picture(path), sitk.ReadImage(str(path))
    np.testing.assert_array_equal(volume.array[0, :, :, 0].T, sitk.GetArrayFromImage(judge))
    assert volume.array.dtype == kind
    assert volume.grid.shape == (7, 6, 1)
    assert volume.notes == (NOTE,)
    lps = np.array(judge.TransformIndexToPhysicalPoint((6, 5))) / judge.GetSpacing()
    np.testing.assert_allclose(volume.grid.positions_mm(np.array([[6.0, 5, 0]]))[0], (-lps[0], -lps[1], 0))


def test_pages_of_a_tiff_are_slices(tmp_path):
    pages = [Image.fromarray(VALUES + n) for n in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert read_picture(tmp_path / "a.tif").array[0, 0, 0].tolist() == [0, 1, 2]
    other = Image.fromarray(VALUES[:4])
    pages[0].save(tmp_path / "b.tif", save_all=True, append_images=[other])
    with pytest.raises(UnreadableScan, match="differ in size"):
        read_picture(tmp_path / "b.tif")


def test_fractions_and_two_values(tmp_path):
    saved(tmp_path / "a.tif", VALUES.astype(np.float32) / 2)
    assert read_picture(tmp_path / "a.tif").array.dtype == np.float32
    saved(tmp_path / "b.png", VALUES > 100)
    assert np.unique(read_picture_mask(tmp_path / "b.png").array).tolist() == [0, 1]


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_mask_may_be_indices_of_a_palette(tmp_path, bits):
    """Their colours are no ids, and a scan with a palette is what the palette says."""
    ids = (VALUES // 5 % 2**bits).astype(np.uint8)
    image = Image.fromarray(ids)
    image.putpalette([value for n in range(256) for value in (10 * n % 256,) * 3])
    image.save(tmp_path / "a.png", bits=bits)
    np.testing.assert_array_equal(read_picture_mask(tmp_path / "a.png").array[0, :, :, 0].T, ids)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png").array[0, :, :, 0].T, 10 * ids)


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_values_of_few_bits_are_not_stretched(tmp_path, bits):
    ids = (VALUES // 5 % 2**bits).astype(np.uint8)
    _few_bits(tmp_path / "a.png", ids, bits)
    np.testing.assert_array_equal(read_picture_mask(tmp_path / "a.png").array[0, :, :, 0].T, ids)


def test_grey_in_three_colours_is_grey(tmp_path):
    path = saved(tmp_path / "a.png", np.stack([VALUES] * 3, axis=-1))
    np.testing.assert_array_equal(read_picture(path).array[0, :, :, 0].T, VALUES)
    opaque = np.stack([*[VALUES] * 3, np.full_like(VALUES, 255)], axis=-1)
    np.testing.assert_array_equal(read_picture(saved(tmp_path / "b.png", opaque)).array[0, :, :, 0].T, VALUES)


@pytest.mark.parametrize("read", [read_picture, read_picture_mask])
def test_colours_are_refused_with_a_way_out(tmp_path, read):
    path = saved(tmp_path / "a.png", np.stack([VALUES, VALUES, VALUES[::-1]], axis=-1))
    with pytest.raises(UnreadableScan, match=r"in colour[\s\S]*CASE_0000"):
        read(path)
    with pytest.raises(UnreadableScan, match="transparent"):
        read(saved(tmp_path / "b.png", np.stack([VALUES] * 4, axis=-1)))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_colours_of_16_bits_are_not_cut_down_in_silence(tmp_path, suffix):
    deep = np.stack([VALUES.astype(np.uint16) * 257] * 3, axis=-1)
    sitk.WriteImage(sitk.GetImageFromArray(deep, isVector=True), str(tmp_path / f"a{suffix}"))
    with pytest.raises(UnreadableScan, match="in colour"):
        read_picture(tmp_path / f"a{suffix}")


def test_a_jpeg_is_a_scan_and_never_a_mask(tmp_path):
    path = saved(tmp_path / "a.jpg")
    assert read_picture(path).grid.shape == (7, 6, 1)
    with pytest.raises(UnreadableScan, match="cannot be a JPEG"):
        read_picture_mask(path)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.9])
def test_a_picture_that_was_cut_off_is_refused(tmp_path, suffix, keep):
    path = saved(tmp_path / f"a{suffix}", np.random.default_rng(0).integers(0, 255, (40, 50), dtype=np.uint8))
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if keep >= 1 else len(data) * keep)])
    with pytest.raises(UnreadableScan):
        read_picture(path)


def test_a_flipped_bit_in_a_png_is_seen(tmp_path):
    path = saved(tmp_path / "a.png", np.random.default_rng(0).integers(0, 255, (40, 50), dtype=np.uint8))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(UnreadableScan, match="damaged"):
        read_picture(path)


def test_an_absurd_size_is_refused_before_anything_is_allocated(tmp_path):
    path = saved(tmp_path / "a.png")
    _few_bits(path, np.zeros((1, 1), np.uint8), 4, size=(60000, 60000))
    with pytest.raises(UnreadableScan, match="too large"):
        read_picture(path)


@fault("F3", "a TIFF whose pages share their bytes", then="refused before a page is read")
def test_pages_that_cannot_all_be_in_the_file_are_refused_before_they_are_read(tmp_path):
    _shared_pages(tmp_path / "a.tif", side=4, pages=3)
    assert read_picture(tmp_path / "a.tif").grid.shape == (4, 4, 3)
    _shared_pages(tmp_path / "b.tif", side=4000, pages=20)
    with pytest.raises(UnreadableScan, match=r"too large[\s\S]*0\.32 billion pixels"):
        read_picture(tmp_path / "b.tif")


def test_a_picture_for_which_memory_does_not_suffice_is_no_fault_of_the_file(tmp_path, monkeypatch):
    def no_memory(self):
        raise MemoryError

    path = saved(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "load", no_memory)
    monkeypatch.setattr(PngImageFile, "load", no_memory)
    with pytest.raises(ResourceError, match="does not fit into memory"):
        read_picture(path)


def test_a_mask_becomes_a_picture_of_8_or_16_bits(tmp_path):
    for largest, kind in ((255, np.uint8), (256, np.uint16)):
        ids = (VALUES.T[:, :, None] == 5) * largest
        write_png(tmp_path / "a.png", LabelMap(ids, picture_grid((7, 6, 1))))
        again = read_picture_mask(tmp_path / "a.png").array
        assert again.dtype == kind
        np.testing.assert_array_equal(again[0], ids)
    with pytest.raises(DataError, match="ids from 0 to 65536"):
        write_png(tmp_path / "a.png", LabelMap(ids * 256, picture_grid((7, 6, 1))))


def _shared_pages(path, side, pages):
    """A TIFF by hand: every page is the same empty strip."""
    import struct
    import zlib

    strip = zlib.compress(bytes(side * side), 9)
    out = b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip
    tags = {256: side, 257: side, 258: 8, 259: 8, 262: 1, 273: 8, 277: 1, 278: side, 279: len(strip)}
    for page in range(pages):
        after = len(out) + 6 + 12 * len(tags)
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
        out += struct.pack("<H", len(tags)) + entries + struct.pack("<I", after if page < pages - 1 else 0)
    path.write_bytes(out)


def _few_bits(path, values, bits, size=None):
    """A grey PNG of two or four bits a pixel, by hand: Pillow writes none."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows, columns = values.shape
    shifts = np.arange(8 - bits, -1, -bits)
    padded = np.pad(values, ((0, 0), (0, -columns % (8 // bits)))).reshape(rows, -1, 8 // bits)
    packed = (padded << shifts).sum(axis=-1).astype(np.uint8)
    lines = b"".join(b"\0" + line.tobytes() for line in packed)
    width, height = size or (columns, rows)
    start = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    body = chunk(b"IHDR", start) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
