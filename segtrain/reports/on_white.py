"""The look of a picture in a file, which has white paper and no page around it."""

from __future__ import annotations

from typing import Any

INK, MUTED, LINE = "#1c2430", "#5d6875", "#e3e7ec"
SERIES = ("#1f77a4", "#d9730d", "#3a8f5c", "#b0413e", "#7a5bb0", "#8a6d3b", "#c2569b", "#4f5d6b")
"""Colours of up to eight curves; more start again from the first."""

STYLE: Any = {
    "text.parse_math": False,
    "svg.fonttype": "none",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": LINE,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}
