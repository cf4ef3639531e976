"""Where the runs of a sweep are done, as a user says it: processes of this machine, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from segtrain.core.errors import ConfigError, Problem, ResourceError, raise_all
from segtrain.execution.executor import Executor, Processes
from segtrain.execution.ray_cluster import gpus_in, ray_cluster
from segtrain.training.devices import find_device


@dataclass(frozen=True)
class Where:
    """An executor and what it may use; None: as much as it has, or what it takes by itself."""

    executor: str = "processes"
    workers: int | None = None
    """Runs at once."""
    address: str | None = None
    """Of a Ray cluster."""
    threads: int | None = None
    """Cores a run, on a Ray cluster."""


@contextmanager
def executor_for(where: Where, run: Path, device: str) -> Iterator[tuple[Executor, str]]:
    """The executor of the runs in a folder, ready to be used, and the device of them all.

    ConfigError for what does not fit together; on a cluster all that `ray_cluster` raises.
    """
    if where.executor != "ray":
        hint = "leave it out, or add --executor ray"
        given = (("--address", where.address), ("--threads-per-run", where.threads))
        faults = (Problem("this is for a Ray cluster", flag, hint=hint) for flag, value in given if value is not None)
        raise_all(ConfigError, faults)
        yield Processes(where.workers or 1), device
        return
    kind = find_device(device).type
    address, takes_gpu = where.address or "auto", int(kind == "cuda")
    with ray_cluster(address, run, gpus=takes_gpu, cores=where.threads, at_most=where.workers) as cluster:
        gpus = gpus_in(cluster)
        if device == "auto" and kind != "cuda" and gpus:
            why = f"the cluster has {gpus}; the network is planned for the device of the machine with the command"
            hint = "start the command on a node with a GPU, or say --device cpu"
            raise ResourceError(Problem("no GPU here, where the command was started", address, why, hint))
        yield cluster, kind
