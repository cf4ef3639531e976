"""Maps of the truth made by the loader, ahead of the step, against maps made by the loss within it.

The steps are those of `segtrain fit` on the embedded data set, a few of the one kind and a few of the other in turns.
`dice_ce`, which needs no maps, says what a step costs without.
"""

import statistics
import tempfile
import time
from contextlib import closing
from itertools import islice
from pathlib import Path

import torch

from benchmarks.commands import table
from segtrain.config.load import load_config
from segtrain.core.events import StepEnded
from segtrain.data.loader import BatchLoader
from segtrain.data.patches import PatchSampler
from segtrain.recipes.demo import write_demo_project
from segtrain.recipes.fitting.job import Job
from segtrain.recipes.fitting.set_up import set_up
from segtrain.recipes.fitting.sound import try_config
from segtrain.recipes.run_folder import RunFolder
from segtrain.training.devices import find_device
from segtrain.training.loop import train

LOSSES = ("dice_ce", "dice_boundary", "cc_dice_ce", "skeleton_recall")
TURNS = 3
STEPS = 8
"""Of a turn; the first two, for which the loader has nothing ready yet, are not counted."""


def job_of(config: Path, loss: str, run: Path) -> Job:
    """All that a fit with this loss works with."""
    loaded = load_config(config, [f"loss.name={loss}", f"training.steps_per_epoch={10 * TURNS * STEPS}"])
    run.mkdir()
    preparing = set_up(try_config(loaded, None), RunFolder(run), None, None, find_device("auto"))
    while True:
        try:
            next(preparing)
        except StopIteration as end:
            return end.value


def loader_without_maps(job: Job) -> BatchLoader:
    """The same batches, but for their maps."""
    config = job.loaded.config
    seed = config.training.seed
    sampler = PatchSampler([job.stored[case] for case in job.fold.train], job.plan, config.patches, seed)
    return BatchLoader(sampler, job.plan, config.augmentation, seed, device=job.device)


def seconds_of_steps(job: Job, loader: BatchLoader) -> list[float]:
    """Each step of a turn, with the wait for its batch; the loader has more to do than is asked for."""
    first = job.state.step
    seconds, last = [], time.perf_counter()
    with closing(loader.batches(first, first + 2 * STEPS)) as batches:
        for event in train(job.state, islice(batches, STEPS), job.loss, job.loaded.config.training, job.device):
            if isinstance(event, StepEnded):
                job.state.losses[-1].item()  # a step of a GPU is over when its loss is there
                seconds.append(time.perf_counter() - last)
                last = time.perf_counter()
    return seconds[2:]


def seconds_of_maps(job: Job, step: int) -> float:
    """The maps of one batch, with nothing beside."""
    classes = job.loader.batch(step).classes
    started = time.perf_counter()
    job.loss.make_maps(classes, ())
    return time.perf_counter() - started


def compare(job: Job, loss: str) -> list[object]:
    """A row of the table."""
    ahead, within = [], []
    plain = loader_without_maps(job)
    for _ in range(TURNS):
        within += seconds_of_steps(job, plain)
        ahead += seconds_of_steps(job, job.loader)
    medians = [
        statistics.median(seconds) for seconds in (within, ahead, [seconds_of_maps(job, n) for n in range(STEPS)])
    ]
    one, two, alone = (f"{1e3 * seconds:.0f}" for seconds in medians)
    return [loss, one, two, f"{medians[1] / medians[0]:.2f}", alone]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        demo = Path(name) / "demo"
        write_demo_project(demo, overwrite=False)
        rows = [compare(job_of(demo / "config.yaml", loss, Path(name) / loss), loss) for loss in LOSSES]
    table(["loss", "step, maps in the loss (ms)", "maps in the loader", "ratio", "making them alone (ms)"], rows)
    print(f"\nMedians of {TURNS * (STEPS - 2)} steps; {torch.get_num_threads()} threads, {find_device('auto')}.")


if __name__ == "__main__":
    main()
