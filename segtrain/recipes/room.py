"""Room on the disk and in memory, asked for before hours are spent: exit code 4 with the numbers, at the start.

What is asked for is what is known then. Prepared cases are as large as the grids in their facts say, checkpoints as the
network and its optimiser. Of a step's memory only what it cannot do without is counted, on devices that share the
memory of the machine: there the system ends what takes too much without a word, where a GPU raises an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from segtrain.config.load import Loaded
from segtrain.core.case import Case
from segtrain.core.errors import OutOfMemory, Problem, ResourceError, raise_all
from segtrain.core.grid import Grid
from segtrain.core.machine import available_ram_bytes, free_disk_bytes
from segtrain.core.plan import Plan
from segtrain.data.files.extent import grid_in_header
from segtrain.data.plan.fingerprint import samples_per_case
from segtrain.data.prepare import work_grid
from segtrain.data.splits import Fold
from segtrain.models.network import Network
from segtrain.recipes.assemble import Answer, make_model
from segtrain.recipes.one_case import Fingerprinting, Preparation, recall_fingerprint, recall_prepared
from segtrain.recipes.run_folder import RunFolder
from segtrain.training.settings import TrainingSettings

KEPT_CHECKPOINTS = 2
"""Of a fit: `last` and `best`."""
CHECKPOINTS = KEPT_CHECKPOINTS + 1
"""While one is being written."""
VOXELS_A_MASK_BYTE = 50
"""Of a compressed mask; those of real organs have some hundreds."""
PROBABILITY_BYTES = 2
"""Of an output at a voxel (`data.probabilities`)."""


@dataclass(frozen=True)
class Need:
    """What will be written somewhere."""

    what: str
    place: Path
    size_bytes: int


def require_room(needs: Iterable[Need]) -> None:
    """ResourceError with every disk on which less is free than what will be written there."""
    disks: dict[int, list[Need]] = {}
    for need in needs:
        disks.setdefault(_disk_of(need.place), []).append(need)
    raise_all(ResourceError, [problem for own in disks.values() if (problem := _shortage(own)) is not None])


def _shortage(needs: Sequence[Need]) -> Problem | None:
    """What is wrong with one disk."""
    place, wanted = needs[0].place, sum(need.size_bytes for need in needs)
    free = free_disk_bytes(place)
    if free is None or wanted <= free:
        return None
    what = f"the disk has too little room: {said(wanted)} will be written, {said(free)} are free"
    why = ", ".join(f"{need.what}: {said(need.size_bytes)}" for need in needs if need.size_bytes)
    hint = "free some space, or take another disk (--run or --out; data.store for prepared cases)"
    return Problem(what, str(place), why, hint)


def _disk_of(place: Path) -> int:
    """A number for the file system that a place lies on or will lie on."""
    near = next(p for p in (place.absolute(), *place.absolute().parents) if p.exists())
    return near.stat().st_dev


def said(size_bytes: int) -> str:
    """A number of bytes, in MiB or GiB."""
    return f"{size_bytes / 2**30:.1f} GiB" if size_bytes >= 2**30 else f"{size_bytes / 2**20:.1f} MiB"


def fit_needs(
    loaded: Loaded, folder: RunFolder, decided: tuple[Plan, Fold], answer: Answer, cases: Sequence[Case], store: Path
) -> Iterator[Need]:
    """What a fit by itself will write that is not there yet; `cases` are those of its fold."""
    plan, fold = decided
    there = sum(place.is_dir() for place in (folder.last, folder.best))
    yield cases_need(loaded, cases, plan, store)
    yield checkpoints_need(loaded, plan, answer, folder.last.parent, CHECKPOINTS - there)
    yield masks_need([case for case in cases if case.id in {*fold.validation}], folder.validation)


def cases_need(loaded: Loaded, cases: Sequence[Case], plan: Plan, store: Path) -> Need:
    """Prepared cases that are not in the store yet, by the grids of their scans.

    Where neither a header nor the facts in the store tell it, a case is taken to be as large as the others.
    """
    task, channels = loaded.config.task, loaded.config.data.channel_names
    missing = [case for case in cases if recall_prepared(Preparation(case, plan, task, store)) is None]
    facts = [Fingerprinting(case, channels, task, samples_per_case(len(cases)), store) for case in missing]
    grids = [found for job in facts if (found := _grid_of(job)) is not None]
    sizes = [math.prod(work_grid(grid, plan).shape) * (4 * len(channels) + 1) for grid in grids]
    return Need("prepared cases", store, _for_all(sizes, len(missing)))


def _grid_of(job: Fingerprinting) -> Grid | None:
    header = grid_in_header(job.case)
    facts = recall_fingerprint(job) if header is None else None
    return header if facts is None or facts.value is None else facts.value.grid


def checkpoint_bytes(model: Network, settings: TrainingSettings) -> int:
    """Tensors of a checkpoint after the first step: weights, what the optimiser keeps, and the model of an average."""
    weights: int = sum(t.numel() * t.element_size() for t in model.state_dict().values())
    own = sum(p.numel() * p.element_size() for p in model.parameters())
    kept = 2 if settings.optimiser == "adamw" else int(settings.momentum > 0)
    return weights + own * (kept + int(settings.ema_decay is not None))


def checkpoints_need(loaded: Loaded, plan: Plan, answer: Answer, place: Path, count: int) -> Need:
    """So many checkpoints of the network that a config describes. Raises as `make_model`."""
    training = loaded.config.training
    model = make_model(plan, loaded.config.model, answer, training.seed)
    return Need(f"{count} checkpoints", place, count * checkpoint_bytes(model, training))


def masks_need(cases: Sequence[Case], out: Path, probabilities: int = 0) -> Need:
    """Masks of scans, and the probabilities of so many outputs, by the headers of the scans that have one."""
    voxels = [math.prod(grid.shape) for case in cases if (grid := grid_in_header(case)) is not None]
    each = [count // VOXELS_A_MASK_BYTE + PROBABILITY_BYTES * probabilities * count for count in voxels]
    what = "masks and probabilities" if probabilities else "masks"
    return Need(what, out, _for_all(each, len(cases)))


def _for_all(sizes: Sequence[int], count: int) -> int:
    """Of `count` things, some of whose sizes are known."""
    return sum(sizes) * count // len(sizes) if sizes else 0


def require_memory(plan: Plan, settings: TrainingSettings, device: torch.device, at_once: int = 1) -> None:
    """OutOfMemory where the values that a step keeps for its gradient alone are more than the machine has left.

    `at_once` trainings are done at the same time.
    """
    free = None if device.type == "cuda" else available_ram_bytes()
    least = at_once * step_bytes(plan) * -(-plan.batch_size // settings.accumulation)
    if free is not None and least > free:
        steps = "a training step takes" if at_once == 1 else f"training steps of {at_once} runs at once take"
        what = f"{steps} at least {said(least)} of memory, {said(free)} are free"
        why = f"patch {'x'.join(map(str, plan.patch_size))}, batch {plan.batch_size}"
        hint = "take fewer --workers, " if at_once > 1 else ""
        hint += "set a smaller model.patch_size or training.batch_size, or training.accumulation"
        raise OutOfMemory(Problem(what, str(device), why, hint))


def step_bytes(plan: Plan) -> int:
    """What one patch leaves for its gradient: at least the result of each convolution, in float32."""
    voxels, values = math.prod(plan.patch_size), 0
    for level, width in enumerate(plan.widths):
        if level:
            voxels //= math.prod(plan.strides[level - 1])
        up = plan.decoder_units[level] if level < len(plan.decoder_units) else 0
        values += voxels * width * (plan.convolutions[level] + up)
    return 4 * values
