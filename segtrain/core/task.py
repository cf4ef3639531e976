"""What is to be segmented: label names, their ids in the files, and how a network answers.

Files hold *label ids*, which may be sparse (0, 4, 207). Networks and losses work on *classes* 0..C-1 in the
order of the task; `to_classes` and `to_labels` are the only places that translate.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from segtrain.core.settings import Settings

Activation = Literal["softmax", "sigmoid"]
"""softmax: one exclusive output a class. sigmoid: one independent output a foreground class."""

LabelId = Annotated[int, Field(ge=-(2**31), lt=2**31)]
"""Masks are written with at most 32 bits."""

IGNORED_CLASS = 255
"""The class that voxels of the ignore label become."""


class Task(Settings):
    """The labels of a data set."""

    labels: dict[str, LabelId] = Field(min_length=2)
    """Name -> id in the mask files; the one with id 0 is the background."""
    ignore: LabelId | None = None
    """Id of voxels that count neither in the loss nor in the scores."""
    regions: None = None
    """Overlapping unions of labels; null trains exclusive labels."""

    @model_validator(mode="after")
    def _labels_are_distinct(self) -> Self:
        ids = list(self.labels.values())
        if 0 not in ids:
            raise ValueError("one label must have id 0: the background")
        if len(set(ids)) < len(ids):
            raise ValueError("two labels share one id")
        if self.ignore is not None and self.ignore in ids:
            raise ValueError(f"ignore: {self.ignore} is also the id of a label")
        if len(ids) >= IGNORED_CLASS:
            raise ValueError(f"at most {IGNORED_CLASS - 1} labels")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Class names by class index, background first, then by id."""
        return tuple(sorted(self.labels, key=lambda name: (self.labels[name] != 0, self.labels[name])))

    @property
    def foreground(self) -> tuple[str, ...]:
        """Class names without the background."""
        return self.names[1:]

    @property
    def ids(self) -> tuple[int, ...]:
        """Label ids by class index."""
        return tuple(self.labels[name] for name in self.names)

    def output_names(self, activation: Activation) -> tuple[str, ...]:
        """What the channels of the network's last layer stand for."""
        return self.names if activation == "softmax" else self.foreground

    def unknown_ids(self, labels: NDArray[Any]) -> list[int]:
        """Ids that occur in a mask and are neither a label nor the ignore label."""
        known = {*self.ids, *([] if self.ignore is None else [self.ignore])}
        return sorted({int(i) for i in np.unique(labels)} - known)

    def to_classes(self, labels: NDArray[Any]) -> NDArray[np.uint8]:
        """Label ids -> class indices, uint8; the ignore label becomes `IGNORED_CLASS`."""
        classes = np.zeros(labels.shape, dtype=np.uint8)
        for index, label in enumerate(self.ids):
            if index:
                classes[labels == label] = index
        if self.ignore is not None:
            classes[labels == self.ignore] = IGNORED_CLASS
        return classes

    def to_labels(self, classes: NDArray[Any]) -> NDArray[np.int32]:
        """Class indices 0..C-1 -> label ids, int32."""
        found: NDArray[np.int32] = np.asarray(self.ids, dtype=np.int32)[classes]
        return found
