"""What it costs to have an empty piece of work done: by a process of this machine, and by a Ray cluster of one core."""

import os
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from benchmarks.commands import table
from segtrain.execution.executor import Executor, Processes
from segtrain.execution.ray_cluster import ray_cluster

PIECES = 8
OBJECT_STORE_BYTES = 80 * 2**20


def main() -> None:
    rows = [["a process of this machine", *seconds_of(Processes(1))]]
    if find_spec("ray") is None:
        print("Ray is left out: the extra ray is not installed\n")
    else:
        rows += on_a_cluster()
    table(["", "the first piece (s)", "each further one (s)"], rows)


def on_a_cluster() -> list[list[object]]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    begun = time.perf_counter()
    cluster = Cluster()
    cluster.add_node(num_cpus=1, object_store_memory=OBJECT_STORE_BYTES, include_dashboard=False)
    started = time.perf_counter() - begun
    try:
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            with ray_cluster(cluster.address, Path(folder)) as connected:
                reached = time.perf_counter() - begun
                found = seconds_of(connected)
    finally:
        cluster.shutdown()
    print(f"The cluster starts in {started:.1f} s; it is reached, and its node looked at, in {reached:.1f} s.\n")
    return [["a task of Ray", *found]]


def seconds_of(executor: Executor) -> tuple[float, float]:
    """Of the first piece, with the start of what does it, and of one among the others."""
    begun = time.perf_counter()
    ended = [time.perf_counter() - begun for _ in executor.each(os.path.abspath, ["."] * PIECES, hang_seconds=60)]
    return ended[0], (ended[-1] - ended[0]) / (PIECES - 1)


if __name__ == "__main__":
    main()
