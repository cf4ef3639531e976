"""What is to be segmented: label names, their ids in the files, and how a network answers.

Files hold *label ids*, which may be sparse (0, 4, 207). Networks and losses work on *classes* 0..C-1 in the
order of the task; `to_classes` and `to_labels` are the only places that translate.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from segtrain.core.codes import UNKNOWN, Codes
from segtrain.core.settings import Settings

Activation = Literal["softmax", "sigmoid"]
"""softmax: one exclusive output a class. sigmoid: one independent output a structure."""

Overlap = Literal["refuse", "later"]
"""Of a voxel that two labels claim."""

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
    regions: dict[str, tuple[str, ...]] | None = Field(default=None, min_length=1)
    """Name -> the labels in it, from the largest to the smallest: {whole: [edema, core], core: [core]}. They may
    overlap, are trained as independent sigmoids, and are what is scored; null trains exclusive labels."""

    overlap: Overlap = "refuse"
    """Masks that are drawn structure by structure (DICOM SEG, RTSTRUCT, a folder with a file a structure) may claim a
    voxel twice. refuse: such a mask is an error that counts the voxels. later: the label with the higher id has the
    voxel, as in TotalSegmentator's own training, and a note counts them. Regions overlap on purpose: see `regions`."""

    partial: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Case id, or a pattern as `msd09_*` -> the labels that were drawn there, where not all were: the others may be
    there, and are neither trained as absent nor scored. The first that matches counts; other cases have all labels."""

    codes: dict[str, Codes] = Field(default_factory=dict)
    """Label -> what it is in the terms of a coding scheme, for masks that are written as DICOM SEG:
    {liver: {type: {value: 10200004, meaning: Liver}}}. The network does not depend on it."""

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

    @model_validator(mode="after")
    def _regions_can_be_drawn(self) -> Self:
        for name, labels in (self.regions or {}).items():
            unknown = [label for label in labels if label not in self.labels or self.labels[label] == 0]
            if unknown:
                raise ValueError(f"regions.{name}: {unknown[0]!r} is no foreground label")
            drawn = self._drawn_by(name)
            if len(drawn) != 1:
                held = f"it has {', '.join(drawn)}" if drawn else "it has none"
                raise ValueError(
                    f"regions.{name} must have exactly one label that no later region has ({held}): a mask is drawn "
                    "region over region, so list them from the largest to the smallest"
                )
        left_out = [label for label in self.names[1:] if label not in self._in_regions]
        if self.regions is not None and left_out:
            raise ValueError(f"regions: label {left_out[0]!r} is in none of them")
        return self

    @model_validator(mode="after")
    def _partial_names_labels(self) -> Self:
        for pattern, labels in self.partial.items():
            unknown = [label for label in labels if label not in self.labels]
            if unknown:
                raise ValueError(f"partial.{pattern}: {unknown[0]!r} is no label")
        return self

    @model_validator(mode="after")
    def _codes_name_labels(self) -> Self:
        unknown = [label for label in self.codes if label not in self.labels or self.labels[label] == 0]
        if unknown:
            raise ValueError(f"codes.{unknown[0]}: {unknown[0]!r} is no foreground label")
        return self

    def _drawn_by(self, region: str) -> list[str]:
        regions = list((self.regions or {}).items())
        place = [name for name, _ in regions].index(region)
        later = {label for _, labels in regions[place + 1 :] for label in labels}
        return [label for label in regions[place][1] if label not in later]

    @property
    def _in_regions(self) -> set[str]:
        return {label for labels in (self.regions or {}).values() for label in labels}

    @property
    def names(self) -> tuple[str, ...]:
        """Class names by class index, background first, then by id."""
        return tuple(sorted(self.labels, key=lambda name: (self.labels[name] != 0, self.labels[name])))

    @property
    def structures(self) -> dict[str, tuple[int, ...]]:
        """What is scored, and has a sigmoid each -> its class indices: the regions, or else each foreground class."""
        if self.regions is None:
            return {name: (index,) for index, name in enumerate(self.names) if index}
        return {name: tuple(self.names.index(label) for label in labels) for name, labels in self.regions.items()}

    @property
    def foreground(self) -> tuple[str, ...]:
        """Names of the structures."""
        return tuple(self.structures)

    @property
    def drawn(self) -> tuple[int, ...]:
        """The class that each structure becomes in a mask that is drawn structure over structure, in their order."""
        if self.regions is None:
            return tuple(range(1, len(self.names)))
        return tuple(self.names.index(self._drawn_by(name)[0]) for name in self.regions)

    @property
    def ids(self) -> tuple[int, ...]:
        """Label ids by class index."""
        return tuple(self.labels[name] for name in self.names)

    def hidden_in(self, case: str) -> tuple[str, ...]:
        """Structures that the mask of a case cannot tell, because not all of their labels were drawn."""
        hidden = self.hidden_labels_in(case)
        return tuple(name for name, own in self.structures.items() if any(self.names[index] in hidden for index in own))

    def hidden_labels_in(self, case: str) -> tuple[str, ...]:
        """Foreground labels that were not drawn in a case."""
        drawn = next((labels for pattern, labels in self.partial.items() if fnmatchcase(case, pattern)), self.names)
        return tuple(label for label in self.names[1:] if label not in drawn)

    def output_names(self, activation: Activation) -> tuple[str, ...]:
        """What the channels of the network's last layer stand for."""
        return self.names if activation == "softmax" else self.foreground

    def codes_of(self, label: str) -> Codes:
        """What a label is; some tissue where nobody has said."""
        return self.codes.get(label, UNKNOWN)

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

    def to_labels(self, classes: NDArray[Any]) -> NDArray[np.integer[Any]]:
        """Class indices 0..C-1 -> label ids, in the smallest of uint8, uint16 and int32 that holds those of a task."""
        found: NDArray[np.integer[Any]] = np.asarray(self.ids, dtype=self.label_dtype)[classes]
        return found

    @property
    def label_dtype(self) -> type[np.integer[Any]]:
        """What masks of this task are made of."""
        fitting = (kind for kind in (np.uint8, np.uint16) if min(self.ids) >= 0 and max(self.ids) <= np.iinfo(kind).max)
        return next(fitting, np.int32)
