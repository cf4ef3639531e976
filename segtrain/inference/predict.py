"""A scan and a network, or several -> a label map on the scan's own grid."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from segtrain.core.grid import Grid
from segtrain.core.memory import memory_errors
from segtrain.core.plan import Plan
from segtrain.core.resample import axis_maps
from segtrain.core.task import Activation, Task
from segtrain.core.volume import LabelMap, Volume
from segtrain.data.prepare import prepare
from segtrain.inference.answer import classes_of, probabilities_of
from segtrain.inference.blending import BlendedScan, Reader, Slices
from segtrain.inference.blocks import Extent
from segtrain.inference.network import WindowNetwork
from segtrain.inference.place import MIB, Placement, blended_dtype, placed
from segtrain.inference.planes import WindowedScan
from segtrain.inference.postprocess import postprocessed
from segtrain.inference.settings import InferenceSettings

Sink = Callable[[Slices, NDArray[np.float32]], None]
"""Takes the probabilities (outputs, *box) of a box of the scan; every voxel comes once."""


@dataclass(frozen=True, eq=False)
class Predictor:
    """A trained network with everything that a scan needs to be read by it."""

    model: nn.Module
    plan: Plan
    task: Task
    activation: Activation
    settings: InferenceSettings
    device: torch.device
    weights_sha256: str = ""
    """Of the file that its weights were read from; empty where they come from no file."""

    def classes(self, image: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Class indices (X, Y, Z) of a prepared scan (channels, X, Y, Z), on its own grid; no post-processing."""
        x, y, z = image.shape[1:]
        grid = Grid((x, y, z), np.eye(4))
        reader = self.reader(image, grid, grid)
        found = np.empty(grid.shape, dtype=np.uint8)
        with _told(reader):
            for box, logits in BlendedScan([reader], _placed([reader], self)):
                found[box] = classes_of(logits, self.task, self.activation)
        return found

    def reader(self, image: NDArray[np.float32], grid: Grid, native: Grid) -> Reader:
        """The network on a prepared scan that lies on `grid`, and whose logits are wanted on `native`."""
        plan, settings = self.plan, self.settings
        network = WindowNetwork(self.model, self.device, plan.slice_axis, settings.mirror_axes)
        extent = Extent(
            maps=axis_maps(grid, native),
            shape=grid.shape,
            window=plan.patch_size,
            overlap=settings.overlap,
            outputs=len(self.task.output_names(self.activation)),
            itemsize=blended_dtype(self.device).itemsize,
        )
        windows = settings.batch_size
        if self.device.type == "cpu":  # where answers lie in the same memory as what is blended
            windows = min(windows, max(1, settings.memory_mib * MIB // 4 // extent.answer_bytes))
        return Reader(WindowedScan(network, image, plan.patch_size, settings.overlap, windows), extent)


@dataclass(frozen=True, eq=False)
class ReadyScan:
    """A scan as each network of an ensemble sees it."""

    native: Grid
    images: tuple[NDArray[np.float32], ...]
    """(channels, X, Y, Z) for each network; networks with equal preparation share one."""
    grids: tuple[Grid, ...]


@dataclass(frozen=True, eq=False)
class Prediction:
    """A mask on the grid of its scan."""

    labels: LabelMap
    notes: tuple[str, ...]
    """What a user should know of how it came about."""


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

    @property
    def output_names(self) -> tuple[str, ...]:
        """What the probabilities stand for."""
        return self.task.output_names(self.members[0].activation)

    def prepare(self, case: str, image: Volume) -> ReadyScan:
        """Bring a scan onto the grid and scale of each network; touches no device."""
        plans = {member.plan.preparation_hash: member.plan for member in self.members}
        found = {key: prepare(case, image, None, plan, self.task) for key, plan in plans.items()}
        ready = [found[member.plan.preparation_hash] for member in self.members]
        return ReadyScan(image.grid, tuple(one.image for one in ready), tuple(one.grid for one in ready))

    def predict(self, scan: ReadyScan, sink: Sink | None = None) -> Prediction:
        """As `predicting`, all at once."""
        blocks = self.predicting(scan, sink)
        while True:
            try:
                next(blocks)
            except StopIteration as end:
                found: Prediction = end.value
                return found

    def predicting(self, scan: ReadyScan, sink: Sink | None = None) -> Generator[None, None, Prediction]:
        """Label ids on the scan's grid, post-processed; `sink` is given the probabilities, which are not.

        Block by block, so that neither logits nor probabilities of the whole scan are held; it waits after each block,
        and returns the prediction. ResourceError where memory is too small.
        """
        first = self.members[0]
        readers = [
            member.reader(image, grid, scan.native)
            for member, image, grid in zip(self.members, scan.images, scan.grids, strict=True)
        ]
        placement = _placed(readers, first)
        labels = np.empty(scan.native.shape, dtype=self.task.label_dtype)
        blended = BlendedScan(readers, placement)
        blocks = iter(blended)
        while True:
            with _told(readers[0]):
                found = next(blocks, None)
                if found is None:
                    break
                box, logits = found
                labels[box] = self.task.to_labels(classes_of(logits, self.task, first.activation))
                if sink is not None:
                    sink(box, probabilities_of(logits, first.activation))
            yield
        mask = postprocessed(LabelMap(labels, scan.native), self.task, first.settings.postprocess)
        return Prediction(mask, tuple(_notes(placement, blended)))


def _placed(readers: Sequence[Reader], first: Predictor) -> Placement:
    return placed([reader.extent for reader in readers], first.device, first.settings.memory_mib)


def _told(reader: Reader) -> AbstractContextManager[None]:
    scan, window = ("x".join(map(str, size)) for size in (reader.extent.shape, reader.extent.window))
    doing = f"predicting a scan of {scan} voxels in windows of {window}"
    hint = "set a smaller inference.batch_size, or take --device cpu on a machine with more memory"
    return memory_errors(doing, hint, where=str(reader.scan.network.device))


def _notes(placement: Placement, blended: BlendedScan) -> Sequence[str]:
    """Where the scan was predicted, if that is not all at once beside the network."""
    if blended.fell_back:
        return ["the memory of the device failed; the rest was blended in the machine's"]
    return [] if placement.note is None else [f"predicted {placement.note}"]
