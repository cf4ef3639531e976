"""A scan and a network, or several -> a label map on the scan's own grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from segtrain.core.grid import Grid
from segtrain.core.plan import Plan
from segtrain.core.resample import drawn_over, resample_array, strongest
from segtrain.core.task import Activation, Task
from segtrain.core.volume import LabelMap, Volume
from segtrain.data.prepare import prepare
from segtrain.inference.settings import InferenceSettings
from segtrain.inference.sliding_window import sliding_logits


@dataclass(frozen=True, eq=False)
class Predictor:
    """A trained network with everything that a scan needs to be read by it."""

    model: nn.Module
    plan: Plan
    task: Task
    activation: Activation
    settings: InferenceSettings
    device: torch.device

    def logits(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (C, X, Y, Z) on the work grid: of each class, background first, or of each region.

        Independent sigmoids have no background output: its logit is 0, so that the strongest foreground class
        wins where its probability exceeds one half.
        """
        found = sliding_logits(self.model, image, self.plan, self.settings, self.device)
        if self.activation == "sigmoid" and self.task.regions is None:
            return np.concatenate([np.zeros_like(found[:1]), found])
        return found

    def classes(self, image: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Class indices (X, Y, Z) on the work grid."""
        logits = self.logits(image)
        if self.task.regions is None:
            return np.asarray(logits.argmax(axis=0), dtype=np.uint8)
        return drawn_over(logits.__getitem__, self.task.drawn, logits.shape[1:]).astype(np.uint8)

    def read(self, case: str, image: Volume) -> Reading:
        """What the network makes of a scan."""
        prepared = prepare(case, image, None, self.plan, self.task)
        return Reading(self.logits(prepared.image), prepared.grid, prepared.native)


@dataclass(frozen=True, eq=False)
class Reading:
    """Logits (C, X, Y, Z) on the grid on which a network works, and the grid of the scan."""

    logits: NDArray[np.float32]
    grid: Grid
    native: Grid

    def on_native_grid(self, index: int) -> NDArray[np.float32]:
        """Logits (X, Y, Z) of one output, on the grid of the scan."""
        moved: NDArray[np.float32] = resample_array(self.logits[index], self.grid, self.native)
        return moved


@dataclass(frozen=True, eq=False)
class Ensemble:
    """One network, or several of the same task whose logits are averaged, as nnU-Net does with its folds.

    Each reads the scan as its own plan says; they meet on the scan's own grid.
    """

    members: tuple[Predictor, ...]

    @property
    def task(self) -> Task:
        """What is segmented."""
        return self.members[0].task

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the image channels."""
        return self.members[0].plan.channels

    def predict(self, case: str, image: Volume) -> LabelMap:
        """Label ids on the scan's grid; output by output, so that no stack of logits of that size is held."""
        readings = [member.read(case, image) for member in self.members]

        def mean(index: int) -> NDArray[np.float32]:
            first, *others = readings
            total = first.on_native_grid(index)
            for reading in others:  # two volumes at a time, however many networks
                total = total + reading.on_native_grid(index)
            return total / np.float32(len(readings)) if others else total

        native = readings[0].native
        if self.task.regions is None:
            classes = strongest(mean, range(len(readings[0].logits)), native.shape)
        else:
            classes = drawn_over(mean, self.task.drawn, native.shape)
        return LabelMap(self.task.to_labels(classes), native)
