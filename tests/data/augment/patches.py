"""Frames, patches and changes of tests."""

from dataclasses import replace

import numpy as np
import torch

from segtrain.data.augment.apply import apply
from segtrain.data.augment.draw import Change, ChannelChange, Motion, unchanged
from segtrain.data.augment.frame import PatchFrame
from segtrain.data.augment.motion import margin_of
from segtrain.data.patches import Patch, cut_box
from segtrain.data.settings import AugmentSettings

CPU = torch.device("cpu")


def frame_for(size=(9, 11, 7), sides_mm=None, channels=2, thick=None) -> PatchFrame:
    sides = sides_mm or (1.0,) * len(size)
    return PatchFrame(tuple(size), tuple(sides), tuple(range(len(size))), channels, thick)


def scan(shape=(40, 40, 40), channels=2, seed=0):
    """A scan of noise with three labels."""
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(channels, *shape)).astype(np.float32)
    return image, (image[0] > 0.3).astype(np.uint8) + (image[0] > 1).astype(np.uint8)


def cut_from(image, classes, frame: PatchFrame, motion: Motion | None = None) -> Patch:
    """The middle of a scan, with the margin that a motion needs."""
    margin = np.array(margin_of(motion, frame))
    start = (np.array(classes.shape) - frame.size) // 2 - margin
    size = np.array(frame.size) + 2 * margin
    return Patch("a", cut_box(image, start, size), cut_box(classes, start, size))


def changed(change: Change, frame: PatchFrame, image, classes):
    """What becomes of the middle of a scan."""
    patch = cut_from(image, classes, frame, change.motion)
    images, labels = apply([change], [patch], frame, CPU)
    return images[0], labels[0]


def moving(degrees=(0.0, 0.0, 0.0), field_of_view=1.0, bend=None, channels=2) -> Change:
    return replace(unchanged(channels), motion=Motion(tuple(degrees), field_of_view, bend))


def recoloured(channels=2, **values) -> Change:
    """The same change of every channel."""
    return replace(unchanged(channels), channels=(ChannelChange(**values),) * channels)


KINDS = {
    "rotation": {"probability": 1},
    "scale": {"probability": 1},
    "elastic": {"probability": 1},
    "noise": {"probability": 1},
    "blur": {"probability": 1, "channel_probability": 1},
    "low_resolution": {"probability": 1, "channel_probability": 1},
    "brightness": {"probability": 1},
    "contrast": {"probability": 1},
    "gamma": {"probability": 1, "inverted_probability": 1},
}
"""Each kind of change, always."""
NEVER = {kind: {"probability": 0} for kind in KINDS} | {"gamma": {"probability": 0, "inverted_probability": 0}}
ALWAYS = AugmentSettings(**KINDS, mirror_axes=(0, 1, 2))


def only(kind: str, **values) -> AugmentSettings:
    """One kind in every patch, and nothing else."""
    return AugmentSettings(**(NEVER | {kind: KINDS[kind] | values}))
