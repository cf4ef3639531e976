"""A sweep fits each loss alike, keeps what diverged, and goes on where it was broken off."""

from __future__ import annotations

import json
import shutil

import pytest

from segtrain.core.errors import ConfigError, DataError, DivergedError, OutOfMemory, Problem, SegtrainError
from segtrain.core.events import EpochEnded, Finished, Note, RunEnded, StepEnded
from segtrain.data.cases import find_cases
from segtrain.recipes.compare_losses import compare_losses
from segtrain.recipes.lock import LOCK
from segtrain.recipes.one_case import read_case
from segtrain.recipes.report import rebuild
from segtrain.training import checkpoint
from tests.faults.table import fault
from tests.recipes.projects import BROKEN_LOSS, CASES, CONFIG, close_at, finished, load, step, write_case, write_study

TWO = "compare: {losses: [dice_ce, dice], folds: 2, seeds: [4, 0], baseline: dice_ce}\n"


def runs_in(folder):
    return sorted(path.parent for path in folder.glob("runs/*/*/*/run.json"))


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


@fault("F24", "one loss of a sweep diverges", then="1, it is a row that failed; the others are done")
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


def test_plans_and_prepared_cases_are_made_once_for_all(swept):
    for run in runs_in(swept.folder):
        assert (run / "plan.json").read_bytes() == (swept.folder / f"plans/{run.parent.name}.json").read_bytes()
    assert len(list((swept.folder / "prepared").glob("*.safetensors"))) == len(CASES)
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
    monkeypatch.setattr(
        "segtrain.recipes.compare_losses.conclude", lambda run: {"schema_version": 1, "nothing_found": {}}
    )
    list(compare_losses(load(tmp_path), tmp_path / "sweep", device="cpu"))
    splits = {
        (loss, seed): [read(tmp_path / f"sweep/runs/{loss}/{fold}/{seed}/splits.json")["folds"] for fold in (0, 1)]
        for loss in ("dice_ce", "dice")
        for seed in (4, 0)
    }
    assert all(folds == splits["dice_ce", 4] for folds in splits.values())
    assert {read(run / "run.json")["seed"] for run in runs_in(tmp_path / "sweep")} == {4, 0}


def test_a_run_is_judged_with_its_last_weights_and_not_with_those_that_its_cases_chose(tmp_path, monkeypatch):
    """Else the one of two equal losses wins whose scores go up and down."""
    write_study(tmp_path, CONFIG + TWO)
    monkeypatch.setattr("segtrain.recipes.fit.write_run_report", lambda run: None)
    monkeypatch.setattr(
        "segtrain.recipes.compare_losses.conclude", lambda run: {"schema_version": 1, "nothing_found": {}}
    )
    load_model, kept = checkpoint.load_model, []
    monkeypatch.setattr(checkpoint, "load_model", lambda path, model: (kept.append(path.name), load_model(path, model)))
    list(compare_losses(load(tmp_path, "compare.seeds=[0]"), tmp_path / "sweep", device="cpu"))
    assert kept == ["last"] * 4


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
    assert not (tmp_path / "sweep").exists()


def test_a_sweep_that_is_there_is_not_begun_again_without_a_word(swept):
    with pytest.raises(ConfigError, match="not empty"):
        next(compare_losses(load(swept.config.parent), swept.folder, device="cpu"))


@pytest.fixture
def cut(tmp_path):
    """A sweep that was broken off in its first run."""
    write_study(tmp_path, CONFIG + TWO)
    close_at(compare_losses(load(tmp_path), tmp_path / "sweep", device="cpu"), step(2))
    return tmp_path / "sweep"


def go_on(cut, *overrides):
    return compare_losses(load(cut.parent, *overrides), cut, resume=True, device="cpu")


def test_scans_are_listed_once_a_sweep_and_read_for_the_plans_and_for_the_store(tmp_path, monkeypatch):
    write_study(tmp_path, CONFIG.replace("epochs: 2, steps_per_epoch: 3", "epochs: 1, steps_per_epoch: 1") + TWO)
    monkeypatch.setattr(
        "segtrain.recipes.compare_losses.conclude", lambda run: {"schema_version": 1, "nothing_found": {}}
    )
    counts = {"segtrain.recipes.one_case.read_case": 0, "segtrain.recipes.compare_losses.find_cases": 0}
    counts["segtrain.recipes.fitting.sound.find_cases"] = 0

    def counted(name, function):
        def call(*args):
            counts[name] += 1
            return function(*args)

        return call

    for name, function in zip(counts, (read_case, find_cases, find_cases), strict=True):
        monkeypatch.setattr(name, counted(name, function))
    list(compare_losses(load(tmp_path), tmp_path / "sweep", device="cpu"))
    assert list(counts.values()) == [2 * len(CASES), 1, 0]


def test_folds_are_read_back_when_a_sweep_goes_on(cut):
    first, second = read(cut / "splits.json")["folds"]
    (cut / "splits.json").write_text(json.dumps({"schema_version": 1, "seed": 9, "folds": [second, first]}))
    shutil.rmtree(cut / "runs")
    close_at(go_on(cut), step(1))
    assert read(cut / "runs/dice_ce/0/4/splits.json")["folds"] == [second]


def test_a_sweep_does_not_go_on_with_other_scans_or_other_cases(cut):
    before = (cut.parent / "images" / "P1_a.nii.gz").read_bytes()
    shutil.rmtree(cut / "runs")
    write_case(cut.parent, "P1_a", seed=99)
    with pytest.raises(DataError, match=r"not the ones this run began with[\s\S]*P1_a"):
        list(go_on(cut))
    (cut.parent / "images" / "P1_a.nii.gz").write_bytes(before)
    write_case(cut.parent, "P9_a")
    with pytest.raises(DataError, match=r"not in the split[\s\S]*P9_a"):
        list(go_on(cut))


def test_a_budget_is_timed_once_and_all_losses_get_the_same_steps(tmp_path, monkeypatch):
    paces = iter(range(2, 100))
    monkeypatch.setattr("segtrain.recipes.fitting.set_up.steps_per_epoch", lambda job: next(paces))
    monkeypatch.setattr(
        "segtrain.recipes.compare_losses.conclude", lambda run: {"schema_version": 1, "nothing_found": {}}
    )
    write_study(tmp_path, CONFIG.replace("steps_per_epoch: 3", "budget_minutes: 1") + TWO.replace("[4, 0]", "[4]"))
    close_at(compare_losses(load(tmp_path), tmp_path / "sweep", device="cpu"), step(1))
    list(compare_losses(load(tmp_path), tmp_path / "sweep", resume=True, device="cpu"))
    assert [read(run / "run.json")["steps_per_epoch"] for run in runs_in(tmp_path / "sweep")] == [2] * 4


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("compare.losses.1=dise", "dise"),
        ("evaluation.metrics=[iuo]", "iuo"),
        ("data.images=nowhere", "no such folder"),
        ("compare.folds=9", "too few patients"),
    ],
)
def test_a_sweep_is_not_emptied_for_one_that_cannot_begin(cut, override, says):
    before = sorted(cut.rglob("*"))
    with pytest.raises(SegtrainError, match=says):
        list(compare_losses(load(cut.parent, override), cut, overwrite=True, device="cpu"))
    assert sorted(cut.rglob("*")) == before


def test_a_loss_whose_file_changed_does_not_go_on(tmp_path):
    (tmp_path / "mine.py").write_text(BROKEN_LOSS)
    write_study(tmp_path, CONFIG + TWO.replace("dice]", "{name: 'mine.py:Breaks', label: mine}]"))
    close_at(compare_losses(load(tmp_path), tmp_path / "sweep", device="cpu"), step(1))
    (tmp_path / "mine.py").write_text(BROKEN_LOSS + "# mended\n")
    with pytest.raises(ConfigError, match=r"the code is not the one[\s\S]*mine\.py:Breaks"):
        list(go_on(tmp_path / "sweep"))


def test_a_sweep_that_is_done_needs_no_scans(swept, tmp_path):
    moved = shutil.copytree(swept.folder, tmp_path / "sweep", ignore=shutil.ignore_patterns("prepared"))
    hidden = swept.config.parent / "images"
    hidden.rename(hidden.with_name("hidden"))
    try:
        events = list(compare_losses(load(swept.config.parent), moved, resume=True, device="cpu"))
    finally:
        hidden.with_name("hidden").rename(hidden)
    assert isinstance(events[-1], Finished)


@pytest.mark.slow
def test_the_combo_of_the_post_ends_with_nothing_and_has_failed_and_combo_has_not(tmp_path, monkeypatch):
    """Minimised as the post has it, that loss is least where nothing is found."""
    monkeypatch.setattr("segtrain.recipes.sweep.comparison.write_plots", lambda folder, plots: None)
    monkeypatch.setattr("segtrain.recipes.fitting.watch.Picture.close", lambda self, ending: None)
    training = "training: {epochs: 1, steps_per_epoch: 40, batch_size: 1, learning_rate: 2e-2}"
    text = "\n".join(training if line.startswith("training:") else line for line in CONFIG.splitlines())
    write_study(tmp_path, f"{text}\ncompare: {{losses: [combo, post/combo], folds: 2, seeds: [0], baseline: combo}}\n")
    *events, end = compare_losses(load(tmp_path), tmp_path / "sweep", device="cpu")
    combo, of_the_post = end.result["ranking"]
    assert (combo["loss"], combo["status"]) == ("combo", "ok")
    assert combo["mean"] > 0.5
    assert (of_the_post["loss"], of_the_post["status"]) == ("post-combo", "failed")
    assert of_the_post["mean"] < 0.01
    assert end.failed == ()
    said = [event.text for event in events if isinstance(event, Note)]
    assert any(text.startswith("post-combo has failed: hits nothing: mean Dice") for text in said)
    (caution,) = [text for text in said if text.startswith("loss ")]
    assert caution.startswith("loss post-combo: its sign is wrong")
    assert caution in (tmp_path / "sweep" / "report.html").read_text(encoding="utf-8")
    (run, *_) = (tmp_path / "sweep" / "runs").glob("post-combo/*/*")
    assert "loss post/combo: its sign is wrong" in rebuild(run).read_text(encoding="utf-8")


def test_a_loss_that_diverges_while_the_steps_are_timed_fails_and_the_others_are_compared(tmp_path, monkeypatch):
    def steps_per_epoch(job):
        if job.loaded.config.loss.name.endswith("Breaks"):
            raise DivergedError("the loss is nan")
        return 2

    monkeypatch.setattr("segtrain.recipes.fitting.set_up.steps_per_epoch", steps_per_epoch)
    (tmp_path / "mine.py").write_text(BROKEN_LOSS)
    losses = "[{name: 'mine.py:Breaks', label: breaks}, dice_ce]"
    text = TWO.replace("[dice_ce, dice]", losses).replace("[4, 0]", "[4]")
    write_study(
        tmp_path, CONFIG.replace("steps_per_epoch: 3", "budget_minutes: 1").replace("epochs: 2", "epochs: 1") + text
    )
    for resume in (False, True):
        end = finished(compare_losses(load(tmp_path), tmp_path / "sweep", resume=resume, device="cpu"))
        assert end.failed == ("breaks, fold 0, seed 4", "breaks, fold 1, seed 4")
        assert end.result["broken_runs"] == {}
        assert {row["loss"]: row["status"] for row in end.result["ranking"]} == {"dice_ce": "ok", "breaks": "failed"}
    assert "2 in every run, as timed once, for dice_ce, fold 0, seed 4" in (tmp_path / "sweep/report.html").read_text()


def test_of_a_sweep_whose_first_run_broke_off_the_losses_are_incomplete_and_have_not_failed(tmp_path, monkeypatch):
    def steps_per_epoch(job):
        raise OutOfMemory(Problem("no memory"))

    monkeypatch.setattr("segtrain.recipes.fitting.set_up.steps_per_epoch", steps_per_epoch)
    write_study(tmp_path, CONFIG.replace("steps_per_epoch: 3", "budget_minutes: 1") + TWO.replace("[4, 0]", "[4]"))
    end = finished(compare_losses(load(tmp_path), tmp_path / "sweep", device="cpu"))
    assert {row["loss"]: row["status"] for row in end.result["ranking"]} == dict.fromkeys(
        ("dice_ce", "dice"), "incomplete"
    )
    assert "did not end, or broke off" in (tmp_path / "sweep/report.html").read_text()
