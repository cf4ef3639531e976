"""Time and memory of the losses of a sweep."""

from __future__ import annotations

import pytest

from segtrain.recipes.run_folder import write_record
from segtrain.recipes.sweep.costs import costs, step_seconds
from segtrain.reports.contents import LossCost
from segtrain.reports.tables import write_csv
from tests.recipes.sweeps import begun, runs


def write_epochs(run, times, memory, **record):
    rows = [[i, 10 * i, s, m] for i, (s, m) in enumerate(zip(times, memory, strict=True), start=1)]
    write_csv(run.folder.metrics, ["epoch", "step", "seconds", "peak_memory_mib"], rows)
    write_record(run.folder, record)


@pytest.fixture
def sweep(tmp_path):
    return begun(tmp_path)


def test_the_median_over_epochs_and_runs_and_the_closest_bound_of_memory(sweep):
    first, *others = [run for run in runs(sweep) if run.entry.label == "dice"]
    write_epochs(first, (90, 2, 2), (500, 600, 600), finished="now", seconds=120)
    write_epochs(others[0], (4, 4, 4), (900, 900, 900), finished="now", seconds=240)
    write_epochs(others[1], (9,), (950,), seconds=9)
    dice = next(cost for cost in costs(runs(sweep)) if cost.loss == "dice")
    assert dice == LossCost("dice", 3, 0.4, 0.2, 0.9, 3.0, 600)


def test_a_loss_that_never_trained_costs_nothing_that_is_known(sweep):
    assert costs(runs(sweep)) == [LossCost(loss, 0) for loss in ("dice_ce", "dice", "focal")]


def test_seconds_are_those_of_the_steps_of_an_epoch():
    rows = [{"step": 10, "seconds": 5.0}, {"step": 30, "seconds": 5.0}, {"step": 30, "seconds": 1.0}, {"seconds": 1.0}]
    assert list(step_seconds(rows)) == [0.5, 0.25]


def test_a_resumed_run_that_lost_an_epoch_of_seconds_goes_on_from_its_steps():
    assert list(step_seconds([{"step": 10, "seconds": None}, {"step": 20, "seconds": 5.0}])) == [0.5]
