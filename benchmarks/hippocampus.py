"""200 seconds of training on two CPU cores: what it reaches on hippocampus cases that it never saw."""

import json
import tempfile
from pathlib import Path

from benchmarks.commands import ROOT, real_data, segtrain, table


def main() -> None:
    data = real_data("hippocampus")
    if data is None:
        return
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "run"
        config = ROOT / "configs" / "hippocampus.yaml"
        places = (f"data.images={data / 'images'}", f"data.labels={data / 'labels'}")
        result, seconds = segtrain("fit", "--config", config, *places, "--run", run)
        record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    scores = {label: found["dice"]["mean"] for label, found in result["metrics"]["labels"].items()}
    cases = record["cases"]
    header = [
        "trained on",
        "held out",
        "steps",
        "whole command (s)",
        *(f"Dice {label}" for label in scores),
        "mean Dice",
    ]
    row = [cases["train"], cases["validation"], record["total_steps"], seconds, *scores.values()]
    table(header, [[*row, result["metrics"]["mean"]["dice"]]])
