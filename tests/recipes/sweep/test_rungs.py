"""Where losses may be dropped, and what was decided there, as a sweep keeps it."""

from __future__ import annotations

import json

import pytest

from segtrain.core.errors import ConfigError, DataError
from segtrain.recipes.sweep.plan import runs_of, settings_of
from segtrain.recipes.sweep.rungs import decisions_in, keep_rung, read_rung, rung_epochs, saved_share, still_in
from tests.recipes.projects import CONFIG, load
from tests.recipes.sweeps import COMPARE
from tests.reports.comparisons import rung

HALVING = "compare.strategy=halving"


@pytest.fixture
def loaded(tmp_path):
    return load(tmp_path, HALVING, "training.epochs=24", text=CONFIG + COMPARE)


def test_rungs_are_whole_epochs_before_the_end(tmp_path):
    text = CONFIG + COMPARE

    def epochs(number, rungs="[0.25, 0.5]"):
        return rung_epochs(
            load(tmp_path, HALVING, f"training.epochs={number}", f"compare.halving.rungs={rungs}", text=text)
        )

    assert epochs(24) == (6, 12)
    assert epochs(5) == (1, 2)
    assert epochs(3) == (1, 2)
    assert epochs(10, "[0.1, 0.15, 0.7, 0.95]") == (1, 2, 7, 9)
    assert rung_epochs(load(tmp_path, text=text)) == ()


@pytest.mark.parametrize(("epochs", "says"), [(1, "with 1 epoch there"), (2, "with 2 epochs there")])
def test_a_training_without_room_for_two_rungs_is_refused(tmp_path, epochs, says):
    with pytest.raises(ConfigError, match=f"{says} are no two rungs"):
        rung_epochs(load(tmp_path, HALVING, f"training.epochs={epochs}", text=CONFIG + COMPARE))


@pytest.mark.parametrize(
    ("changes", "least"),
    [
        (["training.epochs=2"], ["training.epochs=3"]),
        (["training.epochs=4", "training.validate_every=3"], ["training.epochs=7"]),
        (["training.epochs=4", "compare.halving.rungs=[0.9, 0.95]"], ["training.epochs=11"]),
        (["training.epochs=50", "training.budget_minutes=0.6"], ["training.budget_minutes=1"]),
        (
            ["training.epochs=2", "training.budget_minutes=0.5", "training.validate_every=2"],
            ["training.epochs=5", "training.budget_minutes=1.67"],
        ),
    ],
)
def test_the_least_that_would_do_is_named_and_does(tmp_path, changes, least):
    text = CONFIG + COMPARE
    with pytest.raises(ConfigError) as refused:
        rung_epochs(load(tmp_path, HALVING, *changes, text=text))
    (problem,) = refused.value.problems
    assert problem.hint.startswith(f"{' and '.join(least)}: the least that works")
    assert len(rung_epochs(load(tmp_path, HALVING, *changes, *least, text=text))) == 2


def test_losses_are_judged_after_an_epoch_that_is_validated(tmp_path):
    """A run is judged by its best validated epoch: at any other nothing would be new."""
    changes = (HALVING, "training.validate_every=5")
    assert rung_epochs(load(tmp_path, *changes, "training.epochs=24", text=CONFIG + COMPARE)) == (5, 10)
    assert rung_epochs(load(tmp_path, *changes, "training.epochs=12", text=CONFIG + COMPARE)) == (5, 10)
    with pytest.raises(ConfigError, match="no two rungs before the end"):
        rung_epochs(load(tmp_path, *changes, "training.epochs=5", text=CONFIG + COMPARE))


def test_a_budget_has_its_rungs_in_the_epochs_that_it_has_time_for(tmp_path):
    loaded = load(tmp_path, HALVING, "training.epochs=200", "training.budget_minutes=4", text=CONFIG + COMPARE)
    assert rung_epochs(loaded) == (3, 6)  # 12 epochs of 20 seconds


def test_a_decision_that_was_kept_is_the_same_when_it_is_read(tmp_path, loaded):
    assert decisions_in(tmp_path, loaded) == []
    kept = rung(not_judged={"focal": "focal, fold 0, seed 0 diverged"})
    keep_rung(tmp_path, kept)
    assert read_rung(tmp_path, kept.epoch) == kept
    assert decisions_in(tmp_path, loaded) == [kept]


def test_a_damaged_decision_is_named_and_not_taken_again(tmp_path, loaded):
    keep_rung(tmp_path, rung())
    file = tmp_path / "rungs" / "6.json"
    record = json.loads(file.read_text())
    del record["found"]["standings"][0]["decision"]
    file.write_text(json.dumps(record))
    with pytest.raises(DataError, match=r"6\.json"):
        decisions_in(tmp_path, loaded)


def test_runs_of_dropped_losses_are_out_and_their_missing_steps_are_what_is_saved(tmp_path, loaded):
    runs = runs_of(settings_of(loaded), tmp_path)
    taken = [rung(dropped=("focal",)), rung(epoch=12, dropped=())]
    assert [run.name for run in still_in(runs, taken)] == [run.name for run in runs if run.entry.label != "focal"]
    assert saved_share(runs, taken) == pytest.approx(1 / 3 * 18 / 24)
    assert saved_share(runs, []) == 0
