"""Networks and a scan -> logits on the scan's own grid, block by block; all networks keep step with each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from segtrain.core.resample import AxisMap
from segtrain.inference.blocks import Extent, Range, chunks
from segtrain.inference.place import Placement
from segtrain.inference.planes import Box, LogitPlanes, WindowedScan
from segtrain.inference.regrid import regrid

Slices = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Reader:
    """One network on one scan."""

    scan: WindowedScan
    extent: Extent


class BlendedScan:
    """The mean of the logits of all networks, on the grid of the scan. To be gone through once."""

    def __init__(self, readers: Sequence[Reader], placement: Placement) -> None:
        self.fell_back = False
        """Whether the memory of a device failed, and the rest was blended in the machine's."""
        self._readers, self._placement = readers, placement

    def __iter__(self) -> Iterator[tuple[Slices, Tensor]]:
        """Boxes of the scan, and their logits (outputs, *box), float32; every voxel once.

        What fails for lack of memory is raised as the allocator raised it.
        """
        blocks, extents = self._placement.blocks, [reader.extent for reader in self._readers]
        for box in blocks.boxes:
            streams = [
                LogitPlanes(reader.scan, _needed(reader.extent, box), self._axis(reader), self._placement.store)
                for reader in self._readers
            ]
            for chunk in chunks(box, extents, blocks.along):
                mean = self._mean(streams, box, chunk)
                self.fell_back |= any(stream.fell_back for stream in streams)
                yield (slice(*chunk[0]), slice(*chunk[1]), slice(*chunk[2])), mean

    def _axis(self, reader: Reader) -> int:
        """The axis of a network's grid along which its planes are asked for."""
        return reader.extent.maps[self._placement.blocks.along].axis

    def _mean(self, streams: Sequence[LogitPlanes], box: tuple[Range, ...], chunk: tuple[Range, ...]) -> Tensor:
        total: Tensor | None = None
        for reader, stream in zip(self._readers, streams, strict=True):
            part = self._part(reader, stream, box, chunk)
            total = part if total is None else total + part.to(total.device)
        if total is None:
            raise ValueError("an ensemble without a network")
        return total / len(streams) if len(streams) > 1 else total

    def _part(self, reader: Reader, stream: LogitPlanes, box: tuple[Range, ...], chunk: tuple[Range, ...]) -> Tensor:
        """Logits of one network on a chunk of the scan."""
        along = self._placement.blocks.along
        parts = [axis_map.part(*found) for axis_map, found in zip(reader.extent.maps, chunk, strict=True)]
        first, stop = parts[along].span
        needed = _needed(reader.extent, box)
        begins = [first if axis == along else needed[part.axis][0] for axis, part in enumerate(parts)]
        maps = [_counted_from(begin, part) for begin, part in zip(begins, parts, strict=True)]
        return regrid(stream.planes(first, stop), maps)


def _needed(extent: Extent, box: tuple[Range, ...]) -> Box:
    """The box of a network's grid that a box of the scan is made from."""
    spans: dict[int, Range] = {
        axis_map.axis: axis_map.part(*found).span for axis_map, found in zip(extent.maps, box, strict=True)
    }
    return spans[0], spans[1], spans[2]


def _counted_from(first: int, axis_map: AxisMap) -> AxisMap:
    return replace(axis_map, index=axis_map.index - first)
