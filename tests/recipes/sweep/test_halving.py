"""Who is behind at a rung stops there, and whoever goes on ends as if there had been no rung."""

from __future__ import annotations

import csv
import json
import shutil

import pytest

from segtrain.core.errors import ConfigError
from segtrain.core.events import CaseScored, CheckpointSaved, Finished, Note, RunEnded, StepEnded
from segtrain.execution.executor import Processes
from segtrain.recipes.compare_losses import compare_losses, try_meaning
from segtrain.recipes.sweep.halving import decide, told
from segtrain.recipes.sweep.plan import meaning_of, runs_of, settings_of
from segtrain.recipes.sweep.rungs import rung_epochs
from segtrain.recipes.sweep.runs import Jobs
from segtrain.reports.contents import Rung
from segtrain.reports.tables import write_cases_csv
from segtrain.statistics.elimination import Elimination, Standing
from segtrain.training import checkpoint
from tests.recipes.projects import DEADLY_LOSS, close_at, load, write_study
from tests.recipes.sweeps import case

PATIENTS = [f"P{i}_a" for i in range(8)]
STUDY = """\
data: {images: images, labels: labels, channels: [T1], patient_from: '(P\\d+)_'}
task: {labels: {background: 0, organ: 1}}
model: {widths: [4, 8], patch_size: [16, 8, 8]}
training: {epochs: 4, steps_per_epoch: 8, batch_size: 1, learning_rate: 2e-2}
inference: {overlap: 0}
evaluation: {metrics: [dice]}
compare:
  losses: [dice_ce, {name: dice_ce, label: again}, {name: dice, label: still, training: {learning_rate: 1e-30}}]
  folds: 2
  seeds: [0]
  baseline: dice_ce
  halving: {rungs: [0.25, 0.5]}
"""
HALVING = "compare.strategy=halving"


@pytest.fixture(scope="module", autouse=True)
def _without_pictures():
    """Drawing takes longer than such small trainings, and other tests look at it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("segtrain.recipes.fitting.watch.Picture.close", lambda self, ending: None)
        patch.setattr("segtrain.recipes.fitting.watch.Picture.tell", lambda self, history: None)
        patch.setattr("segtrain.recipes.sweep.comparison.write_plots", lambda folder, plots: None)
        yield


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("halving")
    write_study(folder, STUDY, PATIENTS)
    return folder


def sweep(root, name, *overrides, resume=False):
    return compare_losses(load(root, *overrides), root / name, resume=resume, device="cpu")


@pytest.fixture(scope="module")
def full(root):
    *_, end = sweep(root, "full")
    return end


@pytest.fixture(scope="module")
def halved(root):
    """What is told after it was broken off at the rung, before the first run had its scores."""
    close_at(sweep(root, "halved", HALVING), lambda event: isinstance(event, CaseScored))
    return list(sweep(root, "halved", HALVING, resume=True))


def runs_below(folder):
    return sorted(path.parent.relative_to(folder) for path in folder.glob("runs/*/*/*/run.json"))


def test_a_loss_that_is_behind_stops_at_the_rung_and_the_others_go_on(root, halved):
    said = [event.text for event in halved if isinstance(event, Note)]
    assert [text.partition(" is dropped")[0] for text in said if " is dropped at epoch 2 of 4" in text] == ["still"]
    assert "epoch 1: the first rung drops nobody: it is the yardstick of the next" in said
    ended = [event.name for event in halved if isinstance(event, RunEnded)]
    assert len(ended) == 6 + 6 + 4
    assert ended[:3] == [f"{loss}, fold 0, seed 0" for loss in ("dice_ce", "again", "still")]
    reached = {
        run.parts[1]: checkpoint.read_about(root / "halved" / run / "checkpoints" / "last")["step"]
        for run in runs_below(root / "halved")
    }
    assert reached == {"dice_ce": 32, "again": 32, "still": 16}


def test_survivors_have_the_weights_and_scores_of_a_full_sweep_bit_for_bit(root, full, halved):
    for run in runs_below(root / "halved"):
        here, there = root / "halved" / run, root / "full" / run
        if run.parts[1] == "still":
            assert not (here / "validation").exists()
            continue
        for file in (
            "checkpoints/last/model.safetensors",
            "checkpoints/best/model.safetensors",
            "validation/cases.csv",
        ):
            assert (here / file).read_bytes() == (there / file).read_bytes(), (run, file)


def test_what_was_dropped_has_neither_score_nor_rank_nor_test(full, halved):
    result = halved[-1].result
    *_, last = result["ranking"]
    assert (last["loss"], last["status"], last["mean"], last["rank"]) == ("still", "dropped", None, None)
    assert last["reason"].startswith("at epoch 2 of 4: behind dice_ce by ")
    assert not [pair for pair in result["pairs"] if "still" in (pair["a"], pair["b"])]
    assert halved[-1].failed == ()
    assert result["unfinished_runs"] == []
    means = {row["loss"]: row["mean"] for row in full.result["ranking"]}
    assert {row["loss"]: row["mean"] for row in result["ranking"][:-1]} == {n: means[n] for n in ("dice_ce", "again")}


def test_every_decision_is_told_in_every_file(root, halved):
    result = halved[-1].result
    words = {row["loss"]: row["decision"] for row in result["decisions"] if row["epoch"] == 2}
    assert words == {"dice_ce": "leader", "again": "kept", "still": "dropped"}
    assert {row["decision"] for row in result["decisions"] if row["epoch"] == 1} == {"leader", "kept"}
    assert result["saved_share_of_steps"] == pytest.approx(1 / 3 * 1 / 2)
    with (root / "halved" / "halving.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], row["loss"], row["comparisons"]) for row in rows] == [
        (epoch, loss, "3") for epoch in ("1", "2") for loss in ("dice_ce", "again", "still")
    ]
    page = (root / "halved" / "report.html").read_text(encoding="utf-8")
    methods = " ".join((root / "halved" / "methods.txt").read_text(encoding="utf-8").split())
    assert "What was dropped, and when" in page
    assert "17 % of the steps" in page
    assert "dropped still after epoch 2, which left out 17 % of all steps" in methods
    assert "Hyperband" in methods


def test_a_loss_entered_twice_is_equivalent_to_itself(full):
    scores = {row["loss"]: row["mean"] for row in full.result["ranking"]}
    assert scores["again"] == scores["dice_ce"]
    pair = next(pair for pair in full.result["pairs"] if pair["a"] == "again" and pair["b"] == "dice_ce")
    assert (pair["verdict"], pair["difference"], pair["p"]) == ("equivalent", 0.0, 1.0)
    assert full.result["decisions"] == []


@pytest.mark.slow
def test_broken_off_anywhere_it_ends_the_same(root, halved):
    """In the training to the rung, before its scores, after the decision, and in the training after it."""
    wanted = [
        lambda event: isinstance(event, StepEnded) and event.step == 11,
        lambda event: isinstance(event, CheckpointSaved) and event.name == "last",
        lambda event: isinstance(event, CaseScored),
        lambda event: isinstance(event, Note) and "is dropped" in event.text,
        lambda event: isinstance(event, StepEnded) and event.step == 20,
    ]
    for what in wanted:
        close_at(sweep(root, "cut", HALVING, resume=True), what)
    *_, end = sweep(root, "cut", HALVING, resume=True)
    assert end.result["decisions"] == halved[-1].result["decisions"]
    for run in runs_below(root / "halved"):
        for file in ("checkpoints/last/model.safetensors", "rungs/2/cases.csv"):
            assert (root / "cut" / run / file).read_bytes() == (root / "halved" / run / file).read_bytes(), (run, file)


def test_a_decision_is_read_back_and_not_taken_again(root, halved, tmp_path):
    moved = shutil.copytree(root / "halved", tmp_path / "sweep")
    file = moved / "rungs" / "2.json"
    decided = json.loads(file.read_text())
    decided["found"]["standings"][2]["p_corrected"] = 0.0321
    file.write_text(json.dumps(decided))
    events = list(compare_losses(load(root, HALVING), moved, resume=True, device="cpu"))
    assert not [event for event in events if isinstance(event, StepEnded)]
    assert isinstance(events[-1], Finished)
    assert events[-1].result["decisions"][5]["p_corrected"] == 0.0321


@pytest.fixture
def rung(root, tmp_path):
    """What is decided at epoch 2 by scores of a test, loss -> case -> Dice; at epoch 1 dice_ce led, with 0.02 less."""

    def judged(values, *, missing=(), failed=(), overrides=()):
        loaded = load(root, HALVING, *overrides)
        runs = runs_of(settings_of(loaded), tmp_path / "sweep")
        folds = (PATIENTS[::2], PATIENTS[1::2])
        for run in runs:
            if run.name in failed:
                run.keep_failure("the loss is nan")
            elif run.name not in missing:
                cases = [case(name, values[run.entry.label][name]) for name in folds[run.fold]]
                write_cases_csv(run.rung(2), cases)
        for run in runs:
            if run.entry.label == "dice_ce":
                before = [case(name, dice(dice_ce=-0.02)["dice_ce"][name]) for name in folds[run.fold]]
                write_cases_csv(run.rung(1), before)
        jobs = Jobs(loaded, runs, runs, (), "cpu", until=2)
        first = Standing("dice_ce", 0.6, 0.0, None, None, None, None, "leader")
        return decide(jobs, meaning_of(loaded), [Rung(1, 4, "dice", 3, Elimination((first,), 8, 0), {})])

    return judged


def dice(**shifts):
    return {
        loss: {name: 0.7 + 0.01 * place + shift for place, name in enumerate(PATIENTS)}
        for loss, shift in shifts.items()
    }


def test_a_loss_without_all_its_runs_is_not_judged_and_the_reason_is_told(rung):
    values = dice(dice_ce=0.0, again=-0.3, still=-0.4)
    found = rung(
        values,
        missing=("still, fold 1, seed 0",),
        failed=("again, fold 0, seed 0",),
    )
    assert found.not_judged == {
        "again": "again, fold 0, seed 0 diverged",
        "still": "still, fold 1, seed 0 has no scores of this epoch",
    }
    assert found.dropped == ()
    assert "epoch 2: again is not judged: again, fold 0, seed 0 diverged" in list(told(found))


def test_all_failed_is_no_decision(rung):
    names = [f"{loss}, fold {fold}, seed 0" for loss in ("dice_ce", "again", "still") for fold in (0, 1)]
    found = rung({}, failed=names)
    assert (found.found.standings, found.leader) == ((), None)
    assert len(found.not_judged) == 3


def test_a_loss_that_is_defined_nowhere_is_not_judged(rung):
    values = dice(dice_ce=0.0, again=0.0) | {"still": dict.fromkeys(PATIENTS)}
    assert rung(values).not_judged == {"still": "dice is not defined in any of its cases"}


def test_seeds_are_averaged_within_a_case(rung):
    found = rung(dice(dice_ce=0.0, again=-0.3, still=-0.4), overrides=("compare.seeds=[0, 1]",))
    assert found.dropped == ("still",)  # keep_at_least is 2
    assert found.found.n_patients == 8
    assert found.found.standings[1].behind == pytest.approx(0.3)


def test_a_margin_of_ones_own_keeps_what_is_closer(rung):
    values = dice(dice_ce=0.0, again=0.0, still=-0.05)
    assert rung(values).dropped == ("still",)
    assert rung(values, overrides=("compare.margins={dice: 0.06}",)).dropped == ()


def test_who_has_reached_what_the_leader_had_before_goes_on(rung):
    """At epoch 1 the leader had 0.02 less than now."""
    found = rung(dice(dice_ce=0.0, again=0.0, still=-0.025))
    assert [row.decision for row in found.found.standings] == ["leader", "kept", "kept as it catches up"]


def test_a_metric_in_mm_must_say_which_differences_count(root):
    with pytest.raises(ConfigError, match=r"which differences in hd95 count[\s\S]*margins: \{hd95: 1\.0\}"):
        try_meaning(load(root, HALVING, "evaluation.metrics=[hd95, dice]"))
    named = load(root, HALVING, "evaluation.metrics=[hd95, dice]", "compare.margins={hd95: 1.5}")
    try_meaning(named)
    assert rung_epochs(named) == (1, 2)


@pytest.mark.slow
def test_where_a_process_dies_before_a_rung_nothing_is_decided_until_it_is_tried_again(root, halved, tmp_path):
    """In two processes; the loss that dies is mended before the sweep goes on, and then judged as the others."""
    sweep = tmp_path / "sweep"
    (tmp_path / "mine.py").write_text(DEADLY_LOSS)
    four = STUDY.replace("1e-30}}]", "1e-30}}, {name: 'mine.py:Deadly', label: deadly}]")
    write_study(tmp_path, four, PATIENTS)

    def go_on(*, resume):
        at_once = Processes(2)
        return list(compare_losses(load(tmp_path, HALVING), sweep, resume=resume, device="cpu", executor=at_once))

    *events, end = go_on(resume=False)
    said = [event.text for event in events if isinstance(event, Note)]
    assert "nothing is decided at epoch 1: 2 of 8 runs broke off before it" in said
    assert "the same command with --resume tries them again, and goes on from there" in said
    assert end.result["decisions"] == []
    assert set(end.failed) == {"deadly, fold 0, seed 0", "deadly, fold 1, seed 0"}
    (tmp_path / "alive").touch()
    *_, end = go_on(resume=True)
    assert end.failed == ()
    assert len(end.result["decisions"]) == 8
    assert [row["loss"] for row in end.result["decisions"] if row["decision"] == "dropped"] == ["still"]
    assert next(row for row in end.result["ranking"] if row["loss"] == "still")["status"] == "dropped"
    for run in runs_below(root / "halved"):
        weights = run / "checkpoints" / "last" / "model.safetensors"
        assert (sweep / weights).read_bytes() == (root / "halved" / weights).read_bytes()
