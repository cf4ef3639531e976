"""A plot before it is anything: markup for a page, or files for a paper.

A page exchanges the stand-in colours of `canvas` for its own variables; a file has white paper, so there they become
real colours, and the key, which a page sets in its own type, becomes a legend.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from segtrain.core.files import write_bytes
from segtrain.reports import on_white
from segtrain.reports.canvas import BAND, GRID, INK, MUTED, SERIES, VARIABLES, Drawing, series_colour, styled, svg

PAPER = {INK: on_white.INK, MUTED: on_white.MUTED, GRID: on_white.LINE, BAND: "#e6edf5"} | dict(
    zip(SERIES, on_white.SERIES, strict=True)
)
"""Stand-in -> colour in a file."""

PARTS = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")
"""What of an artist has a colour."""

DASHES = (None, (4.0, 1.6), (1.2, 1.2))
"""Lines of the first eight series, of the next eight, and of the rest."""

MARGIN = 0.08
"""Inches around a picture in a file."""

DOTS_PER_INCH = 200
"""Of a PNG: 1240 pixels for the width of a column in print."""


@dataclass(frozen=True)
class Look:
    """How a series is drawn."""

    colour: str
    """A stand-in."""
    dashes: tuple[float, float] | None = None
    """Points drawn and left out, in line widths; None is a whole line."""

    @property
    def css(self) -> str:
        """As a CSS background."""
        colour = f"var({VARIABLES[self.colour]})"
        if self.dashes is None:
            return colour
        on, whole = (f"{2 * n:g}px" for n in (self.dashes[0], sum(self.dashes)))
        return f"repeating-linear-gradient(90deg, {colour} 0 {on}, transparent 0 {whole})"

    @property
    def line(self) -> dict[str, Any]:
        """As options of a matplotlib line."""
        return {"color": self.colour, "linestyle": "-" if self.dashes is None else (0, self.dashes)}


@dataclass(frozen=True, eq=False)
class Plot:
    """A figure in stand-in colours, what a screen reader says, and the key."""

    figure: Figure
    alt: str
    key: tuple[tuple[Look, str], ...] = ()


def look_of(place: int) -> Look:
    """Of a series by its place: eight colours, and other dashes where they begin again."""
    return Look(series_colour(place), DASHES[min(place // len(SERIES), len(DASHES) - 1)])


@styled
def drawing(plot: Plot) -> Drawing:
    """The plot for a page."""
    return svg(plot.figure, plot.alt, tuple((look.css, name) for look, name in plot.key))


def write_plots(folder: Path, plots: Mapping[str, Plot]) -> None:
    """Write NAME.svg and NAME.png for each plot. Equal plots give equal files. ResourceError where that fails.

    The plots are recoloured, so they are of no use for a page any more.
    """
    for name, plot in plots.items():
        for kind, data in _files(plot).items():
            write_bytes(folder / f"{name}.{kind}", data)


@styled
def _files(plot: Plot) -> dict[str, bytes]:
    """Kind -> the picture as a file."""
    figure = plot.figure
    if plot.key:
        handles = [Line2D([], [], label=name, linewidth=2, **look.line) for look, name in plot.key]
        below: Any = {"bbox_to_anchor": (0.02, 0.0), "frameon": False, "fontsize": 8}
        figure.legend(handles=handles, loc="upper left", ncols=min(4, len(handles)), **below)
    figure.draw_without_rendering()  # ticks are made when a figure is drawn
    on_paper(figure)
    whole = figure.get_tightbbox().padded(MARGIN)  # once: to let savefig find it draws every file twice
    paper: dict[str, Any] = {"facecolor": "white", "bbox_inches": whole, "dpi": DOTS_PER_INCH}
    found = {}
    for kind, metadata in (("svg", {"Date": None}), ("png", {"Software": None})):
        buffer = io.BytesIO()
        with mpl.rc_context({"svg.hashsalt": plot.alt}):
            figure.savefig(buffer, format=kind, metadata=metadata, **paper)
        found[kind] = buffer.getvalue()
    return found


def on_paper(figure: Figure) -> None:
    """Exchange every stand-in colour of a figure for a real one."""
    for artist in figure.findobj():
        for part in PARTS:
            read, write = getattr(artist, f"get_{part}", None), getattr(artist, f"set_{part}", None)
            if read is None or write is None:
                continue
            colours = to_rgba_array(read())
            known = [PAPER.get(to_hex(colour)) for colour in colours]
            if any(known):
                exchanged = [_exchanged(c, new) for c, new in zip(colours, known, strict=True)]
                write(exchanged if len(exchanged) > 1 else exchanged[0])


def _exchanged(colour: np.ndarray[Any, Any], new: str | None) -> tuple[float, ...]:
    """The new colour as transparent as the old one."""
    red, green, blue = colour[:3] if new is None else to_rgba_array(new)[0, :3]
    return float(red), float(green), float(blue), float(colour[3])
