"""A colour for each label, for viewers that show a mask as it comes: those that follow each other differ most."""

from __future__ import annotations

import colorsys

GOLDEN = (5**0.5 - 1) / 2
"""Steps of this share of a circle never come close to where they have been."""
SATURATION, BRIGHTNESS = 0.65, 0.9
"""Seen on grey values without hiding them."""


def label_colour(place: int) -> tuple[float, float, float]:
    """Red, green and blue, 0 to 1, of a label by its place among them."""
    return colorsys.hsv_to_rgb(place * GOLDEN % 1, SATURATION, BRIGHTNESS)
