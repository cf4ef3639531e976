"""A Ray cluster of small nodes on this machine, which can be lost one by one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import segtrain

MEMORY = 80 * 2**20
"""Of an object store: Ray takes no less."""

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray")


@contextmanager
def cluster_of(nodes: int) -> Iterator[Any]:
    """A head that does no work, and nodes of one core each; all end with the block, whose address is `.address`."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(Path(segtrain.__file__).parents[1])  # its processes import the functions of tests
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        cluster.add_node(num_cpus=0, object_store_memory=MEMORY, include_dashboard=False)
        for _ in range(nodes):
            cluster.add_node(num_cpus=1, object_store_memory=MEMORY)
        yield cluster
    finally:
        cluster.shutdown()
        for number, handler in before.items():
            signal.signal(number, handler)
        os.environ.pop("PYTHONPATH")
        if path is not None:
            os.environ["PYTHONPATH"] = path


def lose(cluster: Any, node_id: str) -> None:
    """Kill a node as if its power failed."""
    (node,) = (node for node in cluster.worker_nodes if node.node_id == node_id)
    cluster.remove_node(node, allow_graceful=False)
