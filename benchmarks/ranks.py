"""Seconds a step of one process and of two ranks that share the batch, on two cores; and what being two costs."""

import csv
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.commands import ROOT, segtrain, table

ROUNDS = 3
"""Each way once a round, so that all see the machine in the same moods."""
TRAINING = (
    "training.epochs=4",
    "training.steps_per_epoch=30",
    "training.batch_size=4",
    "training.validate_every=4",
    "evaluation.metrics=[dice]",
)


@dataclass(frozen=True)
class Way:
    """How the same fit is started."""

    name: str
    ranks: int
    threads: int


WAYS = (Way("1 process, 1 thread", 1, 1), Way("1 process, 2 threads", 1, 2), Way("2 ranks, 1 thread each", 2, 1))


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        demo = Path(name) / "demo"
        segtrain("demo", demo)
        rounds = [
            [fitted(demo, way, Path(name) / f"{n}-{way.ranks}-{way.threads}") for way in WAYS] for n in range(ROUNDS)
        ]
    medians = [
        statistics.median(each) for each in zip(*([seconds for seconds, _ in one] for one in rounds), strict=True)
    ]
    rows = [
        [way.name, f"{1000 * median:.0f}", medians[0] / median, f"{loss:.4f}"]
        for way, median, (_, loss) in zip(WAYS, medians, rounds[0], strict=True)
    ]
    table(["", "ms a step", "speed-up", "loss of the last epoch"], rows)


def fitted(demo: Path, way: Way, run: Path) -> tuple[float, float]:
    """Seconds a step, the median over epochs but the first, and the last epoch's loss."""
    started = ["-m", "torch.distributed.run", f"--nproc-per-node={way.ranks}"] if way.ranks > 1 else []
    command = [sys.executable, *started, "-m", "--", "segtrain", "fit", "--config", demo / "config.yaml", "--run", run]
    if not started:
        command.remove("--")
    environment = {**os.environ, "OMP_NUM_THREADS": str(way.threads)}
    subprocess.run(
        [*map(str, command), "-q", *TRAINING], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL
    )
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        epochs = list(csv.DictReader(file))
    steps = int(epochs[0]["step"])
    return statistics.median(float(row["seconds"]) / steps for row in epochs[1:]), float(epochs[-1]["train_loss"])


if __name__ == "__main__":
    main()
