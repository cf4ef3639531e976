"""What a dry run tells is what a fit then does."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from segtrain.config.load import Loaded
from segtrain.core.errors import ConfigError, ResourceError
from segtrain.core.events import Note
from segtrain.core.plan import Plan
from segtrain.recipes import dry_run as module
from segtrain.recipes.dry_run import CHECKPOINTS, PLANNED_BY, dry_run
from tests.recipes.projects import BROKEN_LOSS, CASES, CONFIG, finished, load, write_study


def tried(loaded: Loaded, run: Path = Path("nowhere/run"), **flags) -> dict:
    return finished(dry_run(loaded, run, device="cpu", **flags)).result


@pytest.fixture(scope="module")
def facts(study, tmp_path_factory) -> dict:
    """Of the config that the finished run was made with, and that nothing stayed on the disk."""
    run = tmp_path_factory.mktemp("dry") / "run"
    before = sorted(study.rglob("*"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
        found = tried(load(study, "compare=null"), run)
        assert list(Path(tempfile.gettempdir()).iterdir()) == []
    assert sorted(study.rglob("*")) == before
    assert not run.exists()
    return found


@pytest.fixture(scope="module")
def record(trained) -> dict:
    return json.loads((trained / "run.json").read_text())


class TestAgainstTheFit:
    def test_cases_plan_and_parameters_are_those_of_the_run(self, facts, record, trained):
        assert facts["cases"] == len(CASES)
        assert facts["patients"] == 4
        assert {key: facts[key] for key in ("train", "validation")} == record["cases"]
        assert facts["plan"] == json.loads((trained / "plan.json").read_text())
        assert (facts["parameters"], facts["device"]) == (record["parameters"], record["device"])

    def test_steps_are_those_of_the_run(self, facts, record):
        assert (facts["epochs"], facts["steps_per_epoch"]) == (2, record["steps_per_epoch"])
        assert facts["total_steps"] == record["total_steps"]

    def test_the_disk_that_is_needed_is_what_the_run_took(self, facts, trained):
        prepared = sum(file.stat().st_size for file in (trained / "prepared").glob("*.safetensors"))
        assert prepared > 0
        assert facts["disk"]["prepared_bytes"] == pytest.approx(prepared, rel=0.2)
        written = sum(file.stat().st_size for file in (trained / "checkpoints" / "last").glob("*.safetensors"))
        assert facts["disk"]["checkpoints_bytes"] == pytest.approx(CHECKPOINTS * written, rel=0.3)
        assert facts["disk"]["free_bytes"] > 0

    def test_a_real_step_was_done(self, facts, trained):
        first = float((trained / "metrics.csv").read_text().splitlines()[1].split(",")[2])
        assert facts["step"]["loss"] == pytest.approx(first, rel=0.5)
        assert facts["step"]["seconds"] > 0
        assert facts["memory"]["peak_bytes"] is None or facts["memory"]["peak_bytes"] > 2**20

    def test_the_whole_time_is_that_of_its_parts(self, facts):
        seconds = dict(facts["seconds"])
        assert seconds.pop("total") == pytest.approx(sum(seconds.values()))
        assert seconds["training"] == pytest.approx(facts["step"]["seconds"] * facts["total_steps"])
        assert set(seconds) == {"reading", "preparing", "training", "validating"}

    def test_nothing_is_warned_of_where_nothing_is_wrong(self, facts):
        assert facts["warnings"] == []


class TestOrigins:
    def test_every_part_of_a_plan_has_one(self, facts):
        assert set(facts["origins"]) == set(Plan.model_fields) == set(PLANNED_BY)

    def test_what_the_config_fixes_is_told_with_its_key(self, facts):
        assert facts["origins"]["patch_size"] == "config: model.patch_size (file)"
        assert facts["origins"]["batch_size"] == "config: training.batch_size (file)"
        assert facts["origins"]["spacing_mm"].startswith("data")

    def test_the_command_line_is_told_too(self, study):
        found = tried(load(study, "compare=null", "model.spacing_mm=[1, 1, 2]", "model.patch_size=null"))
        assert found["origins"]["patch_size"].startswith("data and device")
        assert found["origins"]["spacing_mm"] == "config: model.spacing_mm (command line)"
        assert found["plan"]["spacing_mm"] == [1, 1, 2]


def test_it_is_about_the_fold_that_is_asked_for(study):
    ct = load(study, "compare=null", "data.modality=ct")
    one, two = (tried(ct, fold=fold)["plan"] for fold in (0, 1))
    assert one != two


def test_a_wrong_metric_is_named(study):
    with pytest.raises(ConfigError, match="no metric is called 'iuo'"):
        tried(load(study, "compare=null", "evaluation.metrics=[iuo]"))


def test_a_budget_is_turned_into_steps(study):
    found = tried(load(study, "compare=null", "training.budget_minutes=0.01"))
    assert found["total_steps"] == found["steps_per_epoch"] > 0


def test_a_loss_that_is_no_number_is_a_warning(tmp_path):
    (tmp_path / "mine.py").write_text(BROKEN_LOSS)
    write_study(tmp_path, CONFIG.replace("dice_ce", "'mine.py:Breaks'"))
    found = tried(load(tmp_path))
    assert found["step"]["loss"] is None
    assert "not finite" in found["warnings"][0]
    json.dumps(found, allow_nan=False)


def test_what_a_loss_is_known_for_is_told_once(study):
    events = dry_run(load(study, "compare=null", "loss={name: post/dice}"), Path("nowhere"), device="cpu")
    told = [event.text for event in events if isinstance(event, Note)]
    assert [text.partition(": ")[0] for text in told if text.startswith("loss ")] == ["loss post/dice"]


def test_too_small_a_disk_is_a_warning(study, monkeypatch):
    monkeypatch.setattr(module, "free_disk_bytes", lambda folder: 10)
    assert "is too small" in tried(load(study, "compare=null"))["warnings"][0]


def test_a_step_that_does_not_fit_is_an_error_of_resources(study, monkeypatch):
    def full(*_):
        raise MemoryError("no more")

    monkeypatch.setattr("segtrain.training.loop._backward", full)
    with pytest.raises(ResourceError, match="out of memory"):
        tried(load(study, "compare=null"))
