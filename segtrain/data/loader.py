"""Batches of addressed samples, prepared ahead in a thread so that the device does not wait.

The maps of the truth that a loss needs (distances, skeletons, objects) are made here too: of the patch as it was cut
and turned, by the code that the loss itself would run. So the value of the loss is the same, and the maps follow from
(seed, sample number) as the patch does: a resumed run and every loss of a sweep have the same. Maps of whole scans,
stored and cut, would be others: turning and scaling falsify a distance and tear a thin skeleton, and the border that is
nearest may lie where the network cannot see it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from segtrain.core.batch import Batch, MapMaker, Maps
from segtrain.core.plan import Plan
from segtrain.data.augment.apply import apply
from segtrain.data.augment.draw import draw
from segtrain.data.patches import PatchSampler
from segtrain.data.settings import AugmentSettings

AHEAD = 3
"""Batches that are made before they are asked for."""


def no_maps(classes: torch.Tensor) -> Maps:
    """For losses that need none."""
    del classes
    return ()


class BatchLoader:
    """Step number -> batch. Samples of step s are s * batch_size ... (s + 1) * batch_size - 1."""

    def __init__(
        self,
        sampler: PatchSampler,
        plan: Plan,
        augmentation: AugmentSettings,
        seed: int,
        make_maps: MapMaker = no_maps,
    ) -> None:
        self._sampler = sampler
        self._batch_size = plan.batch_size
        self._axes = tuple(a for a in range(3) if a != plan.slice_axis)
        self._augmentation = augmentation
        self._seed = seed
        self._make_maps = make_maps

    def batch(self, step: int) -> Batch:
        """The batch of one step, on the CPU."""
        samples = [self._sample(step * self._batch_size + i) for i in range(self._batch_size)]
        ids, images, classes = zip(*samples, strict=True)
        together = torch.stack(classes).long()
        return Batch(torch.stack(images), together, ids, self._make_maps(together))

    def batches(self, first: int, last: int) -> Generator[Batch, None, None]:
        """Batches of steps first ... last - 1, made ahead by a thread that ends with the iteration."""
        waiting: deque[Future[Batch]] = deque()
        steps = iter(range(first, last))
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="loader") as pool:
            try:
                for step in steps:
                    waiting.append(pool.submit(self.batch, step))
                    if len(waiting) > AHEAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _sample(self, index: int) -> tuple[str, torch.Tensor, torch.Tensor]:
        case, image, classes = self._sampler.cut(index)
        change = draw(self._augmentation, self._axes, self._seed, index)
        moved, labels = apply(change, torch.from_numpy(image), torch.from_numpy(classes))
        return case, moved, labels
