"""A GPU: the pace of training against a bare loop, what a minute of it reaches, prediction, and runs that share it."""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import torch

from benchmarks.commands import ROOT, real_data, segtrain, table
from benchmarks.training import looping
from segtrain.config.load import load_config
from segtrain.core.batch import moved
from segtrain.recipes.fitting.job import Job
from segtrain.recipes.fitting.set_up import set_up
from segtrain.recipes.fitting.sound import try_config
from segtrain.recipes.run_folder import RunFolder
from segtrain.training.devices import autocast
from segtrain.training.state import new_state

STEPS, ROUNDS, WARM_UP = 30, 7, 15
CASES = 40
"""That are predicted, and compared on."""
SWEEP = (
    "compare.losses=[dice, dice_ce, tversky, focal]",
    "compare.folds=2",
    "compare.seeds=[0]",
    "training.budget_minutes=null",
    "training.epochs=2",
    "training.steps_per_epoch=150",
)
CPU_SIZED = ("model.widths=[12, 24, 48, 96]", "model.patch_size=[40, 56, 40]", "training.batch_size=2")

Steps = Callable[[int], None]


def main() -> None:
    scans = real_data("hippocampus")
    if scans is None or not torch.cuda.is_available():
        print("left out: there is no CUDA device")
        return
    print(torch.cuda.get_device_name(), "torch", torch.__version__, "\n", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in (pace, reached, predicted, shared):
            began = time.perf_counter()
            part(scans, folder)
            print(f"({time.perf_counter() - began:.0f} s)\n", flush=True)


def places(scans: Path) -> tuple[str, ...]:
    return f"data.images={scans / 'images'}", f"data.labels={scans / 'labels'}"


def pace(scans: Path, folder: Path) -> None:
    rows = []
    for number, settings in enumerate(((), ("training.precision=float32",), CPU_SIZED, ("augmentation.share=0",))):
        job = made(scans, folder / f"pace{number}", (*settings, "training.budget_minutes=null"))
        with closing(job.loader.batches(0, 10**6)) as batches:
            rows.append([" ".join(settings) or "as planned", job.plan.batch_size, *paired(job, batches)])
    table(["settings", "batch", "fit (patches/s)", "bare loop (patches/s)", "fit over bare"], rows)


def made(scans: Path, run: Path, settings: Sequence[str]) -> Job:
    loaded = load_config(ROOT / "configs" / "hippocampus.yaml", (*places(scans), *settings))
    run.mkdir(parents=True)
    making = set_up(try_config(loaded, None), RunFolder(run), None, None, torch.device("cuda"))
    while True:
        try:
            next(making)
        except StopIteration as done:
            job: Job = done.value
            return job


def paired(job: Job, batches) -> tuple[str, str, str]:  # type: ignore[no-untyped-def]
    sides = (looping(job, batches), bare_steps(job))
    for side in sides:
        side(WARM_UP)
    pairs = [tuple(seconds(side) for side in sides) for _ in range(ROUNDS)]
    patches = STEPS * job.plan.batch_size
    one, other = (patches / statistics.median(times) for times in zip(*pairs, strict=True))
    return f"{one:.1f}", f"{other:.1f}", f"{statistics.median(b / a for a, b in pairs):.2f}"


def bare_steps(job: Job) -> Steps:
    """One batch that lies on the device, the same network, loss and optimiser."""
    settings, device = job.loaded.config.training, job.device
    batch = job.loader.batch(0)
    images, classes, maps = batch.images.to(device), batch.classes.to(device), moved(batch.maps, device)
    model, optimiser = job.state.model, new_state(job.state.model, settings, 1).optimiser

    def steps(count: int) -> None:
        model.train()
        for _ in range(count):
            optimiser.zero_grad(set_to_none=True)
            with autocast(device, settings.precision):
                logits = model(images)
            job.loss(logits, classes, maps).backward()
            optimiser.step()

    return steps


def seconds(steps: Steps) -> float:
    torch.cuda.synchronize()
    began = time.perf_counter()
    steps(STEPS)
    torch.cuda.synchronize()
    return time.perf_counter() - began


def reached(scans: Path, folder: Path) -> None:
    config = ROOT / "configs" / "hippocampus.yaml"
    run = folder / "minute"
    result, wall = segtrain(
        "fit", "--config", config, *places(scans), "training.budget_minutes=1", "training.epochs=3", "--run", run
    )
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    table(
        ["minutes", "steps", "command (s)", "Dice"],
        [[1, record["total_steps"], wall, result["metrics"]["mean"]["dice"]]],
    )


def predicted(scans: Path, folder: Path) -> None:
    links = linked(scans, folder / "few") / "images"
    rows = []
    for device in ("cuda", "cpu"):
        _, wall = segtrain(
            "predict", "--run", folder / "minute", "--images", links, "--device", device, "--out", folder / device
        )
        rows.append([device, CASES / wall, wall])
    table(["device", "cases/s (whole command)", "command (s)"], rows)


def linked(scans: Path, folder: Path) -> Path:
    """The last cases, in a folder of their own."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
        for case in sorted((scans / part).glob("*.nii.gz"))[-CASES:]:
            (folder / part / case.name).symlink_to(case)
    return folder


def shared(scans: Path, folder: Path) -> None:
    del scans
    config = ROOT / "configs" / "hippocampus.yaml"
    rows = []
    for workers in (1, 4, 8):
        place = ("--workers", str(workers), "--run", folder / f"sweep{workers}")
        _, wall = segtrain("compare-losses", "--config", config, *places(folder / "few"), *CPU_SIZED, *SWEEP, *place)
        rows.append([workers, wall, rows[0][1] / wall if rows else 1.0])
    table(["runs at once on one GPU", "sweep (s)", "times as fast"], rows)


if __name__ == "__main__":
    main()
