"""The races of docs/races.md: fourteen losses on 60 hippocampus cases and on the embedded data set, 3 folds, 2 seeds.

On a GPU with 16 cores it took six minutes; on two CPU cores, set aside some hours. `WORKERS` runs are done at once.
"""

import os
import shutil
import tempfile
from pathlib import Path

from benchmarks.commands import ROOT, real_data, segtrain, table

CASES = 60
WORKERS = max(1, min(9, (os.cpu_count() or 2) // 2))
PAGES = ROOT / "docs" / "races"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        segtrain("demo", folder / "sample")
        raced(folder, "sample")
        scans = real_data("hippocampus")
        if scans is not None:
            first(scans, folder / "hippocampus")
            raced(folder, "hippocampus")


def first(scans: Path, folder: Path) -> None:
    """The first cases by name."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
        for case in sorted((scans / part).glob("*.nii.gz"))[:CASES]:
            shutil.copy(case, folder / part)


def raced(folder: Path, name: str) -> None:
    config = shutil.copy(PAGES / name / "config.yaml", folder.parent / f"{name}.yaml")
    place = ("--run", folder / f"race-{name}", "--workers", str(WORKERS))
    result, seconds = segtrain("compare-losses", "--config", config, *place)
    print(f"### {name}, {seconds:.0f} s\n")
    rows = [[row[key] for key in ("rank", "loss", "mean", "low", "high", "status")] for row in result["ranking"]]
    table(["rank", "loss", "mean Dice", "from", "to", "status"], rows)
    print(flush=True)


if __name__ == "__main__":
    main()
