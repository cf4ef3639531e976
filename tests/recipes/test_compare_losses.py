"""A sweep fits each loss alike, keeps what diverged, and goes on where it was broken off."""

from __future__ import annotations

import json

import pytest

from segtrain.core.errors import ConfigError, DataError
from segtrain.core.events import EpochEnded, Finished, RunEnded, StepEnded
from segtrain.recipes.compare_losses import compare_losses, dry_run
from segtrain.recipes.run_folder import LOCK
from segtrain.training import checkpoint
from tests.recipes.projects import BROKEN_LOSS, CASES, CONFIG, close_at, load, step, write_study

TWO = "compare: {losses: [dice_ce, dice], folds: 2, seeds: [4, 0], baseline: dice_ce}\n"


def runs_in(folder):
    return sorted(path.parent for path in folder.glob("runs/*/*/*/run.json"))


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_loss_that_diverges_is_kept_as_failed_and_the_others_go_on(swept):
    ended = [(event.name, event.message.partition(" is ")[0]) for event in swept.events if isinstance(event, RunEnded)]
    assert ended == [
        ("dice_ce, fold 0, seed 0", "done"),
        ("broken, fold 0, seed 0", "the loss"),
        ("dice_ce, fold 1, seed 0", "done"),
        ("broken, fold 1, seed 0", "the loss"),
    ]
    assert swept.result["failed"] == ["broken, fold 0, seed 0", "broken, fold 1, seed 0"]
    assert [row["status"] for row in swept.result["ranking"]] == ["ok", "failed"]


def test_every_case_is_scored_once_by_a_network_that_did_not_see_it(swept):
    held_out = [read(run / "splits.json")["folds"][0] for run in runs_in(swept.folder) if "dice_ce" in run.parts]
    assert sorted(case for fold in held_out for case in fold["validation"]) == list(CASES)
    claims = (swept.folder / "claims.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in claims] == ["case_id", *CASES]


def test_plan_and_prepared_cases_are_made_once_for_all(swept):
    plans = {(run / "plan.json").read_bytes() for run in runs_in(swept.folder)}
    assert plans == {(swept.folder / "plan.json").read_bytes()}
    assert len(list((swept.folder / "prepared").iterdir())) == len(CASES)
    assert list(swept.folder.glob("runs/**/prepared")) == []


def test_a_fit_of_a_sweep_does_not_end_the_sweep(swept):
    assert [type(event) for event in swept.events if isinstance(event, Finished)] == [Finished]
    assert isinstance(swept.events[-1], Finished)


def test_a_finished_sweep_trains_nothing_again_and_concludes_the_same(swept):
    events = list(compare_losses(load(swept.config.parent), swept.folder, resume=True, device="cpu"))
    assert not [event for event in events if isinstance(event, StepEnded | EpochEnded)]
    messages = [event.message.partition(":")[0] for event in events if isinstance(event, RunEnded)]
    assert messages == ["finished before", "failed before"] * 2
    assert {**events[-1].result, "failed": list(events[-1].failed)} == swept.result


def test_a_case_is_held_out_in_the_same_fold_of_every_loss_and_seed(tmp_path, monkeypatch):
    write_study(tmp_path, CONFIG.replace("epochs: 2", "epochs: 1") + TWO)
    monkeypatch.setattr("segtrain.recipes.fit.write_run_report", lambda run: None)  # eight pages cost seconds
    monkeypatch.setattr("segtrain.recipes.compare_losses.conclude", lambda run: {"schema_version": 1})
    list(compare_losses(load(tmp_path), tmp_path / "sweep", device="cpu"))
    splits = {
        (loss, seed): [read(tmp_path / f"sweep/runs/{loss}/{fold}/{seed}/splits.json")["folds"] for fold in (0, 1)]
        for loss in ("dice_ce", "dice")
        for seed in (4, 0)
    }
    assert all(folds == splits["dice_ce", 4] for folds in splits.values())
    assert {read(run / "run.json")["seed"] for run in runs_in(tmp_path / "sweep")} == {4, 0}


def test_broken_off_it_goes_on_within_the_run(tmp_path):
    write_study(tmp_path, CONFIG + TWO)
    close_at(compare_losses(load(tmp_path), tmp_path / "sweep", device="cpu"), step(2))
    first = tmp_path / "sweep/runs/dice_ce/0/4"
    assert checkpoint.read_about(first / "checkpoints" / "last")["step"] == 2
    assert not list((tmp_path / "sweep").rglob(LOCK))
    again = compare_losses(load(tmp_path), tmp_path / "sweep", resume=True, device="cpu")
    assert close_at(again, lambda event: isinstance(event, StepEnded)).step == 3


def test_all_faults_of_all_losses_are_named_before_anything_is_written(tmp_path):
    (tmp_path / "mine.py").write_text(BROKEN_LOSS)
    losses = "[dice, {name: tversky, fn_weight: -1}, 'mine.py:Vector']"
    write_study(tmp_path, CONFIG + f"compare: {{losses: {losses}, folds: 2, baseline: dice}}\n")
    with pytest.raises(ConfigError, match=r"fn_weight[\s\S]*not one number"):
        list(compare_losses(load(tmp_path), tmp_path / "sweep", device="cpu"))
    assert not (tmp_path / "sweep").exists()


def test_a_sweep_over_too_few_patients_leaves_nothing_behind(tmp_path):
    write_study(tmp_path, CONFIG + TWO.replace("folds: 2", "folds: 5"))
    with pytest.raises(DataError, match="too few patients"):
        list(compare_losses(load(tmp_path), tmp_path / "sweep", device="cpu"))
    assert list((tmp_path / "sweep").iterdir()) == []


def test_a_sweep_that_is_there_is_not_begun_again_without_a_word(swept):
    with pytest.raises(ConfigError, match="not empty"):
        next(compare_losses(load(swept.config.parent), swept.folder, device="cpu"))


def test_a_dry_run_counts_runs_and_steps(study):
    found = dry_run(load(study))
    assert (found["losses"], found["runs"], found["steps"]) == (["dice_ce", "broken"], 4, 4 * 2 * 3)
    assert dry_run(load(study, "training.budget_minutes=2"))["minutes_of_training"] == 8
