"""200 seconds and 20 minutes of training on two CPU cores: what they reach on hippocampus cases never seen."""

import json
import tempfile
from pathlib import Path

from benchmarks.commands import ROOT, real_data, segtrain, table

BUDGETS = (3.333, 20)
"""Minutes of training."""
HEADER = ("minutes", "trained on", "held out", "steps", "whole command (s)")


def main() -> None:
    data = real_data("hippocampus")
    if data is None:
        return
    with tempfile.TemporaryDirectory() as name:
        rows = [fitted(data, minutes, Path(name) / str(minutes)) for minutes in BUDGETS]
    table([*HEADER, "Dice anterior", "Dice posterior", "mean Dice"], rows)


def fitted(data: Path, minutes: float, run: Path) -> list[object]:
    config = ROOT / "configs" / "hippocampus.yaml"
    places = (f"data.images={data / 'images'}", f"data.labels={data / 'labels'}")
    budget = f"training.budget_minutes={minutes}"
    result, seconds = segtrain("fit", "--config", config, *places, budget, "--run", run)
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    cases, scores = record["cases"], (found["dice"]["mean"] for found in result["metrics"]["labels"].values())
    facts = [minutes, cases["train"], cases["validation"], record["total_steps"], seconds]
    return [*facts, *scores, result["metrics"]["mean"]["dice"]]


if __name__ == "__main__":
    main()
