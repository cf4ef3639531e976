"""Pieces of work on a Ray cluster: two nodes on this machine, of which one is lost. Slow, as a cluster is to start."""

from __future__ import annotations

import signal
import socket
import threading
import time
from contextlib import closing, nullcontext
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from segtrain.core.errors import ConfigError, ResourceError, UnreadableScan
from segtrain.core.events import StillWorking
from segtrain.execution import ray_cluster as module
from segtrain.execution.ray_cluster import gpus_in, ray_cluster
from segtrain.execution.ray_nodes import Mark, marked, name_of, node_faults
from segtrain.execution.ray_task import PATIENCE_SECONDS
from segtrain.execution.workers import Died, Done
from tests.execution import pieces
from tests.execution.clusters import cluster_of, lose, needs_ray
from tests.execution.pieces import Piece
from tests.execution.test_workers import gone, results

TIMEOUT = 60.0


def test_without_the_extra_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'segtrain\[ray\]'"), ray_cluster("auto", tmp_path):
        pass


@needs_ray
@pytest.mark.parametrize("address", ["ray://head:10001", "head", "local", "head:port", ""])
def test_what_is_no_address_is_refused(address, tmp_path):
    with pytest.raises(ConfigError, match="no address of a Ray cluster"), ray_cluster(address, tmp_path):
        pass


@needs_ray
@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "[::1]:{port}", "nobody.invalid:{port}", "127.0.0.1:99999"])
def test_where_nobody_answers_is_told_at_once(address, tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    begun = time.monotonic()
    with pytest.raises(ConfigError, match="nobody answers"), ray_cluster(address.format(port=port), tmp_path):
        pass
    assert time.monotonic() - begun < 2 * module.REACH_SECONDS


@pytest.fixture(scope="module")
def nodes():
    if find_spec("ray") is None:
        pytest.skip("needs the extra ray")
    with cluster_of(2) as cluster:
        yield cluster


@pytest.fixture
def cluster(nodes, tmp_path, monkeypatch):
    """A connection to it."""
    monkeypatch.chdir(tmp_path)
    with ray_cluster(nodes.address, tmp_path) as connected:
        yield connected


@pytest.fixture
def work(tmp_path):
    return [Piece(number, tmp_path) for number in range(6)]


def each(cluster, function, work, hang_seconds=TIMEOUT):
    """What came of the pieces."""
    with closing(cluster.each(function, work, hang_seconds=hang_seconds)) as outcomes:
        yield from (outcome for outcome in outcomes if not isinstance(outcome, StillWorking))


@pytest.mark.slow
class TestOnTwoNodes:
    def test_every_piece_is_done_once_in_a_process_of_its_own(self, cluster, work):
        found = results(each(cluster, pieces.square, work))
        assert [found[number][1] for number in range(6)] == [0, 1, 4, 9, 16, 25]
        assert len({pid for pid, _ in found.values()}) == 6

    def test_nothing_is_left_in_the_folder(self, cluster, work, tmp_path):
        list(each(cluster, pieces.square, work[:1]))
        assert list(tmp_path.iterdir()) == []
        assert list(each(cluster, pieces.square, [])) == []

    def test_no_more_pieces_are_in_work_than_there_are_cores(self, cluster, work):
        """Of two, one may be in work when the other ends."""
        assert max(results(each(cluster, pieces.slowly, work)).values()) <= 1
        assert (cluster.is_here, cluster.threads, gpus_in(cluster)) == (False, 1, 0)

    def test_fewer_may_be_asked_for(self, cluster, work):
        one = replace(cluster, at_most=1)
        assert set(results(each(one, pieces.slowly, work[:3])).values()) == {0}

    def test_a_process_is_patient(self, cluster, work):
        assert results(each(cluster, pieces.patience, work[:1])) == {0: PATIENCE_SECONDS}

    def test_a_piece_that_kills_its_process_is_tried_twice_and_the_others_are_done(self, cluster, work):
        outcomes = list(each(cluster, pieces.killed_at_3, work))
        assert sorted(results(outcomes)) == [0, 1, 2, 4, 5]
        first, second = (outcome for outcome in outcomes if isinstance(outcome, Died))
        assert (first.piece.number, first.again) == (second.piece.number, True) == (3, True)
        assert outcomes[-1] is second
        assert not second.again
        assert second.why == "The worker died unexpectedly while executing this task."

    def test_a_second_try_that_succeeds_is_done(self, cluster, work):
        outcomes = list(each(cluster, pieces.killed_at_3_once, work))
        assert sorted(results(outcomes)) == list(range(6))
        assert [outcome.again for outcome in outcomes if isinstance(outcome, Died)] == [True]

    def test_too_little_memory_costs_one_piece(self, cluster, work):
        first, second = each(cluster, pieces.no_memory, work[:1])
        assert (first.why, first.again, second.again) == ("out of memory", True, False)

    def test_a_piece_may_not_take_for_ever(self, cluster, work):
        first, second = each(cluster, pieces.endless, work[:1], hang_seconds=1.5)
        assert isinstance(first, Died)
        assert "no answer" in first.why
        assert not second.again

    def test_what_a_function_raises_comes_whole_and_ends_the_rest(self, cluster, work):
        with pytest.raises(UnreadableScan, match="case 3"):
            list(each(cluster, pieces.unreadable, work[3:]))

    def test_closed_early_it_lets_tasks_leave_in_order(self, cluster, work, tmp_path):
        self.closed_when(each(cluster, pieces.orderly, work), tmp_path, "*.begun")
        ended = sorted(path.stem for path in tmp_path.glob("*.ended"))
        assert ended == sorted(path.stem for path in tmp_path.glob("*.begun"))
        assert len(ended) == 2

    def test_closed_early_it_ends_what_cannot_be_interrupted(self, cluster, work, tmp_path, monkeypatch):
        monkeypatch.setattr(module, "GRACE_SECONDS", 0.5)
        self.closed_when(each(cluster, pieces.endless, work), tmp_path, "*.pid")
        pids = [int(path.read_text()) for path in tmp_path.glob("*.pid")]
        assert len(pids) == 2
        assert gone(pids)

    @staticmethod
    def closed_when(outcomes, folder: Path, pattern: str) -> None:
        """Interrupt it, as Ctrl-C does, once two pieces have begun."""

        def interrupt():
            limit = time.monotonic() + TIMEOUT
            while len(list(folder.glob(pattern))) < 2 and time.monotonic() < limit:
                time.sleep(0.01)
            signal.pthread_kill(main, signal.SIGINT)

        main = threading.main_thread().ident
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Thread(target=interrupt, daemon=True).start()
        try:
            with pytest.raises(KeyboardInterrupt):
                next(outcomes)
        finally:
            signal.signal(signal.SIGINT, before)

    def test_signals_stay_those_of_the_command(self, nodes, tmp_path):
        before = signal.getsignal(signal.SIGTERM)
        with ray_cluster(nodes.address, tmp_path):
            assert signal.getsignal(signal.SIGTERM) is before

    def test_more_cores_than_any_node_has(self, nodes, tmp_path):
        says = "no node of the cluster has 3 cores"
        with pytest.raises(ResourceError, match=says), ray_cluster(nodes.address, tmp_path, cores=3):
            pass

    def test_gpus_that_no_node_has(self, nodes, tmp_path):
        with pytest.raises(ResourceError, match="1 GPU"), ray_cluster(nodes.address, tmp_path, gpus=1):
            pass

    def test_every_node_that_does_not_see_the_folder_is_named(self, cluster, tmp_path):
        """The mark is gone before they look, as it is where the drive is not mounted."""
        with marked(tmp_path) as mark:
            pass
        able = [node for node in cluster.ray.nodes() if node["Resources"].get("CPU")]
        found = node_faults(cluster.ray, able, mark)
        assert [problem.what for problem in found] == ["a node of the cluster does not see the run folder"] * 2
        assert sorted(problem.where for problem in found) == sorted(f"node {name_of(node)}" for node in able)

    def test_a_cluster_of_another_version_is_refused(self, nodes, tmp_path, monkeypatch):
        (tmp_path / "mark").write_text("1")
        newer = {"segtrain": "99.0", "torch": "99.0", "mark": "1", "folder": "True"}
        monkeypatch.setattr(module, "marked", lambda folder: nullcontext(Mark(tmp_path / "mark", tmp_path, newer)))
        with pytest.raises(ConfigError) as error, ray_cluster(nodes.address, tmp_path):
            pass
        assert len(error.value.problems) == 4
        assert "99.0 here" in str(error.value)

    def test_a_node_that_is_another_when_its_task_begins_ends_the_rest(self, cluster, work, tmp_path):
        outcomes = each(cluster, pieces.slowly, work)
        next(outcomes)
        (mark,) = tmp_path.glob(".cluster.*.tmp")
        mark.write_text("another drive")
        with pytest.raises(ConfigError, match="does not see the run folder"):
            list(outcomes)

    def test_a_node_whose_packages_are_broken_is_named(self, cluster):
        with pytest.raises(ConfigError, match="cannot begin a run") as error:
            list(each(cluster, pieces.square, [pieces.Unreadable()]))
        (problem,) = error.value.problems
        assert problem.where.startswith("node ")
        assert "libcudart.so.13 is missing" in problem.why

    def test_a_piece_whose_node_is_lost_is_done_at_once_on_another(self, cluster, work, nodes, tmp_path):
        """The last test: a node is missing from here on."""
        mark = tmp_path / "0.node"

        def lose_it():
            limit = time.monotonic() + TIMEOUT
            while not mark.exists() and time.monotonic() < limit:
                time.sleep(0.01)
            lose(nodes, mark.read_text())

        threading.Thread(target=lose_it, daemon=True).start()
        outcomes = list(each(cluster, pieces.on_a_node, work))
        assert sorted(results(outcomes)) == list(range(6))
        (died,) = (outcome for outcome in outcomes if isinstance(outcome, Died))
        assert (died.piece.number, died.again) == (0, True)
        assert died.why.startswith("its node was lost")
        (again,) = (outcome for outcome in outcomes if isinstance(outcome, Done) and outcome.piece.number == 0)
        assert again.result != mark.read_text()
