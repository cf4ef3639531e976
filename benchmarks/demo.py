"""What `make demo` takes, step by step, once the packages are there."""

import tempfile
from pathlib import Path

from benchmarks.commands import segtrain, table

SHORTER = ("training.epochs=4", "training.steps_per_epoch=25")
"""As the Makefile has it."""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        demo = Path(name) / "demo"
        test = demo / "test"
        config = demo / "config.yaml"
        steps = [
            ("demo", (demo,)),
            ("fit", ("--config", config, "--run", demo / "fit")),
            ("eval", ("--run", demo / "fit", "--images", test / "images", "--labels", test / "labels")),
            ("compare-losses", ("--config", config, "--run", demo / "compare", *SHORTER)),
        ]
        seconds = [(step, segtrain(step, *arguments)[1]) for step, arguments in steps]
    table(["command", "seconds"], [*seconds, ["together", sum(s for _, s in seconds)]])
