"""Memory of `segtrain fit` against the number of cases, and how soon its first step is done.

The 200 hippocampus cases, and ten links to each: 2,000 cases. A first fit fills a store; a second, in another run
folder, finds everything there. One epoch of few steps, and every held-out case is scored twice, as always.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.commands import ROOT, real_data, table
from segtrain.core.machine import peak_ram_bytes

COPIES = (1, 10)
"""Links to each case: the data sets that are compared."""
STEPS = 20


def fit_here(config: Path, run: Path, overrides: list[str]) -> None:
    """In a process of its own: fit, and print when the first step was done and how much memory was held at most."""
    began = float(overrides.pop(0))
    import segtrain.cli.app  # noqa: F401 - what the command imports too
    from segtrain.config.load import load_config
    from segtrain.core.events import Finished, StepEnded
    from segtrain.recipes.fit import fit

    first_step = None
    for event in fit(load_config(config, overrides), run, device="cpu"):
        if isinstance(event, StepEnded) and first_step is None:
            first_step = time.time() - began
        if isinstance(event, Finished):
            seconds = time.time() - began
    print(json.dumps({"first_step": first_step, "seconds": seconds, "peak_bytes": peak_ram_bytes()}))


def fit_elsewhere(run: Path, overrides: list[str]) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.fit_memory", str(ROOT / "configs" / "hippocampus.yaml"), str(run)]
    done = subprocess.run(
        [*command, str(time.time()), *overrides], check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    return json.loads(done.stdout.splitlines()[-1])


def link_cases(data: Path, to: Path, copies: int) -> list[str]:
    """A folder of links to every image and every mask; the overrides of the config that name it."""
    for kind in ("images", "labels"):
        (to / kind).mkdir(parents=True)
        for file in (data / kind).iterdir():
            for copy in range(copies):
                (to / kind / f"copy{copy}_{file.name}").symlink_to(file)
    return [f"data.images={to / 'images'}", f"data.labels={to / 'labels'}"]


def compare(data: Path, root: Path) -> list[list[object]]:
    settings = ["training.budget_minutes=null", "training.epochs=1", f"training.steps_per_epoch={STEPS}"]
    rows: list[list[object]] = []
    for copies in COPIES:
        folder = root / str(copies)
        places = [*link_cases(data, folder, copies), f"data.store={folder / 'store'}"]
        count = len(list((folder / "images").iterdir()))
        for state in ("empty", "warm"):
            found = fit_elsewhere(folder / state, [*settings, *places])
            peak = f"{found['peak_bytes'] / 2**20:.0f}"
            rows.append([count, state, f"{found['first_step']:.1f}", peak, f"{found['seconds']:.0f}"])
            print(f"{count} cases, {state} store: done", file=sys.stderr, flush=True)
    return rows


def main() -> None:
    data = real_data("hippocampus")
    if data is None:
        return
    with tempfile.TemporaryDirectory() as name:
        rows = compare(data, Path(name))
    table(["cases", "store", "first step after (s)", "peak memory (MiB)", "whole command (s)"], rows)
    peaks = [int(row[3]) for row in rows]
    print(f"\nlargest peak / smallest: {max(peaks) / min(peaks):.3f} (goal: 1.10)")


if __name__ == "__main__":
    config, run, *rest = sys.argv[1:]
    fit_here(Path(config), Path(run), rest)
