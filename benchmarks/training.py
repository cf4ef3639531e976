"""Pace of training: `fit` with loading and augmentation against a bare loop, and against nnU-Net's trainer."""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import torch
from torch import nn

from benchmarks.commands import ROOT, real_data, table
from segtrain.config.load import load_config
from segtrain.core.batch import Batch
from segtrain.recipes.fitting.job import Job
from segtrain.recipes.fitting.set_up import set_up
from segtrain.recipes.fitting.sound import try_config
from segtrain.recipes.run_folder import RunFolder
from segtrain.training.loop import train
from segtrain.training.state import new_state

WIDTHS, PATCH, BATCH = [8, 16, 32, 64], [40, 56, 40], 2
BLOCK, BLOCKS, WARM_UP = 12, 7, 4
"""Steps that are timed together, how often each side has its turn, and steps before the first."""

Steps = Callable[[int], None]


def main() -> None:
    torch.set_num_threads(2)
    scans = real_data("hippocampus")
    if scans is None:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = made(scans, folder / "segtrain")
        with closing(job.loader.batches(0, 10**6)) as batches:
            fit, bare = looping(job, batches), bare_loop(job)
            rows = [["fit", "bare loop", *paired(fit, bare)]]
            first, ratio = compiled(job)
            if peer := nnunet(scans, folder / "nnunet"):
                rows.append(["fit", "nnU-Net 2.8.1", *paired(fit, peer.steps)])
                peer.close()
    table(["ours", "other", "ours (patches/s)", "other (patches/s)", "ours over other"], rows)
    print(f"\ntorch.compile: first step {first:.0f} s, then {ratio:.2f} of the plain network's pace")
    print(f"Medians of {BLOCKS} pairs of {BLOCK} steps, two threads, widths {WIDTHS}, patch {PATCH}, batch {BATCH}.")


def made(scans: Path, run: Path) -> Job:
    """What a fit works with: nnU-Net's two convolutions a stage, deep supervision, our augmentation."""
    places = (f"data.images={scans / 'images'}", f"data.labels={scans / 'labels'}")
    sizes = (f"model.widths={WIDTHS}", f"model.patch_size={PATCH}", f"training.batch_size={BATCH}")
    network = ("model.convolutions=[2, 2, 2, 2]", "training.budget_minutes=null", "augmentation.share=1")
    loaded = load_config(ROOT / "configs" / "hippocampus.yaml", (*places, *sizes, *network))
    run.mkdir(parents=True)
    making = set_up(try_config(loaded, None), RunFolder(run), None, None, torch.device("cpu"))
    while True:
        try:
            next(making)
        except StopIteration as done:
            job: Job = done.value
            return job


def looping(job: Job, batches) -> Steps:  # type: ignore[no-untyped-def]
    """Steps of a fit: its loader, its loop."""
    settings = job.loaded.config.training
    state = new_state(job.state.model, settings, 10**6)

    def steps(count: int) -> None:
        for _ in train(state, itertools.islice(batches, count), job.loss, settings, job.device):
            pass

    return steps


def bare_loop(job: Job, network: nn.Module | None = None) -> Steps:
    """The least that a step can be: one batch that lies there, the same network, loss and optimiser."""
    batch: Batch = job.loader.batch(0)
    optimiser = new_state(job.state.model, job.loaded.config.training, 1).optimiser
    model: nn.Module = job.state.model if network is None else network

    def steps(count: int) -> None:
        model.train()
        for _ in range(count):
            optimiser.zero_grad()
            job.loss(model(batch.images), batch.classes, batch.maps).backward()
            optimiser.step()

    return steps


def compiled(job: Job) -> tuple[float, float]:
    """Seconds of the first step through torch.compile, and its pace after that over that of the plain bare loop."""
    plain, quick = bare_loop(job), bare_loop(job, torch.compile(job.state.model))
    started = time.perf_counter()
    quick(1)
    first = time.perf_counter() - started
    quick(WARM_UP)
    pairs = [(seconds(plain), seconds(quick)) for _ in range(BLOCKS)]
    return first, statistics.median(a / b for a, b in pairs)


def nnunet(scans: Path, folder: Path, widths: list[int] = WIDTHS):  # type: ignore[no-untyped-def]
    """nnU-Net's trainer, or None with a line that says why it is left out."""
    try:
        import nnunetv2  # noqa: F401
    except ImportError:
        print("nnU-Net is left out: nnunetv2 is not installed\n")
        return None
    from benchmarks.nnunet_trainer import NnunetPace

    return NnunetPace(scans, folder, widths, PATCH, BATCH)


def paired(first: Steps, second: Steps) -> tuple[str, str, str]:
    """Patches per second of both, and the median of the ratios of neighbouring blocks."""
    for steps in (first, second):
        steps(WARM_UP)
    pairs = [(seconds(first), seconds(second)) for _ in range(BLOCKS)]
    one, other = (BLOCK * BATCH / statistics.median(times) for times in zip(*pairs, strict=True))
    return f"{one:.2f}", f"{other:.2f}", f"{statistics.median(b / a for a, b in pairs):.2f}"


def seconds(steps: Steps) -> float:
    started = time.perf_counter()
    steps(BLOCK)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
