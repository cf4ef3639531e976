"""What the tags of a TIFF say, and Pillow does not: signs, a white that is 0, more values a pixel, channels and times.

Numbers are those in the file, as SimpleITK reads them; what lies in the pages in a way that no tag of TIFF itself says
is refused.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from segtrain.data.files.voxel_file import refuse

BITS, PHOTOMETRIC, DESCRIPTION, SAMPLES, SAMPLE_FORMAT = 258, 262, 270, 277, 339
"""Numbers of tags (TIFF 6.0)."""
MIN_IS_WHITE, SIGNED = 0, 2
"""Values of PHOTOMETRIC and SAMPLE_FORMAT."""
WHITE_IS_0 = "its values are as they are stored: white is 0 (PhotometricInterpretation)"
IMAGEJ = re.compile(r"^(images|channels|frames)=(\d+)\s*$", re.MULTILINE)
OME = re.compile(r"\bSize([CT])\s*=\s*[\"'](\d+)[\"']")
AXES = {"channels": "channels", "C": "channels", "frames": "times", "T": "times"}
"""As ImageJ and OME call what is no slice."""
ONE_STACK = "save one TIFF a channel and time (ImageJ: Image, Color, Split Channels), called CASE_0000.tif and so on"


def require_slices(path: Path, image: Image.Image) -> None:
    """UnreadableScan where the pages of a TIFF are not the slices of one scan, by ImageJ's words in it or by OME's."""
    if not isinstance(image, TiffImageFile):
        return
    text = str(image.tag_v2.get(DESCRIPTION, ""))
    imagej = {name: int(number) for name, number in IMAGEJ.findall(text)} if text.startswith("ImageJ=") else {}
    found = imagej or ({name: int(number) for name, number in OME.findall(text)} if "<OME" in text else {})
    several = [f"{number} {AXES[name]}" for name, number in found.items() if name in AXES and number > 1]
    if several:
        why = f"its ImageDescription (tag {DESCRIPTION}) says {' and '.join(several)}"
        refuse(path, "the pages of a picture are not the slices of one scan", why, ONE_STACK)
    pages = image.n_frames
    if imagej.get("images", pages) != pages:
        why = f"its ImageDescription (tag {DESCRIPTION}) says {imagej['images']} images, as ImageJ writes above 4 GB"
        refuse(path, f"the picture has {pages} of its pages", why, "save it as .mha or .nii.gz, or in pieces")


def numbers_in_file(path: Path, page: Image.Image, array: NDArray[Any]) -> NDArray[Any]:
    """What Pillow made of a grey page, uint8, uint16, int32 or float32, as the numbers that are stored.

    Raises UnreadableScan where Pillow leaves out a value of each pixel.
    """
    if not isinstance(page, TiffImageFile):
        return array
    tags = page.tag_v2
    if tags.get(SAMPLES, 1) != len(page.getbands()):
        why = f"SamplesPerPixel (tag {SAMPLES}) is {tags[SAMPLES]}"
        refuse(path, "the picture has several values a pixel", why, ONE_STACK)
    signed = SIGNED in tags.get(SAMPLE_FORMAT, ())
    if signed and array.dtype == np.uint8:
        return array.view(np.int8)
    if not signed and array.dtype == np.int32 and tags.get(BITS) == (32,):
        return array.view(np.uint32)
    # Pillow turns white into the highest value at 2 to 8 bits; at one bit SimpleITK does so as well.
    return 255 - array if page.mode == "L" and tags.get(PHOTOMETRIC) == MIN_IS_WHITE else array


def notes_on_values(image: Image.Image) -> tuple[str, ...]:
    """A note where low values are bright."""
    white_is_0 = isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC) == MIN_IS_WHITE
    return (WHITE_IS_0,) if white_is_0 and image.mode != "1" else ()
