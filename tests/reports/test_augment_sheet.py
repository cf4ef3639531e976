"""A sheet shows what was drawn, and its pictures are the patches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread

from segtrain.core.errors import ConfigError
from segtrain.data.augment.draw import Bend, ChannelChange, Noise, draw, unchanged
from segtrain.reports.augment_sheet import Sample, Sheet, require_picture, words_of, write_augment_sheet
from tests.data.augment.patches import frame_for, moving, only

BLUE, ORANGE = (0x4C, 0xC9, 0xF0), (0xFF, 0x9E, 0x00)


def sheet(frame, changes, channels=1) -> Sheet:
    """Label 1 in the middle, label 2 at an edge, and an image that grows brighter along the last axis."""
    classes = np.zeros(frame.size, np.uint8)
    classes[tuple(slice(n // 4, n - n // 4) for n in frame.size)] = 1
    classes[: frame.size[0] // 6] = 2
    image = np.broadcast_to(np.arange(frame.size[-1], dtype=np.float32), (channels, *frame.size))
    samples = [Sample(index or None, change, image, classes) for index, change in enumerate(changes)]
    names = [f"c{channel}" for channel in range(channels)]
    return Sheet("P01: a patch", names, ["organ", "lesion"], frame, samples)


def pixels(path) -> np.ndarray:
    """How many are blue, and how many orange."""
    image = np.round(imread(path)[..., :3] * 255).astype(np.int16)
    return np.array([(np.abs(image - np.int16(colour)).max(axis=-1) < 8).sum() for colour in (BLUE, ORANGE)])


@pytest.mark.parametrize(
    ("size", "thick", "channels"), [((24, 24, 12), None, 1), ((24, 12, 24), 1, 2), ((24, 24), None, 1)]
)
def test_every_sample_is_drawn_with_the_outlines_of_its_labels(tmp_path, size, thick, channels):
    one, six = tmp_path / "one.png", tmp_path / "six.png"
    frame = frame_for(size, channels=channels, thick=thick)
    write_augment_sheet(one, sheet(frame, [unchanged(channels)], channels))
    changes = [unchanged(channels), *(draw(only("noise"), frame, 0, index) for index in range(5))]
    write_augment_sheet(six, sheet(frame, changes, channels))
    in_one, in_six = pixels(one), pixels(six)
    assert (in_one > 60).all(), "more than the line beside the label's name"
    assert (in_six - in_one > 4 * (in_one - 60)).all()
    assert imread(six).shape[0] > imread(one).shape[0], "a second row"


def test_equal_sheets_are_equal_files(tmp_path):
    frame = frame_for((12, 12, 8), channels=1)
    for name in ("a.png", "b.png"):
        write_augment_sheet(tmp_path / name, sheet(frame, [unchanged(1), moving([10.0, 0, 0], channels=1)]))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_change_that_changes_nothing_has_no_words():
    assert words_of(unchanged(2), ["T1", "T2"]) == ()


def test_all_that_was_drawn_is_said():
    bend = Bend(12.0, np.array([[[0.5, -2.0]]]))
    change = replace(
        moving([11.4, -23.0, 0.2], 1.25, bend),
        noise=Noise(0.0512, 3),
        mirrored=(0, 2),
        channels=(ChannelChange((0.5, 0.75, 1.0), 0.6, 0.9, 1.1, 0.8, 1.4), ChannelChange(gamma=0.7)),
    )
    assert words_of(change, ["T1", "T2"]) == (
        "turned 11°, -23°, 0°",
        "field of view x1.25",
        "bent by up to 2.0 voxels",
        "noise 0.051",
        "mirrored along axis 0, 2",
        "T1: blur 0.50 x 0.75 x 1.00 voxels",
        "T1: resolution x0.60",
        "T1: brightness 0.90",
        "T1: contrast 1.10",
        "T1: inverted gamma 0.80",
        "T1: gamma 1.40",
        "T2: gamma 0.70",
    )


def test_one_channel_is_not_named():
    assert words_of(replace(unchanged(1), channels=(ChannelChange(brightness=0.8),)), ["T1"]) == ("brightness 0.80",)


def test_a_picture_is_a_png(tmp_path):
    require_picture(tmp_path / "Sheet.PNG")
    with pytest.raises(ConfigError, match=r"sheet\.jpg"):
        require_picture(tmp_path / "sheet.jpg")
