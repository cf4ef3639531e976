"""How long a user waits for an answer that needs no scan."""

import statistics
import subprocess
import sys
import time

from benchmarks.commands import table

COMMANDS = (("--help",), ("fit", "--help"), ("--version",))
RUNS = 9


def main() -> None:
    rows = []
    for arguments in COMMANDS:
        seconds = []
        for _ in range(RUNS):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-m", "segtrain", *arguments], check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - started)
        rows.append([f"`segtrain {' '.join(arguments)}`", statistics.median(seconds), min(seconds), max(seconds)])
    table(["command", f"median of {RUNS} (s)", "min", "max"], rows)
