"""The border to pictures, PNG, TIFF and JPEG: a scan of one slice, or of as many as a TIFF has pages.

A picture says neither how large its pixels are nor where they lie: dots per inch are about paper and screens. So they
are taken to be 1 mm wide, columns to run to the patient's left and rows to the back, as SimpleITK has it, and every
reading says so. Why Pillow and not SimpleITK: it tells the indices of a picture with a palette, which a mask may be,
from their colours, and refuses what is cut off.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence, UnidentifiedImageError

from segtrain.core.errors import DataError, Problem, ResourceError
from segtrain.core.files import write_bytes
from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap, Volume
from segtrain.data.files.tiff import notes_on_values, numbers_in_file, require_slices
from segtrain.data.files.voxel_file import refuse
from segtrain.data.repair.finite import plain_type, require_finite

ASSUMED_SPACING_MM = 1.0
NOTE = "a picture does not say how large its pixels are: 1 mm is assumed"
JPEG_SUFFIXES = (".jpg", ".jpeg")
FORMATS = ("PNG", "TIFF", "JPEG")
GREY = ("1", "L", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")
WITH_ALPHA = {"LA": "L", "La": "L", "RGBA": "RGB", "RGBa": "RGB"}
MOST_PIXELS = 2 * 89_478_485
"""From here on Pillow refuses a picture of one page (twice its MAX_IMAGE_PIXELS)."""
LARGEST_RATIO = 1040
"""Pixels a byte of the file that packing explains; deflate cannot do more than 1032."""
STRETCHED = {"L;2": 85, "L;4": 17}
"""Pillow spreads grey values of two and four bits over 0 to 255; here they stay what they are."""


def read_picture(path: Path) -> Volume:
    """Read a scan as (1, columns, rows, pages) of grey values; a palette is looked up.

    Raises UnreadableScan for a damaged file, and for colours unless red, green and blue are equal everywhere.
    """
    volume = picture_as_stored(path)
    require_finite(path, volume.array)
    return volume


def picture_as_stored(path: Path) -> Volume:
    """As `read_picture`; pixels of a TIFF may be NaN or infinite."""
    return _volume(path, _grey)


def read_picture_mask(path: Path) -> Volume:
    """Read a mask as (1, columns, rows, pages) of ids: grey values, or the indices of a palette.

    Raises UnreadableScan for a damaged file, for colours, and for a JPEG, whose values are no longer ids.
    """
    if path.name.lower().endswith(JPEG_SUFFIXES):
        why = "JPEG changes values on its way, so that label ids are lost"
        refuse(path, "a mask cannot be a JPEG", why, "save the mask as PNG or TIFF where it was drawn")
    volume = _volume(path, _ids)
    require_finite(path, volume.array)
    return volume


def picture_grid(shape: tuple[int, int, int]) -> Grid:
    """Columns, rows, pages -> the grid that is assumed."""
    return Grid(shape, np.diag([-ASSUMED_SPACING_MM, -ASSUMED_SPACING_MM, ASSUMED_SPACING_MM, 1.0]))


def write_png(path: Path, labels: LabelMap) -> None:
    """Write the only slice of a mask as a grey picture of 8 or 16 bits: equal masks give equal bytes.

    Raises DataError where there are several slices or ids do not fit, ResourceError where it cannot be written.
    """
    array = labels.compact()
    if labels.grid.shape[2] != 1 or array.dtype == np.int32:
        why = f"it has {labels.grid.shape[2]} slices and ids from {array.min()} to {array.max()}"
        hint = "take another format of masks, as nii.gz"
        raise DataError(Problem("this mask is no picture", str(path), why, hint))
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array[:, :, 0].T)).save(content, format="PNG")
    write_bytes(path, content.getvalue())


def _volume(path: Path, values: Callable[[Path, Image.Image], NDArray[Any]]) -> Volume:
    """All pages of a picture."""
    with _errors(path):
        with Image.open(path, formats=FORMATS) as image:
            image.verify()  # the checksums of a PNG, which reading alone does not look at
        with Image.open(path, formats=FORMATS) as image:
            _check_size(path, image)
            require_slices(path, image)
            notes = (NOTE, *notes_on_values(image))
            pages = [values(path, page) for page in ImageSequence.Iterator(image)]
    if len({page.shape for page in pages}) > 1:
        refuse(path, "the pages of a picture differ in size", f"it has {len(pages)} pages", "save one page a file")
    array = np.stack([page.T for page in pages], axis=-1)
    array = array.astype(np.uint8) if array.dtype == bool else array.astype(array.dtype.newbyteorder("="))
    x, y, z = array.shape
    return Volume(plain_type(array[np.newaxis]), picture_grid((x, y, z)), notes)


def _check_size(path: Path, image: Image.Image) -> None:
    """UnreadableScan where many pages claim more than can be in the file, as where they share their bytes."""
    pixels = sum(page.width * page.height for page in ImageSequence.Iterator(image))
    there = path.stat().st_size
    if pixels > max(MOST_PIXELS, there * LARGEST_RATIO):
        why = f"{pixels / 1e9:.3g} billion pixels on all pages, in {there} bytes"
        refuse(path, "the picture is too large", why, "save it as .mha or .nii.gz, or in pieces")


def _ids(path: Path, page: Image.Image) -> NDArray[Any]:
    """One page (rows, columns) of a mask."""
    return np.asarray(page) if page.mode == "P" else _grey(path, page)


def _grey(path: Path, page: Image.Image) -> NDArray[Any]:
    """One page (rows, columns) of grey values. Raises UnreadableScan for colours."""
    tiles = getattr(page, "tile", ())
    stored = str(tiles[0].args if tiles else "")  # what is in the file; gone once it is read
    raw = next((mode for mode in STRETCHED if mode in stored), "")
    if page.mode in ("P", "PA"):
        page = page.convert("RGBA" if page.mode == "PA" else "RGB")
    if page.mode in WITH_ALPHA:
        if page.getextrema()[-1] != (255, 255):
            refuse(path, "the picture is transparent in places", f"mode {page.mode}", "save it without transparency")
        page = page.convert(WITH_ALPHA[page.mode])
    array: NDArray[Any] = np.asarray(page)
    if page.mode in GREY:
        array = numbers_in_file(path, page, array)
        return array // STRETCHED[raw] if raw else array
    deep = ";16" in stored  # 16 bits a colour, which Pillow has cut down to 8
    if page.mode != "RGB" or deep or not (array == array[..., :1]).all():
        why = "its red, green and blue differ" if page.mode == "RGB" and not deep else f"its pixels are {stored}"
        hint = "save it as grey values; colours that matter are channels: CASE_0000.png, CASE_0001.png, CASE_0002.png"
        refuse(path, "the picture is in colour", why, hint)
    return array[..., 0]


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Translate what Pillow raises; it warns before it fails."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Image.DecompressionBombError as error:
        refuse(path, "the picture is too large", str(error), "save it as .mha or .nii.gz, or in pieces")
    except MemoryError as error:
        problem = Problem("a scan does not fit into memory", str(path), hint="crop it, or use a larger machine")
        raise ResourceError(problem) from error
    except UnidentifiedImageError:
        refuse(path, "this is no picture", "it is neither PNG nor TIFF nor JPEG, or damaged at its beginning")
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, EOFError) as error:
        refuse(path, "the picture is damaged", " ".join(str(error).split()))
