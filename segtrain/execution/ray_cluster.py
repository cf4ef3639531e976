"""Pieces of work on a Ray cluster: each is a task, in a process of its own on a node that has room for it.

Ray brings the work to the nodes and says what became of it; all else goes over a shared drive. Nothing of the working
directory is sent: segtrain is installed on each node. Ray's own retries are off, since what a lost process costs is
decided here:

- A **process that dies**, as for want of memory, costs its piece a second try, alone, after all others.
- A **node that dies** is not the fault of its pieces: they are done again at once on the others, `LOST_MOST` times.
- **Closed early**, tasks are interrupted, so that each leaves its folder in order; those that do not end are killed.

`ray_nodes` looks at the nodes before they work; `ray_task` is what runs on them.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from segtrain.core.errors import ConfigError, Problem, ResourceError, raise_all
from segtrain.core.events import StillWorking
from segtrain.execution.child import OUT_OF_MEMORY, reason, taken
from segtrain.execution.ray_nodes import (
    Mark,
    Needs,
    cores_of_a_gpu,
    differences,
    gpus_of,
    holds,
    marked,
    node_faults,
)
from segtrain.execution.ray_task import Order, Stranger, TooLarge, do
from segtrain.execution.workers import ATTENTION_SECONDS, Died, Done

Piece = TypeVar("Piece")
Result = TypeVar("Result")

NO_REPORTS = {"RAY_USAGE_STATS_ENABLED": "0"}
"""What Ray reads from the environment: no reports home."""

REACH_SECONDS = 10.0
"""Ray itself tries for minutes to reach a cluster that is not there."""

LOST_MOST = 3
"""So many nodes may die under a piece before it is suspected of killing them."""

NOBODY_SECONDS = 300.0
"""How long the pieces wait where no node is left that could do one: others may be starting."""

GRACE_SECONDS = 15.0
"""An interrupted task leaves its folder in order within this; then it is killed."""

SECONDS_OF_A_LOOK = 5.0
"""Between two looks at which nodes are alive."""


@dataclass(frozen=True)
class RayCluster:
    """A cluster that this process is connected to, as an `Executor`; `ray_cluster` makes one."""

    ray: Any
    """The package."""
    folder: Path
    """What the pieces write to; every node sees it."""
    needs: Needs
    at_most: int | None
    """Pieces at the same time; None: as many as the cluster holds."""

    @property
    def is_here(self) -> bool:
        """Even a cluster with room for one piece does it."""
        return False

    @property
    def threads(self) -> int:
        """The cores that Ray keeps for a piece."""
        return self.needs.cores

    def each(
        self, function: Callable[[Piece], Result], pieces: Sequence[Piece], *, hang_seconds: float
    ) -> Generator[Done[Piece, Result] | Died[Piece] | StillWorking, None, None]:
        """As `Executor.each`. A piece that takes longer than `hang_seconds` counts as dead.

        Raises ConfigError where a node that joined late is not like this machine, and ResourceError where no node is
        left that could do a piece.
        """
        if not pieces:
            return
        with marked(self.folder) as mark:
            crew = _Crew(self, mark, lambda piece: Order(function, piece, mark, hang_seconds))
            once_more: list[Piece] = []
            with closing(crew.tried(pieces, self.at_most or len(pieces))) as outcomes:
                for outcome in outcomes:
                    if isinstance(outcome, Died) and not outcome.again:
                        once_more.append(outcome.piece)
                        yield replace(outcome, again=True)
                    else:
                        yield outcome
            yield from crew.tried(once_more, 1)


@contextmanager
def ray_cluster(
    address: str, folder: Path, *, gpus: int = 0, cores: int | None = None, at_most: int | None = None
) -> Iterator[RayCluster]:
    """Connect to the cluster at an address, `auto` or HOST:PORT, this machine being one of its nodes.

    A piece takes so many `gpus` and `cores`: without a number one core, or a GPU's share of its node's.
    Raises ConfigError where Ray is not installed, the cluster is not there, or has a node that is not like this
    machine or does not see the folder; ResourceError where no node has what a piece takes.
    """
    ray = _connected(address)
    try:
        nodes = ray.nodes()
        needs = Needs(cores or (cores_of_a_gpu(nodes) if gpus else 1), gpus)
        if not any(holds(node, needs) for node in nodes):
            hint = "take fewer with --threads-per-run, or start nodes that have them"
            raise ResourceError(Problem(f"no node of the cluster has {needs} for a run", address, hint=hint))
        with marked(folder) as mark:
            _require_alike(ray, needs, mark)
        yield RayCluster(ray, folder, needs, at_most)
    finally:
        ray.shutdown()


def _require_alike(ray: Any, needs: Needs, mark: Mark) -> None:
    """ConfigError for each node that may do a piece and is not like this machine."""
    raise_all(ConfigError, node_faults(ray, [node for node in ray.nodes() if holds(node, needs)], mark))


def gpus_in(cluster: RayCluster) -> int:
    """GPUs of the cluster, whether pieces take them or not."""
    return gpus_of(cluster.ray.nodes())


def _connected(address: str) -> Any:
    """The package, connected. Nothing is started, and nothing but the cluster is talked to."""
    if find_spec("ray") is None:
        hint = "pip install 'segtrain[ray]', here and on each node"
        raise ConfigError(Problem("not installed: ray", "--executor ray", hint=hint))
    _require_reachable(address)
    os.environ.update(NO_REPORTS)
    ray = import_module("ray")
    in_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (ConnectionError, RuntimeError, ValueError) as error:
        why = " ".join(str(error).split())
        hint = "start one with `ray start --head`, or give --address HOST:PORT; docs/clusters.md has the commands"
        raise ConfigError(Problem("no Ray cluster can be used", f"--address {address}", why, hint)) from error
    finally:
        if in_main and before is not None:
            signal.signal(signal.SIGTERM, before)  # Ray's would end the process without saving anything
    return ray


def _require_reachable(address: str) -> None:
    """ConfigError where nobody listens; a wrong address would otherwise be tried for minutes, and end the process."""
    if address == "auto":
        return
    match = re.fullmatch(r"\[?([\w.:-]+?)\]?:(\d+)", address)
    if match is None:
        hint = "`auto`, or HOST:PORT as `ray start --head` says; ray:// is not needed on a node of the cluster"
        raise ConfigError(Problem(f"this is no address of a Ray cluster: {address}", "--address", hint=hint))
    try:
        socket.create_connection((match[1], int(match[2])), timeout=REACH_SECONDS).close()
    except (OSError, OverflowError) as error:
        hint = "`ray status` on the cluster's head tells whether it runs"
        raise ConfigError(Problem("nobody answers there", f"--address {address}", str(error), hint)) from error


@dataclass(eq=False)
class _Try:
    """A piece that is being worked on."""

    piece: Any
    begun: float = 0.0
    lost: int = 0
    """Nodes that died under it."""


class _Crew:
    """Tasks that are under way, and what becomes of them."""

    def __init__(self, cluster: RayCluster, mark: Mark, order: Callable[[Any], Order]) -> None:
        self._ray, self._needs = cluster.ray, cluster.needs
        self._mark, self._order = mark, order
        options = {"num_cpus": self._needs.cores, "num_gpus": self._needs.gpus, "scheduling_strategy": "SPREAD"}
        self._task = self._ray.remote(**options, max_retries=0, max_calls=1)(do)
        self._looked = self._able = time.monotonic()

    def tried(
        self, pieces: Sequence[Piece], room: int
    ) -> Generator[Done[Piece, Any] | Died[Piece] | StillWorking, None, None]:
        """Each piece, `room` at the same time; a `Died` is `again` where it was lost with its node and goes on."""
        waiting = deque(_Try(piece) for piece in pieces)
        running: dict[Any, _Try] = {}
        try:
            while waiting or running:
                while waiting and len(running) < room:
                    attempt = waiting.popleft()
                    attempt.begun = time.monotonic()
                    running[self._task.remote(self._order(attempt.piece))] = attempt
                ended, _ = self._ray.wait(list(running), timeout=ATTENTION_SECONDS)
                self._require_nodes()
                if not ended:
                    yield StillWorking()
                for ref in ended:
                    attempt = running.pop(ref)
                    outcome = self._outcome(ref, attempt)
                    if isinstance(outcome, Died) and outcome.again:
                        waiting.append(attempt)
                    yield outcome
        finally:
            self._end(list(running))

    def _outcome(self, ref: Any, attempt: _Try) -> Done[Any, Any] | Died[Any]:
        """What a task ended with; raises what its function raised."""
        errors = self._ray.exceptions
        try:
            answered = self._ray.get(ref)
        except errors.RayTaskError as error:  # it could not begin, as on a node that joined late and has no segtrain
            _require_alike(self._ray, self._needs, self._mark)
            raise ConfigError(_unable(error)) from error
        except (errors.NodeDiedError, errors.LocalRayletDiedError, errors.ObjectLostError) as error:
            attempt.lost += 1
            return Died(attempt.piece, f"its node was lost: {_in_short(error)}", attempt.lost < LOST_MOST)
        except errors.RayError as error:
            limit = self._order(attempt.piece).hang_seconds
            hung = time.monotonic() - attempt.begun >= limit
            why = f"it gave no answer in {limit / 60:.0f} minutes" if hung else _in_short(error)
            return Died(attempt.piece, why, again=False)
        if isinstance(answered, Stranger):
            raise ConfigError(*differences(answered.node, answered.seen, self._mark))
        if isinstance(answered, TooLarge):
            return Died(attempt.piece, reason(OUT_OF_MEMORY), again=False)
        return Done(attempt.piece, taken(answered))

    def _require_nodes(self) -> None:
        """ResourceError where for minutes no node is alive that could do a piece."""
        now = time.monotonic()
        if now - self._looked < SECONDS_OF_A_LOOK:
            return
        self._looked = now
        if any(holds(node, self._needs) for node in self._ray.nodes()):
            self._able = now
        elif now - self._able > NOBODY_SECONDS:
            what = f"no node of the cluster is left that has {self._needs} for a run"
            raise ResourceError(Problem(what, hint="start nodes with `ray start`, then the same command with --resume"))

    def _end(self, running: list[Any]) -> None:
        """Interrupt tasks, then kill those that do not end."""
        for ref in running:
            self._ray.cancel(ref)
        if running:
            _, running = self._ray.wait(running, num_returns=len(running), timeout=GRACE_SECONDS)
        for ref in running:
            self._ray.cancel(ref, force=True)


def _unable(error: Exception) -> Problem:
    """Where a task could not begin and why; Ray has both in its text alone."""
    text = str(error).strip()
    at = re.search(r"\bip=([^,)\s]+)", text)
    where = f"node {at[1]}" if at else ""
    why = text.rpartition("\n")[2]
    return Problem("a node of the cluster cannot begin a run", where, why, "try `segtrain doctor` there")


def _in_short(error: Exception) -> str:
    """What Ray says before it names its log files."""
    return re.split(r"(?<=\.) (?=Check|This can|To see)|\n", str(error).strip(), maxsplit=1)[0]
