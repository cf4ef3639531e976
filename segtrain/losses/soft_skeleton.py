"""Soft skeleton of probability maps, by minima and maxima alone, in little memory and with a written-out backward.

Shit 2021, Alg. 1: what an opening takes away after each of a series of erosions,

    e_0 = p,   e_{j+1} = erode(e_j),   d_j = relu(e_j - dilate(e_{j+1})),   s_{j+1} = s_j + d_j - s_j d_j

Erosion is the minimum over a voxel and its face neighbours, dilation the maximum over the cube of side 3, which is
taken axis by axis. Volumes are worked through a few at a time, every step in memory that is used again: so they stay in
the cache of a CPU, and backward makes the steps once more instead of keeping them for the whole batch. Beyond the edge
and `outside` there is nothing that could be a minimum or a maximum. Ties share a gradient in equal parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

CHUNK_VALUES = {"cpu": 1 << 20, "other": 1 << 22}
"""Values of an array of a chunk, which is at least one volume; backward has 3 k + 17 such arrays."""

SLAB_VALUES = {"cpu": 1 << 18, "other": CHUNK_VALUES["other"]}
"""Values of an array in steps that need no neighbours along one axis."""


def soft_skeleton(p: Tensor, iterations: int, outside: Tensor | None = None) -> Tensor:
    """Skeleton of p (B, C, *S), both from 0 to 1; `outside` (B, *S) is true where there is no image: there it is 0.

    What is thicker than 2 `iterations` + 2 voxels has no centre line, only corners.
    """
    skeleton: Tensor = _SoftSkeleton.apply(p, iterations, outside)
    return skeleton


def grown(mask: Tensor, radius: int) -> Tensor:
    """A mask (B, C, *S) dilated `radius` times by face neighbours."""
    for _ in range(radius):
        wider = mask.clone()
        for axis in range(2, mask.ndim):
            _reach(mask, axis, wider, torch.maximum)
        mask = wider
    return mask


class _SoftSkeleton(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, p: Tensor, iterations: int, outside: Tensor | None) -> Tensor:
        ctx.save_for_backward(p, outside)
        ctx.iterations = iterations
        found = torch.zeros_like(p, memory_format=torch.contiguous_format)
        for volumes, skeletons, beyond in _chunks(p, found, outside):
            _Steps(volumes, iterations, beyond, kept=False).run(skeletons)
        return found

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, of_skeleton: Tensor) -> tuple[Tensor, None, None]:
        p, outside = ctx.saved_tensors
        gradient = of_skeleton.clone(memory_format=torch.contiguous_format)
        for volumes, gradients, beyond in _chunks(p, gradient, outside):
            steps = _Steps(volumes, ctx.iterations, beyond, kept=True)
            steps.run(torch.zeros_like(volumes))
            gradients.copy_(steps.back(gradients))
        return gradient, None, None


def _chunks(p: Tensor, result: Tensor, outside: Tensor | None) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """Some volumes (n, *S) at a time: of p, of the result (views), and what is outside in them."""
    volumes, results = p.flatten(0, 1), result.flatten(0, 1)
    samples = torch.arange(len(volumes), device=p.device) // p.shape[1]
    values = CHUNK_VALUES.get(p.device.type, CHUNK_VALUES["other"])
    length = max(1, values // volumes[0].numel())
    for start in range(0, len(volumes), length):
        some = slice(start, start + length)
        yield volumes[some], results[some], None if outside is None else outside[samples[some]]


class _Steps:
    """The series for some volumes p (n, *S); `kept`: every step stays, as `back` needs it."""

    def __init__(self, p: Tensor, iterations: int, outside: Tensor | None, *, kept: bool) -> None:
        def memory(count: int) -> list[Tensor]:
            return [torch.empty_like(p, memory_format=torch.contiguous_format) for _ in range(count)]

        self.outside = outside
        self.axes = range(1, p.ndim)
        self.steps = range(iterations + 1)
        slots = len(self.steps) if kept else 1
        self.eroded = memory(slots + 1)
        """e_j, 1 outside."""
        self.lost = memory(slots)
        """d_j, 0 outside."""
        self.before = memory(slots) if kept else []
        """s_j."""
        self.dilated = memory(len(self.axes))
        """The maximum of e_{j+1} over the first axis, over the first two, over all."""
        self.base = memory(1)[0]
        self.spare = memory(4) if kept else []
        self._set(self.eroded[0].copy_(p), 1)

    def run(self, skeleton: Tensor) -> None:
        """All steps; `skeleton`, which is 0, becomes s_{k+1}."""
        for j in self.steps:
            here, after, lost = self._slots(j)
            self._erode(here, after)
            torch.minimum(here, self._dilate(after), out=lost)
            self._set(torch.sub(here, lost, out=lost), 0)
            self._set(after, 1)
            if self.before:
                self.before[j].copy_(skeleton)
            skeleton.addcmul_(skeleton, lost, value=-1).add_(lost)

    def back(self, of_skeleton: Tensor) -> Tensor:
        """Gradient in p, given that in s_{k+1}."""
        of_found = of_skeleton.clone()
        of_lost, of_here, of_after = (torch.zeros_like(of_found) for _ in range(3))
        for j in reversed(self.steps):
            here, after, lost = self._slots(j)
            torch.gt(lost, 0, out=of_lost)
            of_lost.mul_(of_found).addcmul_(of_lost, self.before[j], value=-1)
            of_found.addcmul_(of_found, lost, value=-1)
            of_after.sub_(self._back_through_dilation(of_lost, after))
            self._set(of_after, 0)
            _share(of_after, here, after, of_here, *self.spare[:2], axes=self.axes)
            self._set(of_here.add_(of_lost), 0)
            of_here, of_after = of_after, of_here
        return of_after

    def _slots(self, j: int) -> tuple[Tensor, Tensor, Tensor]:
        """Places of e_j, e_{j+1} and d_j."""
        return self.eroded[j % len(self.eroded)], self.eroded[(j + 1) % len(self.eroded)], self.lost[j % len(self.lost)]

    def _set(self, values: Tensor, number: int) -> Tensor:
        """In place: the number wherever it is outside."""
        return values if self.outside is None else values.masked_fill_(self.outside, number)

    def _erode(self, x: Tensor, out: Tensor) -> None:
        out.copy_(x)
        for axis in self.axes:
            _reach(x, axis, out, torch.minimum)

    def _dilate(self, x: Tensor) -> Tensor:
        x = self._set(self.base.copy_(x), 0)
        for axis, wider in zip(self.axes, self.dilated, strict=True):
            _reach(x, axis, wider.copy_(x), torch.maximum)
            x = wider
        return x

    def _back_through_dilation(self, of_dilated: Tensor, x: Tensor) -> Tensor:
        """Gradient in x of its dilation."""
        self._dilate(x)
        hit, count, given, found = self.spare
        given.copy_(of_dilated)
        for axis in reversed(self.axes):
            narrower = self.dilated[axis - 2] if axis > 1 else self.base
            for slab in _slabs((given, narrower, self.dilated[axis - 1], found, hit, count), along=axis):
                _share(*slab, axes=(axis,))
            given, found = found, given
        return given


def _share(
    given: Tensor, x: Tensor, extreme: Tensor, found: Tensor, hit: Tensor, count: Tensor, *, axes: Iterable[int]
) -> None:
    """Hand a gradient of extremes to those of x that attain them, own or next along `axes`: it becomes `found`.

    `given` is used up; what `hit` and `count` hold is of no account.
    """
    torch.eq(x, extreme, out=count)
    for axis in axes:
        for near, far in OPPOSITE:
            _part(count, axis, far).add_(_attained(x, extreme, axis, near, far, hit))
    given.div_(count)
    torch.mul(given, torch.eq(x, extreme, out=hit), out=found)
    for axis in axes:
        for near, far in OPPOSITE:
            part = _attained(x, extreme, axis, near, far, hit)
            _part(found, axis, near).addcmul_(_part(given, axis, far), part)


def _slabs(arrays: Sequence[Tensor], along: int) -> Iterator[list[Tensor]]:
    """The arrays in pieces that fit the cache of a CPU core, whole in the direction of one axis."""
    across = 2 if along == 1 else 1
    size = arrays[0].shape[across]
    pieces = -(-arrays[0].numel() // SLAB_VALUES.get(arrays[0].device.type, SLAB_VALUES["other"]))
    rows = max(1, size // pieces)
    for start in range(0, size, rows):
        yield [array.narrow(across, start, min(rows, size - start)) for array in arrays]


OPPOSITE = ((0, 1), (1, 0))
"""A voxel and the one after it, and the other way round."""


def _part(x: Tensor, axis: int, first: int) -> Tensor:
    """All along the axis but the last (0) or the first (1)."""
    return x.narrow(axis, first, x.shape[axis] - 1)


def _attained(x: Tensor, extreme: Tensor, axis: int, near: int, far: int, hit: Tensor) -> Tensor:
    """1 where the neighbour in x is the extreme, in a part of `hit`."""
    return torch.eq(_part(x, axis, near), _part(extreme, axis, far), out=_part(hit, axis, far))


def _reach(x: Tensor, axis: int, extreme: Tensor, pick: Callable[..., Tensor]) -> None:
    """In place: pick from `extreme` and both neighbours in x along the axis."""
    for near, far in OPPOSITE:
        place = _part(extreme, axis, far)
        pick(place, _part(x, axis, near), out=place)
