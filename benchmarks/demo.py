"""What `make demo` takes, step by step, once the packages are there."""

import tempfile
from pathlib import Path

from benchmarks.commands import segtrain, table


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        demo = Path(name) / "demo"
        test = demo / "test"
        config = demo / "config.yaml"
        steps = [
            ("demo", (demo,)),
            ("fit", ("--config", config, "--run", demo / "fit")),
            ("eval", ("--run", demo / "fit", "--images", test / "images", "--labels", test / "labels")),
            ("compare-losses", ("--config", config, "--run", demo / "compare")),
        ]
        seconds = [(step, segtrain(step, *arguments)[1]) for step, arguments in steps]
    table(["command", "seconds"], [*seconds, ["together", sum(s for _, s in seconds)]])
