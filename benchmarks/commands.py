"""Run segtrain as a user does, and time it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def real_data(name: str) -> Path | None:
    """A folder of real scans, or None with a line that says why the benchmark is left out."""
    folder = Path(os.environ.get("SEGTRAIN_DATA", ROOT.parent / "shared" / "data")) / name
    if folder.is_dir():
        return folder
    print(f"left out: {folder} is not there; SEGTRAIN_DATA names the folder that holds {name}/")
    return None


def segtrain(*arguments: str | Path) -> tuple[dict[str, Any], float]:
    """The result of a command with `--json`, and its seconds."""
    command = [sys.executable, "-m", "segtrain", *map(str, arguments), "--json"]
    started = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return json.loads(done.stdout), time.perf_counter() - started


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a Markdown table."""
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row) + " |")
