"""How a whole scan is predicted. Torch-free."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from segtrain.core.settings import Settings

Axis = Literal[0, 1, 2]


class PostprocessSettings(Settings):
    """What is taken out of a mask before it is written; it becomes background, and never another label.

    Names are those of labels. Where there are regions they may also be regions: the labels of one are taken
    together, and a component of it goes with all its labels.
    """

    keep_largest: tuple[str, ...] = ()
    """Labels of which only the largest connected component stays."""
    min_volume_mm3: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """Label -> the volume below which a connected component of it goes."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every label that is named."""
        return (*self.keep_largest, *self.min_volume_mm3)


class InferenceSettings(Settings):
    """The sliding window, and what is done with its answer."""

    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of a window that it has in common with the next one (nnU-Net: a half)."""
    batch_size: Annotated[int, Field(ge=1)] = 2
    """Windows predicted at once."""
    mirror_axes: tuple[Axis, ...] = ()
    """Axes (R, A, S) along which windows are mirrored too, alone and together: 2^n answers are averaged, as nnU-Net
    does. For networks that were trained with mirrored patches."""
    memory_mib: Annotated[int, Field(ge=16)] = 1024
    """What the blended logits of a scan may take of the machine's memory, those of all networks of an ensemble
    together. Where it is too little for a scan, that is predicted in several blocks, with the same result; and fewer
    windows are read at once where their answers alone would take a quarter of it."""
    postprocess: PostprocessSettings = PostprocessSettings()
