"""Where runs are done, as a user says it; and that a sweep on a cluster that loses a node is the same sweep."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from segtrain.core.errors import ConfigError, ResourceError
from segtrain.core.events import Note
from segtrain.execution.executor import Processes
from segtrain.execution.ray_cluster import RayCluster
from segtrain.execution.ray_nodes import Needs
from segtrain.recipes.compare_losses import compare_losses
from segtrain.recipes.lock import LOCK
from segtrain.recipes.sweep import executors
from segtrain.recipes.sweep.executors import Where, executor_for
from tests.execution.clusters import cluster_of, lose, needs_ray
from tests.recipes.projects import CONFIG, load, write_study

SWEEP = "compare: {losses: [dice_ce, dice], folds: 2, seeds: [4], baseline: dice_ce}\n"


@pytest.mark.parametrize(("workers", "at_once"), [(None, 1), (3, 3)])
def test_processes_are_as_many_as_workers(workers, at_once, tmp_path):
    with executor_for(Where(workers=workers), tmp_path, "auto") as (executor, device):
        assert (executor, device) == (Processes(at_once), "auto")


def test_what_is_for_a_cluster_is_refused_elsewhere_all_at_once(tmp_path):
    with pytest.raises(ConfigError) as error, executor_for(Where(address="auto", threads=2), tmp_path, "cpu"):
        pass
    assert [problem.where for problem in error.value.problems] == ["--address", "--threads-per-run"]


@pytest.fixture
def connections(monkeypatch):
    """What a connection is asked for; the cluster has 4 GPUs."""
    asked = []
    node = {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 4.0}}

    @contextmanager
    def connect(address, folder, **more):
        asked.append({"address": address, **more})
        yield RayCluster(SimpleNamespace(nodes=lambda: [node]), folder, Needs(1), None)

    monkeypatch.setattr(executors, "ray_cluster", connect)
    return asked


@pytest.mark.parametrize(("kind", "gpus"), [("cpu", 0), ("cuda", 1)])
def test_a_run_takes_a_gpu_where_the_device_here_is_one(kind, gpus, connections, monkeypatch, tmp_path):
    monkeypatch.setattr(executors, "find_device", lambda name: torch.device(kind))
    with executor_for(Where("ray", 3, "head:6379", 2), tmp_path, kind) as (_, device):
        assert device == kind
    assert connections == [{"address": "head:6379", "gpus": gpus, "cores": 2, "at_most": 3}]


def test_gpus_of_the_cluster_are_not_left_alone_without_a_word(connections, monkeypatch, tmp_path):
    monkeypatch.setattr(executors, "find_device", lambda name: torch.device("cpu"))
    with pytest.raises(ResourceError, match="no GPU here"), executor_for(Where("ray"), tmp_path, "auto"):
        pass
    with executor_for(Where("ray"), tmp_path, "cpu") as (_, device):
        assert device == "cpu"


@pytest.fixture
def nodes():
    with cluster_of(2) as cluster:
        yield cluster


def node_of_a_run(cluster, sweep: Path) -> str | None:
    """The node of a run that has saved a checkpoint and is not done: its lock names a process, that one its raylet."""
    raylets = {node.all_processes["raylet"][0].process.pid: node.node_id for node in cluster.worker_nodes}
    for lock in sweep.glob(f"runs/*/*/*/{LOCK}"):
        if (lock.parent / "checkpoints/last/checkpoint.json").exists():
            pid = lock.read_text().partition(" ")[0]
            status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            return raylets[int(status["PPid"])]
    return None


def losing_a_node(cluster, sweep: Path) -> threading.Thread:
    def watch() -> None:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                node = node_of_a_run(cluster, sweep)
            except FileNotFoundError:  # the run was just done
                continue
            if node is not None:
                lose(cluster, node)
                return
            time.sleep(0.005)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


@pytest.mark.slow
@needs_ray
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_sweep_on_a_cluster_that_loses_a_node_is_the_same_sweep_bit_for_bit(nodes, tmp_path):
    write_study(tmp_path, CONFIG.replace("epochs: 2, steps_per_epoch: 3", "epochs: 8, steps_per_epoch: 12") + SWEEP)
    loaded, threads = load(tmp_path), torch.get_num_threads()
    torch.set_num_threads(1)
    *_, here = compare_losses(loaded, tmp_path / "here", device="cpu")
    torch.set_num_threads(threads)
    thread = losing_a_node(nodes, tmp_path / "there")
    with executor_for(Where("ray", address=nodes.address), tmp_path / "there", "cpu") as (executor, device):
        *events, there = compare_losses(loaded, tmp_path / "there", device=device, executor=executor)
    thread.join()
    lost = [event.text for event in events if isinstance(event, Note) and "its node was lost" in event.text]
    assert len(lost) == 1
    assert there.failed == here.failed == ()
    assert there.result["ranking"] == here.result["ranking"]
    for run in (tmp_path / "here").glob("runs/*/*/*"):
        weights = Path("checkpoints/best/model.safetensors")
        other = tmp_path / "there" / run.relative_to(tmp_path / "here")
        assert (run / weights).read_bytes() == (other / weights).read_bytes()
    assert not list((tmp_path / "there").rglob(LOCK))
    assert not list((tmp_path / "there").rglob(f".*.{os.getpid()}.tmp"))
