"""Batches of addressed samples, made ahead in a thread so that the device does not wait.

Patches are cut on the CPU; on CUDA they go to the device as they are, and are changed there, on a stream beside that of
the training. Elsewhere the CPU changes them.

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
from contextlib import closing

import torch

from segtrain.core.batch import Batch, MapMaker, moved
from segtrain.core.memory import memory_errors
from segtrain.core.plan import Plan
from segtrain.data.augment.apply import apply
from segtrain.data.augment.draw import draw
from segtrain.data.augment.frame import frame_of
from segtrain.data.augment.motion import margin_of
from segtrain.data.patches import PatchSampler
from segtrain.data.settings import AugmentSettings

CPU = torch.device("cpu")
AHEAD = 3
"""Batches that are made before they are asked for."""


class BatchLoader:
    """Step number -> batch. Samples of step s are s * batch_size ... (s + 1) * batch_size - 1.

    One of several ranks makes those at its `places` of that batch; the batch still names the cases of all.
    """

    def __init__(
        self,
        sampler: PatchSampler,
        plan: Plan,
        augmentation: AugmentSettings,
        seed: int,
        make_maps: MapMaker | None = None,
        device: torch.device = CPU,
        places: range | None = None,
    ) -> None:
        self._sampler = sampler
        self._batch_size = plan.batch_size
        self._places = range(plan.batch_size) if places is None else places
        self._frame = frame_of(plan)
        self._augmentation = augmentation
        self._seed = seed
        self._make_maps = make_maps
        self._device = device if device.type == "cuda" else CPU
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    @property
    def changed_share(self) -> float:
        """Of the patches that may change."""
        return 1.0 if self._augmentation.share is None else self._augmentation.share

    def batch(self, step: int) -> Batch:
        """The batch of one step."""
        with closing(self.batches(step, step + 1)) as batches:
            return next(batches)

    def batches(self, first: int, last: int) -> Generator[Batch, None, None]:
        """Batches of steps first ... last - 1, made ahead by a thread that ends with the iteration.

        Raises ResourceError where memory is too small.
        """
        waiting: deque[Future[Batch]] = deque()
        steps = iter(range(first, last))
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="loader") as pool:
            try:
                _leave_the_cores(pool)
                for step in steps:
                    waiting.append(pool.submit(self._made, step))
                    if len(waiting) > AHEAD:
                        yield _handed_over(waiting.popleft().result())
                while waiting:
                    yield _handed_over(waiting.popleft().result())
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _made(self, step: int) -> Batch:
        """The batch in the loader's thread, whole when this returns."""
        hint = "set a smaller model.patch_size or training.batch_size"
        with memory_errors("making a batch ahead", hint, where=str(self._device)):
            if self._stream is None:
                return self._make(step)
            with torch.cuda.stream(self._stream):
                batch = self._make(step)
                self._stream.synchronize()
            return batch

    def _make(self, step: int) -> Batch:
        all_samples = range(step * self._batch_size, (step + 1) * self._batch_size)
        samples = [all_samples[place] for place in self._places]
        changes = [draw(self._augmentation, self._frame, self._seed, index) for index in samples]
        margins = [margin_of(change.motion, self._frame) for change in changes]
        patches = [self._sampler.cut_wider(*sample) for sample in zip(samples, margins, strict=True)]
        images, classes = apply(changes, patches, self._frame, self._device)
        cases = tuple(self._sampler.case_of(index).case for index in all_samples)
        own = [cases[place] for place in self._places]
        maps = () if self._make_maps is None else self._make_maps(classes.cpu().long(), own)
        return Batch(images, classes.long(), cases, moved(maps, self._device))


def _leave_the_cores(pool: ThreadPoolExecutor) -> None:
    """One core for the loader: a second team of threads would only take turns with the one that trains.

    It also makes the loader's sums, and so a sample, the same whatever number of cores a machine has.
    """
    threads = torch.get_num_threads()
    pool.submit(torch.set_num_threads, 1).result()
    torch.set_num_threads(threads)  # threads that run keep their number, those that start later take the last one set


def _handed_over(batch: Batch) -> Batch:
    """The batch, for the stream of the thread that asks: its memory is not used again before that is done with it."""
    for tensor in (batch.images, batch.classes, *(values for stage in batch.maps for values in stage.values())):
        if tensor.is_cuda:
            tensor.record_stream(torch.cuda.current_stream(tensor.device))
    return batch
