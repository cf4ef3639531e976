import base64
import io
import re

import numpy as np
import pytest
from matplotlib.image import imread

from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap, Volume
from segtrain.reports.overlays import Overlay, overlay_panel
from tests.phantoms import grid
from tests.reports.builders import overlay


def pixels(drawing):
    data = re.search(r"base64,([^\"]+)", drawing.markup)[1]
    return imread(io.BytesIO(base64.b64decode(data)), format="png")[..., :3]


def shows(image, colour):
    wanted = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return (np.abs(image - wanted).max(axis=-1) < 0.03).sum()


def test_both_outlines_are_seen_in_their_colours():
    image = pixels(overlay_panel(overlay()))
    assert shows(image, "#4cc9f0") > 100
    assert shows(image, "#ff9e00") > 100


def test_without_a_reference_there_is_one_outline():
    drawing = overlay_panel(overlay(with_reference=False))
    assert [name for _, name in drawing.key] == ["prediction"]
    assert shows(pixels(drawing), "#4cc9f0") == 0


@pytest.mark.parametrize("spacing", [(1, 1, 8), (0.3, 4, 1)])
def test_anisotropic_voxels_and_empty_masks(spacing):
    on = grid(spacing_mm=spacing)
    assert overlay_panel(overlay(on=on)).alt.startswith("P01: three planes")
    assert shows(pixels(overlay_panel(overlay(on=on, empty=True))), "#ff9e00") == 0


def test_a_mask_that_fills_the_scan_and_a_flat_image_with_holes():
    on = Grid((6, 5, 1), np.eye(4))
    image = np.full((1, 6, 5, 1), 7.0)
    image[0, 0, 0, 0] = np.nan
    image[0, 1, 0, 0] = np.inf
    full = LabelMap(np.ones(on.shape, np.uint8), on)
    assert overlay_panel(Overlay("c", "", Volume(image, on), full, full, {1: "a"})).markup


def test_flips_of_the_file_do_not_turn_the_picture():
    def picture(flips):
        on = grid(shape=(20, 20, 20), spacing_mm=(2, 2, 2))
        image = np.zeros((1, 20, 20, 20), np.float32)
        image[0, :5, 8:12, 8:12] = 100
        mask = np.zeros(on.shape, np.uint8)
        mask[8:12, 8:12, 8:12] = 1
        turn = tuple(slice(None, None, f) for f in flips)
        step = np.diag([*flips, 1.0]).astype(float)
        step[:3, 3] = [19 if f < 0 else 0 for f in flips]
        turned = Grid(on.shape, on.affine @ step)
        label = LabelMap(mask[turn].copy(), turned)
        return pixels(
            overlay_panel(Overlay("c", "", Volume(image[0][turn][None].copy(), turned), label, None, {1: "a"}))
        )

    straight = picture((1, 1, 1))
    for flips in [(-1, 1, 1), (1, -1, -1), (-1, -1, -1)]:
        np.testing.assert_allclose(picture(flips), straight, atol=0.02)
    axial = straight[40:, : straight.shape[1] // 3]
    left, right = np.hsplit(axial[:, : axial.shape[1] // 2 * 2], 2)
    assert right.mean() > left.mean(), "low x is the patient's left, at the right of the picture"
