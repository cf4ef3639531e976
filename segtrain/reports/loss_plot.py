"""How a loss answers to errors, as a picture in a file."""

from __future__ import annotations

import io
import textwrap
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from segtrain.core.errors import ConfigError, Problem
from segtrain.core.files import write_bytes
from segtrain.losses.response import Response
from segtrain.reports.on_white import INK, MUTED, SERIES, STYLE

KINDS = ("png", "svg", "pdf")
FIRST, SECOND = SERIES[:2]

TITLE_WIDTH = 110
"""Characters of a formula that fit a line of the picture."""


def write_loss_plot(path: Path, name: str, formula: str, found: Response) -> None:
    """Write the four panels as PNG, SVG or PDF, as the name ends. ConfigError for another ending; ResourceError."""
    kind = path.suffix.lower().removeprefix(".")
    if kind not in KINDS:
        hint = f"let the name end in .{', .'.join(KINDS)}"
        raise ConfigError(Problem(f"{path.name} is no picture that can be written", "--plot", hint=hint))
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        _figure(name, formula, found).savefig(buffer, format=kind, dpi=130)
    write_bytes(path, buffer.getvalue())


def _figure(name: str, formula: str, found: Response) -> Figure:
    figure = Figure(figsize=(9.2, 6.4), layout="constrained", facecolor="white")
    lines = textwrap.fill(formula, TITLE_WIDTH, break_on_hyphens=False)
    figure.suptitle(f"{name}\n{lines}", x=0.01, ha="left", fontsize=10, color=INK)
    size, place, certainty, pull = figure.subplots(2, 2).flat
    panels = (
        (size, found.size, "Too small, too large", "radius of the answer / true radius"),
        (place, found.place, "Beside it", "shift of the answer / true radius"),
        (certainty, found.certainty, "Unsure", "probability of the right answer, in every voxel"),
    )
    for axes, curve, title, label in panels:
        axes.plot(curve.x, curve.y, color=FIRST)
        axes.set(title=title, xlabel=label, ylabel="loss")
    pull.plot(found.missed.x, found.missed.y, color=FIRST, label="voxel of the object")
    pull.plot(found.invented.x, found.invented.y, color=SECOND, label="voxel of the background")
    pull.axhline(0, color=MUTED, linewidth=0.7)
    pull.set(title="Pull on one voxel, all others right", xlabel="its probability", ylabel="gradient towards its truth")
    pull.legend(frameon=False, fontsize=8)
    return figure
