"""The runs of a sweep, one after another or in several processes: the same runs, and each costs itself alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from segtrain.core.events import Note, RunEnded
from segtrain.data.splits import Splits
from segtrain.execution.executor import ONE_PROCESS, Processes
from segtrain.recipes.compare_losses import compare_losses
from segtrain.recipes.fitting.sound import Shared
from segtrain.recipes.run_folder import write_record
from segtrain.recipes.sweep.one_run import Ended
from segtrain.recipes.sweep.plan import runs_of, settings_of
from segtrain.recipes.sweep.runs import Jobs, do_runs
from tests.plans import small_plan
from tests.recipes.projects import CONFIG, DEADLY_LOSS, load, result_of, write_study

TWO = "compare: {losses: [dice_ce, dice], folds: 2, seeds: [4], baseline: dice_ce}\n"


@pytest.fixture
def jobs(tmp_path):
    """Four runs that were not begun, and no cases to do them with."""
    write_study(tmp_path, CONFIG + TWO, cases=())
    loaded = load(tmp_path)
    runs = runs_of(settings_of(loaded), tmp_path / "sweep")
    shared = Shared(small_plan(), Splits(seed=0, folds=()), (), {})
    return Jobs(loaded, runs, runs, (shared, shared), "cpu")


def ended(work):
    return [(event.name, event.message) for event in work if isinstance(event, RunEnded)]


def test_what_is_settled_is_not_done_again_and_each_is_told(jobs):
    first, *others = jobs.runs
    first.keep_failure("the loss is nan")
    for one in others:
        write_record(one.folder, {"finished": "now"})
    told = ended(do_runs(jobs, ONE_PROCESS))
    assert told == [(first.name, "failed before: the loss is nan"), *((one.name, "finished before") for one in others)]


def test_a_run_that_has_its_scores_at_the_rung_is_settled_there_and_not_at_the_end(jobs):
    one = jobs.runs[0]
    one.rung(3).parent.mkdir(parents=True)
    one.rung(3).touch()
    assert replace(jobs, until=3).settled(one) == "was at epoch 3 before"
    assert replace(jobs, until=6).settled(one) is None
    assert jobs.settled(one) is None


def test_all_runs_have_the_steps_of_the_first_one_of_the_sweep_though_it_was_dropped(jobs):
    write_record(jobs.runs[0].folder, {"steps_per_epoch": 17})
    left = replace(jobs, runs=jobs.runs[1::2], until=3)
    assert [(left.job(one).shared.steps_per_epoch, left.job(one).until) for one in left.runs] == [(17, 3)] * 2


@pytest.mark.parametrize("executor", [ONE_PROCESS, pytest.param(Processes(2), marks=pytest.mark.slow)])
def test_a_run_that_breaks_off_costs_itself_alone(jobs, executor):
    """There are no cases to do the runs with."""
    assert list(result_of(do_runs(jobs, executor))) == [one.name for one in jobs.runs]


@pytest.fixture
def timed(jobs):
    """The same, with a budget of minutes."""
    training = jobs.loaded.config.training.model_copy(update={"budget_minutes": 1.0})
    return replace(
        jobs, loaded=replace(jobs.loaded, config=jobs.loaded.config.model_copy(update={"training": training}))
    )


@pytest.mark.parametrize("executor", [ONE_PROCESS, Processes(2)])
def test_where_the_run_that_is_timed_breaks_off_the_others_wait_for_it(timed, executor):
    assert [name for name, _ in ended(do_runs(timed, executor))] == [timed.runs[0].name]


@pytest.mark.parametrize("executor", [ONE_PROCESS, Processes(2)])
def test_after_a_loss_that_diverged_while_it_was_timed_the_next_run_is_timed(timed, executor):
    first, second, *_ = timed.runs
    first.keep_failure("the loss is nan")
    told = ended(do_runs(timed, executor))
    assert [name for name, _ in told] == [first.name, second.name], "it breaks off, for there are no cases"
    write_record(second.folder, {"steps_per_epoch": 17})
    assert [timed.job(one).shared.steps_per_epoch for one in timed.runs] == [17] * 4


class Elsewhere:
    """An executor that does nothing but write down what it was given."""

    is_here, threads = False, 3

    def __init__(self):
        self.given = []

    def each(self, function, pieces, *, hang_seconds):
        self.given += [(piece.one.name, piece.threads, piece.shared.steps_per_epoch) for piece in pieces]
        yield from ()


def test_a_run_is_timed_with_the_threads_of_all_others(timed, monkeypatch):
    found = {}

    def run_events(job):
        found[job.one.name] = torch.get_num_threads()
        write_record(job.one.folder, {"steps_per_epoch": 17})
        yield Note("a step")
        return Ended("done")

    monkeypatch.setattr("segtrain.recipes.sweep.runs.run_events", run_events)
    before, executor = torch.get_num_threads(), Elsewhere()
    list(do_runs(timed, executor))
    first, *others = timed.runs
    assert found == {first.name: 3}
    assert executor.given == [(one.name, 3, 17) for one in others]
    assert torch.get_num_threads() == before


@pytest.mark.slow
def test_runs_in_several_processes_are_the_same_runs(tmp_path):
    """Bit for bit: each has one thread, as here, and its own folder."""
    write_study(tmp_path, CONFIG.replace("epochs: 2", "epochs: 1") + TWO)
    here = list(compare_losses(load(tmp_path), tmp_path / "here", device="cpu"))[-1]
    *events, there = compare_losses(load(tmp_path), tmp_path / "there", device="cpu", executor=Processes(2))
    assert sorted(event.name for event in events if isinstance(event, RunEnded)) == [
        f"{loss}, fold {fold}, seed 4" for loss in ("dice", "dice_ce") for fold in (0, 1)
    ]
    assert there.failed == ()
    assert there.result["ranking"] == here.result["ranking"]
    assert (tmp_path / "there/claims.csv").read_bytes() == (tmp_path / "here/claims.csv").read_bytes()


@pytest.mark.slow
def test_a_run_whose_process_dies_leaves_the_others_and_is_tried_again(tmp_path):
    """The loss kills its process twice, and is mended before the sweep goes on."""
    (tmp_path / "mine.py").write_text(DEADLY_LOSS)
    losses = (
        "compare: {losses: [dice, {name: 'mine.py:Deadly', label: deadly}], folds: 2, seeds: [0], baseline: dice}\n"
    )
    write_study(tmp_path, CONFIG.replace("epochs: 2", "epochs: 1") + losses)
    *events, end = compare_losses(load(tmp_path), tmp_path / "sweep", device="cpu", executor=Processes(2))
    assert sum("its process died" in event.text for event in events if isinstance(event, Note)) == 2
    assert end.failed == ("deadly, fold 0, seed 0", "deadly, fold 1, seed 0")
    assert set(end.result["broken_runs"]) == set(end.failed)
    status = {row["loss"]: row["status"] for row in end.result["ranking"]}
    assert status == {"dice": "ok", "deadly": "incomplete"}
    (tmp_path / "alive").touch()
    *_, end = compare_losses(load(tmp_path), tmp_path / "sweep", device="cpu", executor=Processes(2), resume=True)
    assert end.failed == ()
    assert {row["status"] for row in end.result["ranking"]} == {"ok"}
