"""What augmentation makes of a patch: pictures of its middle slice, and under each what was drawn for it.

Pictures lie as radiologists hang them, with true proportions. All channels of a sample are side by side, each between
the same black and white as in the patch before it was changed.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from segtrain.core.errors import ConfigError, Problem
from segtrain.core.files import write_bytes
from segtrain.core.task import IGNORED_CLASS
from segtrain.data.augment.draw import Change, ChannelChange
from segtrain.data.augment.frame import PatchFrame
from segtrain.reports.on_white import INK, MUTED, STYLE

OUTLINES = ("#4cc9f0", "#ff9e00", "#80ed99", "#f15bb5", "#fee440", "#c77dff")
"""Colours of labels on grey; more start again from the first."""
COLUMNS = 4
INCHES, LINE_INCHES = 2.6, 0.16
"""Width of a sample of one channel, and height of a line of text."""
LARGEST_CHANNELS = 3
"""Channels that are shown."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A patch after its change."""

    number: int | None
    """Of the sample in training; None for the patch as it was cut."""
    change: Change
    image: NDArray[np.float32]
    """(channels, *S)."""
    classes: NDArray[np.uint8]
    """(*S)."""


@dataclass(frozen=True, eq=False)
class Sheet:
    """Samples of one patch; the first is the patch as it was cut."""

    heading: str
    channel_names: Sequence[str]
    label_names: Sequence[str]
    """Of the foreground, in order of classes."""
    frame: PatchFrame
    samples: Sequence[Sample]


def require_picture(path: Path) -> None:
    """ConfigError where the name does not end as that of a PNG."""
    if path.suffix.lower() != ".png":
        raise ConfigError(Problem(f"{path.name} is no picture that can be written", "--out", hint="let it end in .png"))


def write_augment_sheet(path: Path, sheet: Sheet) -> None:
    """Write the sheet as a PNG. Raises ResourceError."""
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        _figure(sheet).savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    write_bytes(path, buffer.getvalue())


def words_of(change: Change, channel_names: Sequence[str]) -> tuple[str, ...]:
    """What was drawn, a line a kind; none for a change that changes nothing."""
    return (*_words_of_patch(change), *_words_of_channels(change.channels, channel_names))


def _words_of_patch(change: Change) -> Iterator[str]:
    motion = change.motion
    if motion is not None:
        if any(motion.degrees):
            yield f"turned {', '.join(f'{angle:.0f}°' for angle in motion.degrees)}"
        if motion.field_of_view != 1:
            yield f"field of view x{motion.field_of_view:.2f}"
        if motion.bend is not None:
            yield f"bent by up to {np.abs(motion.bend.displacements).max():.1f} voxels"
    if change.noise is not None:
        yield f"noise {change.noise.deviation:.3f}"
    if change.mirrored:
        yield f"mirrored along axis {', '.join(map(str, change.mirrored))}"


def _words_of_channels(channels: Sequence[ChannelChange], names: Sequence[str]) -> Iterator[str]:
    for channel, name in zip(channels, names, strict=True):
        before = f"{name}: " if len(channels) > 1 else ""
        if channel.sigma_voxels is not None:
            yield f"{before}blur {' x '.join(f'{sigma:.2f}' for sigma in channel.sigma_voxels)} voxels"
        if channel.zoom is not None:
            yield f"{before}resolution x{channel.zoom:.2f}"
        for kind in ("brightness", "contrast", "inverted_gamma", "gamma"):
            if (value := getattr(channel, kind)) is not None:
                yield f"{before}{kind.replace('_', ' ')} {value:.2f}"


def _figure(sheet: Sheet) -> Figure:
    first = sheet.samples[0]
    windows = [_window(channel) for channel in first.image[:LARGEST_CHANNELS]]
    lines = [_caption(sample, sheet.channel_names) for sample in sheet.samples]
    rows = [slice(start, start + COLUMNS) for start in range(0, len(lines), COLUMNS)]
    up, right = _slice(first.classes, sheet.frame).shape
    aspect = _aspect(sheet.frame)
    width = INCHES * len(windows)
    picture = min(INCHES * 1.5, INCHES * up * aspect / right)
    text = [LINE_INCHES * (max(len(caption) for caption in lines[row]) + 1) for row in rows]
    head = 3 * LINE_INCHES + 0.2
    height = head + sum(picture + inches for inches in text)
    figure = Figure(figsize=(width * COLUMNS, height), facecolor="white")
    figure.text(0.01, 1 - 0.1 / height, sheet.heading, va="top", weight="bold", color=INK)
    _key(figure, sheet.label_names, 1 - (0.15 + 1.5 * LINE_INCHES) / height)
    top = height - head
    for row, inches in zip(rows, text, strict=True):
        for column, (sample, caption) in enumerate(zip(sheet.samples[row], lines[row], strict=True)):
            box = (column / COLUMNS + 0.004, (top - picture) / height, 1 / COLUMNS - 0.008, picture / height)
            axes = figure.add_axes(box)
            _draw(axes, sample, sheet.frame, windows, aspect)
            colour = INK if sample.number is not None else MUTED
            figure.text(box[0], (top - picture - 0.04) / height, "\n".join(caption), va="top", fontsize=8, color=colour)
        top -= picture + inches
    return figure


def _draw(axes: Any, sample: Sample, frame: PatchFrame, windows: Sequence[tuple[float, float]], aspect: float) -> None:
    """The channels side by side, each with the outlines of the labels."""
    labels = _slice(sample.classes, frame)
    shown = [
        np.clip((_slice(channel, frame) - low) / (high - low), 0, 1)
        for channel, (low, high) in zip(sample.image[: len(windows)], windows, strict=True)
    ]
    axes.imshow(np.hstack(shown), cmap="gray", vmin=0, vmax=1, aspect=aspect, interpolation="nearest")
    present = [label for label in np.unique(labels).tolist() if label not in (0, IGNORED_CLASS)]
    for label in present:
        inside = np.pad(np.hstack([labels == label] * len(windows)), 1)
        x, y = np.arange(inside.shape[1]) - 1, np.arange(inside.shape[0]) - 1
        axes.contour(x, y, inside, levels=[0.5], colors=[_colour(label)], linewidths=1.2)
    axes.set_xlim(-0.5, labels.shape[1] * len(windows) - 0.5)
    axes.set_ylim(labels.shape[0] - 0.5, -0.5)
    axes.set_axis_off()


def _key(figure: Figure, names: Sequence[str], height: float) -> None:
    handles = [mpl.lines.Line2D([], [], color=_colour(label), label=name) for label, name in enumerate(names, start=1)]
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0, height), ncols=len(names), frameon=False)


def _colour(label: int) -> str:
    return OUTLINES[(label - 1) % len(OUTLINES)]


def _caption(sample: Sample, names: Sequence[str]) -> list[str]:
    if sample.number is None:
        return ["as it was cut"]
    return [f"sample {sample.number}", *words_of(sample.change, names)]


def _window(channel: NDArray[np.float32]) -> tuple[float, float]:
    """Values that are shown as black and as white."""
    low, high = np.percentile(channel, [0.5, 99.5])
    return float(low), float(high if high > low else low + 1)


def _plane(frame: PatchFrame) -> tuple[int | None, int, int]:
    """The axis that is cut, and those that go to the right and up: across thick slices, or else from head to foot."""
    if len(frame.size) == 2:
        return None, 0, 1
    cut = 2 if frame.thick is None else frame.thick
    right, up = (axis for axis in range(3) if axis != cut)
    return cut, right, up


def _slice(values: NDArray[Any], frame: PatchFrame) -> NDArray[Any]:
    """(*S) -> rows and columns of the picture of its middle slice."""
    cut, _, _ = _plane(frame)
    plane = values if cut is None else values.take(values.shape[cut] // 2, axis=cut)
    return plane.T[::-1, ::-1]


def _aspect(frame: PatchFrame) -> float:
    _, right, up = _plane(frame)
    return frame.sides_mm[up] / frame.sides_mm[right]
