"""What a dry run of a sweep tells is what the sweep then does."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
import torch

from segtrain.core.errors import ConfigError, DivergedError
from segtrain.core.events import Note
from segtrain.recipes import sweep_dry_run as module
from segtrain.recipes.room import KEPT_CHECKPOINTS
from segtrain.recipes.sweep_dry_run import dry_run_sweep, rounds
from tests.recipes.projects import CONFIG, finished, load, write_study

THREE = """\
compare:
  losses: [dice_ce, {name: hausdorff_er, label: slow}, {name: focal, training: {learning_rate: 1e-4}}]
  folds: 2
  seeds: [3, 4]
  baseline: dice_ce
"""


def tried(folder: Path, *overrides: str, run: Path = Path("nowhere/sweep"), **flags) -> dict:
    return finished(dry_run_sweep(load(folder, *overrides), run, device="cpu", **flags)).result


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("three")
    write_study(root, CONFIG + THREE)
    return root


@pytest.fixture(scope="module")
def facts(three, tmp_path_factory) -> dict:
    """And nothing stayed on the disk."""
    before = sorted(three.rglob("*"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
        found = tried(three)
        assert list(Path(tempfile.gettempdir()).glob("segtrain-*")) == []
    assert sorted(three.rglob("*")) == before
    return found


def test_runs_and_steps_are_those_of_every_loss_fold_and_seed(facts):
    assert (facts["runs"], facts["folds"], facts["seeds"]) == (12, 2, [3, 4])
    assert list(facts["losses"]) == ["dice_ce", "slow", "focal"]
    assert {found["steps"] for found in facts["losses"].values()} == {2 * 3 * 4}
    assert facts["total_steps"] == 3 * 24


def test_every_loss_has_its_own_pace(facts):
    assert all(found["step_seconds"] > 0 for found in facts["losses"].values())
    for found in facts["losses"].values():
        assert found["seconds"] > found["steps"] * found["step_seconds"]


def test_the_whole_time_is_that_of_its_parts(facts):
    seconds = facts["seconds"]
    assert seconds["running"] == pytest.approx(sum(found["seconds"] for found in facts["losses"].values()))
    assert seconds["total"] == pytest.approx(seconds["reading"] + seconds["preparing"] + seconds["running"])


def test_the_disk_that_is_needed_is_what_the_sweep_took(study, swept):
    """One of its losses diverged in its first epoch, and so left no checkpoint."""
    disk = tried(study)["disk"]
    prepared = sum(file.stat().st_size for file in (swept.folder / "prepared").glob("*.safetensors"))
    assert disk["prepared_bytes"] == pytest.approx(prepared, rel=0.2)
    kept = [file for file in swept.folder.rglob("checkpoints/*/*.safetensors") if "broken" not in file.parts]
    assert len({file.parent for file in kept}) == 2 * KEPT_CHECKPOINTS
    size = sum(file.stat().st_size for file in kept)
    assert disk["checkpoints_bytes"] == pytest.approx(2 * size + size / 4, rel=0.3)


def test_several_at_once_share_the_cores_and_the_time(three):
    threads = torch.get_num_threads()
    found = tried(three, workers=4)
    assert torch.get_num_threads() == threads
    assert found["at_once"] == 4
    share = rounds(12, 4, torch.device("cpu"), 0)
    assert found["seconds"]["running"] == pytest.approx(share * sum(f["seconds"] for f in found["losses"].values()))


def test_runs_are_done_in_rounds_of_as_many_as_there_are_cores(monkeypatch):
    monkeypatch.setattr(module, "usable_cores", lambda: 8)
    cpu = torch.device("cpu")
    assert rounds(12, 4, cpu, 0) == pytest.approx(3 / 12)
    assert rounds(13, 4, cpu, 0) == pytest.approx(4 / 13)
    assert rounds(13, 4, cpu, 1) == pytest.approx(4 / 13)
    assert rounds(12, 4, cpu, 1) == pytest.approx(4 / 12)
    monkeypatch.setattr(module, "usable_cores", lambda: 2)
    assert rounds(12, 4, cpu, 0) == pytest.approx(6 / 12)


def test_with_a_budget_all_losses_have_the_steps_of_the_first(three):
    found = tried(three, "training.budget_minutes=0.02")
    assert len({loss["steps"] for loss in found["losses"].values()}) == 1


def test_with_a_budget_a_loss_that_diverges_while_it_is_timed_is_a_warning_and_the_next_is_timed(study, monkeypatch):
    def steps_per_epoch(job):
        if job.loaded.config.loss.name.endswith("Breaks"):
            raise DivergedError("the loss is nan")
        return 5

    monkeypatch.setattr("segtrain.recipes.fitting.set_up.steps_per_epoch", steps_per_epoch)
    breaks, budget = f"name: '{study}/broken.py:Breaks'", "training.budget_minutes=1"
    found = tried(study, f"compare.losses=[{{{breaks}, label: broken}}, dice_ce]", budget)
    assert [(label, loss["steps"]) for label, loss in found["losses"].items()] == [("broken", 20), ("dice_ce", 20)]
    assert "broken is not finite" in found["warnings"][0]
    with pytest.raises(DivergedError, match="nan"):
        tried(study, f"compare.losses=[{{{breaks}, label: dice_ce}}, {{{breaks}, label: broken}}]", budget)


def test_rungs_are_told(three):
    assert tried(three, "compare.strategy=halving", "training.epochs=4")["rungs"] == [1, 2]


def test_a_loss_that_is_no_number_is_a_warning(study):
    (warning,) = tried(study)["warnings"]
    assert "broken is not finite" in warning
    json.dumps(tried(study), allow_nan=False)


def test_what_losses_are_known_for_is_told_once(three):
    losses = "compare.losses=[dice_ce, {name: post/dice, label: old}]"
    events = dry_run_sweep(load(three, losses, "compare.baseline=dice_ce"), Path("nowhere"), device="cpu")
    told = [event.text for event in events if isinstance(event, Note)]
    assert [text.partition(": ")[0] for text in told if text.startswith("loss ")] == ["loss old"]


def test_too_small_a_disk_is_a_warning(three, monkeypatch):
    monkeypatch.setattr(module, "free_disk_bytes", lambda folder: 10)
    assert "is too small" in tried(three)["warnings"][0]


def test_a_wrong_metric_is_named(three):
    with pytest.raises(ConfigError, match="no metric is called 'iuo'"):
        tried(three, "evaluation.metrics=[iuo]")
