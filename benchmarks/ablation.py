"""What counts in a short training: one choice changed at a time, hippocampus cases, seed and split of its own.

Every row trains on the same 160 cases and is scored on the same 40; nothing of it is tuned on the split that
`benchmarks.hippocampus` reports. About four minutes a row on two cores.
"""

import csv
import tempfile
from pathlib import Path

from benchmarks.commands import ROOT, real_data, segtrain, table

WHOLE_SCAN = "model.patch_size=[40,56,40]"
BASE = (WHOLE_SCAN, "augmentation.share=1")
PLAIN = (WHOLE_SCAN, "augmentation.share=0")
ROWS = {
    "750 steps, whole scans as patches, nnU-Net's augmentation on all": BASE,
    "running average of the weights, 0.99": (*BASE, "training.ema_decay=0.99"),
    "rotation and scale with probability 0.5 instead of 0.2": (
        *BASE,
        "augmentation.rotation.probability=0.5",
        "augmentation.scale.probability=0.5",
    ),
    "without deep supervision": (*BASE, "model.deep_supervision=false"),
    "rate 2e-2 instead of 1e-2": (*BASE, "training.learning_rate=2e-2"),
    "rate 5e-3": (*BASE, "training.learning_rate=5e-3"),
    "SGD with nnU-Net's schedule, rate 1e-2": (
        *BASE,
        "training.optimiser=sgd",
        "training.schedule=poly",
        "training.warmup_share=0",
    ),
    "augmentation on 0.3 of the patches": (WHOLE_SCAN, "augmentation.share=0.3"),
    "no augmentation": PLAIN,
    "no augmentation, widths 12 to 96": (*PLAIN, "model.widths=[12,24,48,96]"),
    "no augmentation, patches 32x40x32, 1500 steps": (
        "augmentation.share=0",
        "model.patch_size=[32,40,32]",
        "training.steps_per_epoch=150",
    ),
}
FIXED = ("training.budget_minutes=null", "training.epochs=10", "training.steps_per_epoch=75", "training.seed=1")


def main() -> None:
    data = real_data("hippocampus")
    if data is None:
        return
    config = ROOT / "configs" / "hippocampus.yaml"
    rows = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        places = (f"data.images={data / 'images'}", f"data.labels={data / 'labels'}", f"data.store={root / 'store'}")
        for number, (what, changes) in enumerate(ROWS.items()):
            run = root / str(number)
            result, _ = segtrain("fit", "--config", config, *places, "--run", run, *FIXED, *changes)
            with (run / "metrics.csv").open(encoding="utf-8") as file:
                seconds = sum(float(row["seconds"]) for row in csv.DictReader(file))
            rows.append([what, result["metrics"]["mean"]["dice"], f"{seconds:.0f}"])
    table(["training", "mean Dice", "seconds of training"], rows)


if __name__ == "__main__":
    main()
