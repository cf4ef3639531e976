"""From a matplotlib `Figure` to something a page can hold, without pyplot and its global state.

Line drawings become inline SVG whose colours are the page's CSS variables, so that one figure serves a light and a
dark screen: it is drawn in stand-in colours that are exchanged in the SVG text. Text is never parsed as
mathematics, since names come from outside.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, MUTED, GRID, BAND = "#010101", "#020202", "#030303", "#040404"
"""Stand-ins: text and axes, secondary text, grid lines, shaded areas."""

SERIES = tuple(f"#0505{place:02x}" for place in range(8))
"""Stand-ins for the colours of up to eight series; more start again from the first."""

VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--line", BAND: "--band"} | {
    colour: f"--c{place}" for place, colour in enumerate(SERIES)
}

STYLE: Any = {
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": False,
    "axes.formatter.use_mathtext": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 1.5,
    "font.size": 9,
    "svg.fonttype": "none",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Drawing:
    """A figure as markup, with what a screen reader says and the key to its colours."""

    markup: str
    """`<svg>`: made here and safe to insert as it is."""
    alt: str
    key: tuple[tuple[str, str], ...] = ()
    """(CSS colour, name) of each series; names are plain text, to be escaped by the page."""


def styled(draw: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Run a drawing function under the house style, which ends with it."""

    @wraps(draw)
    def within(*args: Parameters.args, **options: Parameters.kwargs) -> Result:
        with mpl.rc_context(STYLE):
            return draw(*args, **options)

    return within


def series_colour(place: int) -> str:
    """The stand-in colour of a series."""
    return SERIES[place % len(SERIES)]


def series_key(names: list[str]) -> tuple[tuple[str, str], ...]:
    """The key of series drawn with `series_colour`."""
    return tuple((f"var({VARIABLES[series_colour(place)]})", name) for place, name in enumerate(names))


def svg(figure: Figure, alt: str, key: tuple[tuple[str, str], ...] = ()) -> Drawing:
    """The figure as inline SVG, in the page's colours and font. Equal figures give equal text."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": alt}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="[A-Za-z][\w.]*_\d+"', "", text)
    text = re.sub(r"<svg[^>]*>", lambda tag: re.sub(r' (?:width|height)="[\d.]+pt"', "", tag[0]), text, count=1)
    text = re.sub(r"(?<=font-family: )[^;\"]*", "var(--sans)", text)
    text = re.sub(r"(?<=fill: |roke: )#[0-9a-f]{6}", _variable, text)
    text = re.sub(r"\s*\n\s*", " ", text)
    text = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), text)
    return Drawing(text.replace("<svg", '<svg stroke-linejoin="round" aria-hidden="true"', 1).strip(), alt, key)


def _variable(stand_in: re.Match[str]) -> str:
    """A stand-in colour -> the page's variable; any other colour stays."""
    name = VARIABLES.get(stand_in[0])
    return f"var({name})" if name else stand_in[0]
