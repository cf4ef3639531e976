"""A fit that was broken off ends as one that was not, bit for bit."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from segtrain.core.errors import ConfigError, DataError, DivergedError, SegtrainError
from segtrain.core.events import (
    CasePrepared,
    CaseRead,
    CaseScored,
    CheckpointSaved,
    EpochEnded,
    Finished,
    Note,
    StepEnded,
    Validated,
)
from segtrain.recipes.fit import fit, is_better
from segtrain.recipes.lock import LOCK
from segtrain.recipes.run_folder import RunFolder
from segtrain.training import checkpoint
from tests.faults.table import fault
from tests.recipes.projects import (
    BROKEN_LOSS,
    CONFIG,
    OWN_METRIC,
    close_at,
    finished,
    load,
    step,
    write_study,
)

METERED = ("seconds", "validation_seconds", "peak_memory_mib")

FILES = ("checkpoint.json", "model.safetensors", "state.safetensors")


def epoch(number):
    return lambda event: isinstance(event, EpochEnded) and event.epoch == number


def last_saved(event):
    return isinstance(event, CheckpointSaved) and event.name == "last"


def rows(run: Path):
    """metrics.csv without what was measured with a clock or a meter, which no two runs share."""
    with RunFolder(run).metrics.open(encoding="utf-8", newline="") as file:
        return [{key: value for key, value in row.items() if key not in METERED} for row in csv.DictReader(file)]


def content(folder: Path):
    """A checkpoint: its tensors byte for byte, its JSON without what was measured with a clock or a meter."""
    about = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
    for row in about["history"]:
        for key in METERED:
            del row[key]
    return about, *((folder / name).read_bytes() for name in FILES[1:])


def train_on(events):
    """All of the training; what is scored and reported afterwards is not waited for."""
    close_at(events, lambda event: isinstance(event, CaseScored))


@pytest.fixture
def begin(study):
    """Start, or go on with, a fit of the config that the finished run was made with."""
    return lambda run, **flags: fit(load(study, "compare=null"), run, device="cpu", **flags)


@pytest.mark.parametrize(
    "where",
    [step(1), step(3), epoch(1), last_saved, step(4), step(6), epoch(2)],
    ids=["first step", "last step of an epoch", "epoch", "saved", "first step of an epoch", "last step", "last epoch"],
)
def test_broken_off_anywhere_it_resumes_to_equal_bits(begin, trained, tmp_path, where):
    run = tmp_path / "run"
    close_at(begin(run), where)
    train_on(begin(run, resume=True))
    for name in ("last", "best"):
        assert content(run / "checkpoints" / name) == content(trained / "checkpoints" / name)
    assert rows(run) == rows(trained)


def test_broken_off_twice_within_an_epoch_it_resumes_to_equal_bits(begin, trained, tmp_path):
    run = tmp_path / "run"
    for number in (1, 2, 3, 4):
        close_at(begin(run, resume=run.exists()), step(number))
    train_on(begin(run, resume=True))
    assert content(run / "checkpoints" / "last") == content(trained / "checkpoints" / "last")
    assert rows(run) == rows(trained)


@pytest.mark.parametrize("loss", ["dice_boundary", "hausdorff_dt", "cc_dice_ce"])
def test_with_maps_from_the_loader_it_resumes_to_equal_bits(study, tmp_path, loss):
    loaded = load(study, "compare=null", f"loss.name={loss}")
    train_on(fit(loaded, tmp_path / "whole", device="cpu"))
    close_at(fit(loaded, tmp_path / "cut", device="cpu"), step(2))
    train_on(fit(loaded, tmp_path / "cut", device="cpu", resume=True))
    one, two = (content(tmp_path / run / "checkpoints" / "last") for run in ("whole", "cut"))
    assert one == two


def test_the_loss_is_told_how_much_of_the_training_is_done(begin, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr("segtrain.recipes.fit.set_progress", lambda _, share: told.append(share))
    close_at(begin(tmp_path / "run"), step(2))
    assert told == pytest.approx([0, 1 / 6, 2 / 6])
    close_at(begin(tmp_path / "run", resume=True), step(3))
    assert told[3:] == pytest.approx([2 / 6, 3 / 6])


def test_an_epoch_whose_last_step_was_done_is_told_first_when_it_goes_on(begin, fitted, tmp_path):
    close_at(begin(tmp_path / "run"), step(3))
    told = close_at(begin(tmp_path / "run", resume=True), lambda e: isinstance(e, StepEnded | EpochEnded))
    whole = next(event for event in fitted.events if isinstance(event, EpochEnded))
    assert isinstance(told, EpochEnded)
    assert (told.epoch, told.step, told.train_loss) == (1, 3, whole.train_loss)


def test_nothing_is_left_locked_when_it_is_broken_off(begin, tmp_path):
    close_at(begin(tmp_path / "run"), step(2))
    assert not (tmp_path / "run" / LOCK).exists()


def test_broken_off_while_scans_are_prepared_it_begins_anew(begin, tmp_path):
    close_at(begin(tmp_path / "run"), lambda event: isinstance(event, CasePrepared))
    assert checkpoint.find(tmp_path / "run" / "checkpoints" / "last") is None
    assert close_at(begin(tmp_path / "run", resume=True), step(1)).step == 1


@pytest.mark.parametrize(
    "spoilt",
    ['value * float("nan")', "value + (logits - logits.detach()).abs().sqrt().sum()"],
    ids=["loss", "gradient"],
)
@fault("F24", "a loss that is NaN now and then", then="0, such a step changes nothing and is counted")
def test_steps_that_are_not_finite_leave_weights_that_may_be_saved(spoilt, tmp_path):
    (tmp_path / "mine.py").write_text(BROKEN_LOSS.replace('value * float("nan")', spoilt))
    write_study(tmp_path, CONFIG.replace("dice_ce", "'mine.py:Breaks'"))
    close_at(fit(load(tmp_path), tmp_path / "run"), step(2))
    saved = tmp_path / "run" / "checkpoints" / "last"
    about = json.loads((saved / "checkpoint.json").read_text(encoding="utf-8"))
    assert about["losses" if "nan" in spoilt else "norms"] == [None, None]
    assert all(bool(value.isfinite().all()) for value in load_file(saved / "model.safetensors").values())


def test_a_loss_that_diverges_ends_the_fit_with_its_cases(tmp_path):
    (tmp_path / "mine.py").write_text(BROKEN_LOSS)
    write_study(tmp_path, CONFIG.replace("dice_ce", "'mine.py:Breaks'"))
    with pytest.raises(DivergedError, match=r"nan at step 1 of 6[\s\S]*cases P"):
        list(fit(load(tmp_path), tmp_path / "run"))


def test_events_come_in_the_order_in_which_things_happen(fitted):
    kinds = [type(event) for event in fitted.events]
    a_round = [StepEnded] * 3 + [EpochEnded, Validated]
    training = [kind for kind in kinds if kind in (StepEnded, EpochEnded, Validated)]
    assert kinds[:10] == [CaseRead] * 5 + [CasePrepared] * 5
    assert training == a_round * 2
    assert kinds[-1] is Finished


def test_a_run_holds_the_files_of_the_contract(trained):
    names = {path.relative_to(trained).as_posix() for path in trained.rglob("*") if path.is_file()}
    wanted = {"config.yaml", "run.json", "plan.json", "splits.json", "log.jsonl", "metrics.csv", "report.html"}
    wanted |= {"progress.png"}
    wanted |= {f"checkpoints/{which}/{name}" for which in ("last", "best") for name in FILES}
    wanted |= {f"validation/{name}" for name in ("metrics.json", "cases.csv", "volumes.csv")}
    assert wanted <= names


def test_the_held_out_cases_are_scored_on_their_own_grids(trained, fitted):
    held_out = json.loads((trained / "splits.json").read_text())["folds"][0]["validation"]
    written = sorted(path.name for path in (trained / "validation" / "predictions").iterdir())
    assert written == [f"{case}.nii.gz" for case in held_out]
    assert fitted.result["metrics"]["cases"] == len(held_out)


def test_a_finished_run_is_not_trained_again(begin, trained, fitted):
    before = (trained / "run.json").read_bytes()
    events = list(begin(trained, resume=True))
    assert [type(event) for event in events] == [Note, Finished]
    assert events[-1].result["metrics"] == fitted.result["metrics"]
    assert (trained / "run.json").read_bytes() == before


def test_validation_may_be_left_out_but_for_the_last_epoch(study, tmp_path):
    loaded = load(study, "training={epochs: 3, steps_per_epoch: 1, batch_size: 1, validate_every: 2}")
    events = fit(loaded, tmp_path / "run")
    told = [next(e for e in events if isinstance(e, Validated)).epoch for _ in range(2)]
    events.close()
    assert told == [2, 3]
    assert [row["dice"] == "" for row in rows(tmp_path / "run")] == [True, False, False]


@pytest.mark.parametrize(
    ("metric", "value", "best", "better"),
    [
        ("dice", 0.1, None, True),
        ("dice", 0.8, 0.7, True),
        ("dice", 0.7, 0.7, False),
        ("relative_volume_error", -0.1, 0.6, True),
        ("relative_volume_error", 0.9, 0.6, False),
    ],
)
def test_the_best_checkpoint_is_the_one_that_the_metric_calls_best(metric, value, best, better):
    assert is_better(metric, value, best) is better


def test_overwrite_begins_anew(begin, tmp_path):
    close_at(begin(tmp_path / "run"), step(5))
    assert close_at(begin(tmp_path / "run", overwrite=True), step(1)).step == 1


def test_the_last_event_is_the_result(fitted):
    result = finished(fitted.events).result
    assert result["schema_version"] == 1
    assert (result["run"], result["report"]) == (str(fitted.folder), str(fitted.folder / "report.html"))


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("loss.name=dise", "dise"),
        ("loss.smoth=1", "smoth"),
        ("evaluation.metrics=[dice, iuo]", "iuo"),
        ("data.images=nowhere", "no such folder"),
        ("data.patient_from='(P)'", "too few patients"),
    ],
)
def test_a_run_is_not_emptied_for_one_that_cannot_begin(study, begin, tmp_path, override, says):
    close_at(begin(tmp_path / "run"), step(5))
    before = sorted((tmp_path / "run").rglob("*"))
    with pytest.raises(SegtrainError, match=says):
        list(fit(load(study, "compare=null", override), tmp_path / "run", overwrite=True, device="cpu"))
    assert sorted((tmp_path / "run").rglob("*")) == before


def test_a_metric_of_ones_own_lies_beside_the_config_wherever_one_works(tmp_path, monkeypatch):
    write_study(tmp_path / "study", CONFIG + "evaluation: {metrics: ['metric.py:Missed', dice]}\n")
    (tmp_path / "study" / "metric.py").write_text(OWN_METRIC)
    monkeypatch.chdir(tmp_path)
    events = fit(load(tmp_path / "study"), tmp_path / "run", device="cpu")
    missed, dice = next(e for e in events if isinstance(e, Validated)).mean.values()
    events.close()
    assert missed == pytest.approx(1 - dice)


def test_best_is_written_by_a_validation_and_by_nothing_else(study, tmp_path):
    short = "training={epochs: 3, steps_per_epoch: 1, batch_size: 1, validate_every: 2}"
    events = fit(load(study, "compare=null", short), tmp_path / "run", device="cpu")
    close_at(events, epoch(1))
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == ["last"]


def test_where_no_validation_has_a_value_the_last_checkpoint_is_scored(study, tmp_path, monkeypatch):
    monkeypatch.setattr("segtrain.recipes.fit.mean_scores", lambda scores, task, metrics: dict.fromkeys(metrics))
    end = finished(fit(load(study, "compare=null"), tmp_path / "run", device="cpu"))
    assert not (tmp_path / "run" / "checkpoints" / "best").exists()
    assert end.result["metrics"]["cases"] > 0


def test_seconds_are_those_of_all_sessions(begin, tmp_path, monkeypatch):
    now = iter(range(0, 10**6, 100))  # every look at the clock is 100 s later
    monkeypatch.setattr("segtrain.recipes.fitting.job.time.perf_counter", lambda: next(now))
    seconds = [0.0]
    for number in (1, 2, 4):
        close_at(begin(tmp_path / "run", resume=number > 1), step(number))
        seconds.append(json.loads((tmp_path / "run" / "run.json").read_text())["seconds"])
        assert seconds[-1] >= seconds[-2] + 100


@fault("F18", "resumed with another file of a loss", then="2, the file")
def test_a_loss_whose_file_changed_does_not_go_on(tmp_path):
    (tmp_path / "mine.py").write_text(BROKEN_LOSS)
    write_study(tmp_path, CONFIG.replace("dice_ce", "'mine.py:Breaks'"))
    close_at(fit(load(tmp_path), tmp_path / "run"), step(1))
    digest = hashlib.sha256((tmp_path / "mine.py").read_bytes()).hexdigest()
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["code"] == {f"{tmp_path}/mine.py:Breaks": digest}
    (tmp_path / "mine.py").write_text(BROKEN_LOSS + "# mended\n")
    with pytest.raises(ConfigError, match=r"the code is not the one[\s\S]*mine\.py:Breaks[\s\S]*--overwrite"):
        list(fit(load(tmp_path), tmp_path / "run", resume=True))
    (tmp_path / "mine.py").write_text(BROKEN_LOSS)
    assert close_at(fit(load(tmp_path), tmp_path / "run", resume=True), step(2)).step == 2


@pytest.mark.parametrize("text", [None, "[]", "{}", "{", '{"failed": 3}'])
def test_the_scores_of_a_finished_run_that_are_damaged_are_named(study, trained, tmp_path, text):
    run = shutil.copytree(trained, tmp_path / "run", ignore=shutil.ignore_patterns("prepared"))
    (run / "validation" / "metrics.json").unlink()
    if text:
        (run / "validation" / "metrics.json").write_text(text)
    with pytest.raises(DataError, match=r"validation/metrics\.json"):
        list(fit(load(study, "compare=null"), run, resume=True, device="cpu"))
