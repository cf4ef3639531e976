"""compare-losses with one process against two: eight runs on the embedded data set, one thread each."""

import os
import tempfile
from pathlib import Path

from benchmarks.commands import segtrain, table

OVERRIDES = (
    "compare={losses: [dice, dice_ce, tversky, focal], folds: 2, seeds: [0], baseline: dice_ce}",
    "training.epochs=8",
    "training.steps_per_epoch=25",
)


def main() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # one thread a run on both sides
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "demo"
        segtrain("demo", project)
        config = ("--config", project / "config.yaml", *OVERRIDES)
        segtrain("compare-losses", *config, "training.epochs=1", "--run", Path(folder) / "warm")
        seconds = {}
        for workers in (1, 2):
            run = Path(folder) / f"workers{workers}"
            _, seconds[workers] = segtrain("compare-losses", *config, "--run", run, "--workers", str(workers))
    table(("workers", "seconds", "faster"), [(n, s, seconds[1] / s) for n, s in seconds.items()])


if __name__ == "__main__":
    main()
