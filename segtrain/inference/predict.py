"""A prepared scan and a network -> a label map on the scan's own grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from segtrain.core.plan import Plan
from segtrain.core.resample import drawn_over, resample_array, strongest
from segtrain.core.task import Activation, Task
from segtrain.core.volume import LabelMap
from segtrain.data.prepare import PreparedCase
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

    def predict(self, prepared: PreparedCase) -> LabelMap:
        """Label ids on the native grid; class by class, so that no stack of native-sized logits is held."""
        logits = self.logits(prepared.image)

        def on_native_grid(index: int) -> NDArray[np.float32]:
            moved: NDArray[np.float32] = resample_array(logits[index], prepared.grid, prepared.native)
            return moved

        native = prepared.native.shape
        if self.task.regions is None:
            classes = strongest(on_native_grid, range(len(logits)), native)
        else:
            classes = drawn_over(on_native_grid, self.task.drawn, native)
        return LabelMap(self.task.to_labels(classes), prepared.native)
