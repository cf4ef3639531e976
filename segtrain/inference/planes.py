"""Blended logits of one network, plane after plane, so that those of a whole scan never lie in memory.

Windows are visited in the order of one axis. Where they begin and end cuts that axis into segments: a window covers a
segment whole or not at all. A segment's logits are made when the first window reaches it, divided by the sum of the
weights when the last one has left it, and given away when they were read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segtrain.core.memory import is_memory_error
from segtrain.inference.network import WindowNetwork
from segtrain.inference.sliding_window import Place, gaussian_window, padded, window_starts

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""First voxel along each axis, and the one after the last."""

CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class WindowedScan:
    """A prepared scan, and the network that reads it window by window."""

    network: WindowNetwork
    image: NDArray[np.float32]
    """(channels, X, Y, Z)"""
    window: tuple[int, int, int]
    overlap: float
    batch_size: int


@dataclass(frozen=True)
class Store:
    """Where the logits are blended, and in which precision."""

    device: torch.device
    dtype: torch.dtype


class _Segment:
    """Planes first..stop-1: the sums of their weighted logits and of the weights, then the logits."""

    def __init__(self, first: int, stop: int) -> None:
        self.first, self.stop = first, stop
        self.logits: Tensor | None = None
        self.weights: Tensor | None = None

    def finish(self) -> None:
        """Divide, once no window is left that reaches here."""
        if self.logits is not None and self.weights is not None:
            self.logits.div_(self.weights)
            self.weights = None

    def cut(self, first: int) -> None:
        """Give the planes before `first` back to the system."""
        if first > self.first and self.logits is not None:
            self.logits = self.logits[:, first - self.first :].clone()
            self.weights = None if self.weights is None else self.weights[first - self.first :].clone()
            self.first = first

    def move(self, device: torch.device) -> None:
        """Take the logits to another device."""
        self.logits = None if self.logits is None else self.logits.to(device)
        self.weights = None if self.weights is None else self.weights.to(device)


class LogitPlanes:
    """The logits of a box of a scan as planes along an axis, which are asked for in ascending order.

    Where the memory of a device fails, what was blended moves to the machine's, and the work goes on: `fell_back`.
    """

    def __init__(self, scan: WindowedScan, box: Box, along: int, store: Store) -> None:
        self.fell_back = False
        self._scan, self._box, self._along, self._store = scan, box, along, store
        self._order = (along, *(axis for axis in range(3) if axis != along))
        self._image, self._before = padded(scan.image, scan.window)
        self._weight = torch.from_numpy(gaussian_window(scan.window)).to(scan.network.device)
        starts = self._starts()
        self._batches = self._batched(starts)
        self._next: list[Place] | None = next(self._batches, None)
        ends = {self._inside(start)[along] for start in starts}
        self._segments = [_Segment(*pair) for pair in pairwise(sorted({edge for pair in ends for edge in pair}))]

    def planes(self, first: int, stop: int) -> Tensor:
        """Logits (outputs, X, Y, Z) of the box, of which axis `along` holds only planes first..stop-1.

        Planes before `first` cannot be asked for again. It may be a view: not to be written to.
        """
        self._segments = [segment for segment in self._segments if segment.stop > first]
        if self._next is not None and self._first_open() < stop:
            for segment in self._segments:
                segment.cut(first)
        while self._next is not None and self._first_open() < stop:
            self._visit(self._next)
        parts = [
            segment.logits[:, max(0, first - segment.first) : stop - segment.first]
            for segment in self._segments
            if segment.first < stop and segment.logits is not None
        ]
        found = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        return found.permute(0, *(1 + self._order.index(axis) for axis in range(3)))

    def _first_open(self) -> int:
        """The first plane that a window still has to reach."""
        if self._next is None:
            return self._box[self._along][1]
        return self._next[0][self._along] - self._before[self._along]

    def _starts(self) -> list[Place]:
        """First voxels, in the padded scan, of the windows that reach into the box."""
        scan = self._scan
        starts = window_starts(self._image.shape[1:], scan.window, scan.overlap, along=self._along)
        return [start for start in starts if all(low < high for low, high in self._inside(start))]

    def _batched(self, starts: list[Place]) -> Iterator[list[Place]]:
        """Windows that are read at once: never of two layers, so that no more planes are open than one layer has."""
        for _, layer in groupby(starts, key=lambda start: start[self._along]):
            windows = list(layer)
            for i in range(0, len(windows), self._scan.batch_size):
                yield windows[i : i + self._scan.batch_size]

    def _inside(self, start: Place) -> Box:
        """The part of the box that a window covers, in voxels of the scan."""
        x, y, z = (
            (max(low, begin - before), min(high, begin - before + size))
            for begin, before, size, (low, high) in zip(start, self._before, self._scan.window, self._box, strict=True)
        )
        return x, y, z

    @torch.inference_mode()
    def _visit(self, starts: list[Place]) -> None:
        """Read some windows, add their answers, and finish what no other window reaches."""
        size = self._scan.window
        windows = [
            self._image[(slice(None), *(slice(s, s + n) for s, n in zip(start, size, strict=True)))] for start in starts
        ]
        for start, answer in zip(starts, self._answers(windows), strict=True):
            self._add(start, answer)
        self._next = next(self._batches, None)
        open_from = self._first_open()
        for segment in self._segments:
            if segment.stop <= open_from:
                segment.finish()

    def _answers(self, windows: list[NDArray[np.float32]]) -> list[Tensor]:
        try:
            return self._scan.network.answers(windows)
        except (MemoryError, RuntimeError) as error:
            if not is_memory_error(error) or self._store.device == CPU:
                raise
        self._leave_device()
        return self._scan.network.answers(windows)

    def _add(self, start: Place, answer: Tensor) -> None:
        """Weigh the answer to a window and add it to every segment that the window covers."""
        inside = self._inside(start)
        cut = tuple(
            slice(low - begin + before, high - begin + before)
            for (low, high), begin, before in zip(inside, start, self._before, strict=True)
        )
        logits = answer[(slice(None), *cut)].permute(0, *(1 + axis for axis in self._order))
        weight = self._weight[cut].permute(self._order)
        first, stop = inside[self._along]
        for segment in self._segments:
            if first < segment.stop and segment.first < stop:
                part = slice(max(segment.first, first) - first, segment.stop - first)
                self._add_to(segment, inside, (logits[:, part], weight[part]))

    def _add_to(self, segment: _Segment, inside: Box, answer: tuple[Tensor, Tensor]) -> None:
        """Where memory fails nothing was added yet, so that it can be done again elsewhere."""
        try:
            totals, part = self._opened(segment, answer)
        except (MemoryError, RuntimeError) as error:
            if not is_memory_error(error) or self._store.device == CPU:
                raise
            self._leave_device()
            totals, part = self._opened(segment, answer)
        place = tuple(
            slice(inside[axis][0] - self._box[axis][0], inside[axis][1] - self._box[axis][0])
            for axis in self._order[1:]
        )
        logits, weights = totals[0][(slice(None), slice(None), *place)], totals[1][(slice(None), *place)]
        if part is None:
            logits.addcmul_(*answer)
        else:
            logits += part
        weights += answer[1].to(weights.device)

    def _opened(self, segment: _Segment, answer: tuple[Tensor, Tensor]) -> tuple[tuple[Tensor, Tensor], Tensor | None]:
        """The sums of a segment, 0 where no window reached it before, and what is to be added to its logits.

        None where the answer can be added as it is, without a copy.
        """
        logits, weight = answer
        part = None
        if (logits.device, logits.dtype) != (self._store.device, self._store.dtype):
            part = (logits * weight).to(self._store.dtype).to(self._store.device)
        if segment.logits is None or segment.weights is None:
            sides = [self._box[axis][1] - self._box[axis][0] for axis in self._order[1:]]
            shape = segment.stop - segment.first, *sides
            segment.logits = torch.zeros(len(logits), *shape, dtype=self._store.dtype, device=self._store.device)
            segment.weights = torch.zeros(shape, dtype=torch.float32, device=self._store.device)
        return (segment.logits, segment.weights), part

    def _leave_device(self) -> None:
        """Blend in the machine's memory from here on."""
        for segment in self._segments:
            segment.move(CPU)
        if self._store.device.type == "cuda":
            torch.cuda.empty_cache()
        elif self._store.device.type == "mps":
            torch.mps.empty_cache()
        self._store = Store(CPU, self._store.dtype)
        self.fell_back = True
