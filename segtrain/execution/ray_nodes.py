"""The nodes of a Ray cluster: how many pieces each holds, and whether all are what this machine takes them for.

**A node is looked at before it works.** Pieces of work name files, and only what they name reaches a node: so a file of
random content must be there under the same path, and the packages that decide a result must have the same versions. A
node that differs is told at once, with all others that do, and not by a run that breaks off hours later.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segtrain.core.errors import Problem
from segtrain.core.files import disk_errors

LOOK_SECONDS = 120.0
"""A node that is sound answers sooner; its first process may have to start."""

Seen = Mapping[str, str]
"""What a node is seen to have, by name: the mark, the folder, a version of each package."""

Look = Callable[[str, str], Seen]


@dataclass(frozen=True)
class Needs:
    """What a piece takes of its node."""

    cores: int
    gpus: int = 0

    def __str__(self) -> str:
        cores = f"{self.cores} core{'s' if self.cores > 1 else ''}"
        return f"{cores} and {self.gpus} GPU" if self.gpus else cores


@dataclass(frozen=True)
class Mark:
    """A file that all nodes must see, and what is seen from here."""

    file: Path
    folder: Path
    """Where the command was started: relative paths begin here."""
    seen: Seen


def holds(node: Mapping[str, Any], needs: Needs) -> int:
    """Pieces that a node, as `ray.nodes()` describes it, may work on at the same time; none where it is dead."""
    if not node["Alive"]:
        return 0
    has, takes = node["Resources"], {"CPU": needs.cores, "GPU": needs.gpus}
    return min(int(has.get(kind, 0) // count) for kind, count in takes.items() if count)


def gpus_of(nodes: Sequence[Mapping[str, Any]]) -> int:
    """GPUs of the nodes that are alive."""
    return sum(int(node["Resources"].get("GPU", 0)) for node in nodes if node["Alive"])


def cores_of_a_gpu(nodes: Sequence[Mapping[str, Any]]) -> int:
    """The share of its node's cores that a GPU has, where it is least; 1 without GPUs."""
    found = [node["Resources"] for node in nodes if node["Alive"] and node["Resources"].get("GPU", 0) >= 1]
    return max(1, min((int(has.get("CPU", 0) // has["GPU"]) for has in found), default=1))


@contextmanager
def marked(folder: Path) -> Iterator[Mark]:
    """A mark in a folder, or in the next one above it that exists, for the time of a block."""
    near = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
    token = secrets.token_hex(16)
    file = near / f".cluster.{token}.{os.getpid()}.tmp"  # the next lock clears it away where this process was killed
    with disk_errors(file):
        file.write_text(token, encoding="utf-8")
    try:
        yield Mark(file, Path.cwd(), looker()(str(file), str(Path.cwd())))
    finally:
        file.unlink(missing_ok=True)


def looker() -> Look:
    """What a node runs to be looked at. It is no function of a module, so that it reaches nodes without segtrain."""

    def look(file: str, folder: str) -> dict[str, str]:
        from importlib.metadata import PackageNotFoundError, version
        from pathlib import Path

        found = {"folder": str(Path(folder).is_dir())}
        try:
            found["mark"] = Path(file).read_text(encoding="utf-8")
        except OSError as error:
            found["mark"] = type(error).__name__
        for package in ("segtrain", "torch"):
            try:
                found[package] = version(package).partition("+")[0]  # the build for a GPU or the CPU may differ
            except PackageNotFoundError:
                found[package] = "none"
        return found

    return look


def differences(node: str, seen: Seen, mark: Mark) -> Iterator[Problem]:
    """In what a node differs from this machine."""
    where = f"node {node}"
    for package in ("segtrain", "torch"):
        if seen[package] != mark.seen[package]:
            what = f"a node of the cluster has another version of {package}"
            why = f"{seen[package]} there, {mark.seen[package]} here"
            yield Problem(what, where, why, f"install {package} {mark.seen[package]} there")
    if seen["mark"] != mark.seen["mark"]:
        why = f"{mark.file.parent} is not the same folder there ({mark.file.name}: {seen['mark']})"
        hint = "keep the run folder, the scans and the config on a drive that all nodes mount at the same path"
        yield Problem("a node of the cluster does not see the run folder", where, why, hint)
    elif seen["folder"] != mark.seen["folder"]:
        what, why = "a node of the cluster lacks the folder the command was started in", f"no {mark.folder} there"
        yield Problem(what, where, why, "start the command in a folder of the shared drive")


def name_of(node: Mapping[str, Any]) -> str:
    """The host and its address."""
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"


def node_faults(ray: Any, nodes: Sequence[Mapping[str, Any]], mark: Mark) -> list[Problem]:
    """Look at each of the nodes, all at the same time; `ray` is connected."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(num_cpus=0, max_retries=0)(looker())
    asked = {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked[look.options(scheduling_strategy=there).remote(str(mark.file), str(mark.folder))] = name_of(node)
    answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=LOOK_SECONDS)
    hint = "look at it with `ray status`, mend it or take it out, and try again"
    faults: list[Problem] = []
    for ref in answered:
        try:
            faults.extend(differences(asked[ref], ray.get(ref), mark))
        except ray.exceptions.RayError as error:
            why = str(error).partition("\n")[0]
            faults.append(Problem("a node of the cluster cannot work", f"node {asked[ref]}", why, hint))
    for ref in silent:
        ray.cancel(ref, force=True)
        why = f"no answer in {LOOK_SECONDS:.0f} seconds"
        faults.append(Problem("a node of the cluster does not answer", f"node {asked[ref]}", why, hint))
    return faults
