"""A run up to a rung: closed at its checkpoint, and scored as it would be if it ended there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from segtrain.core.errors import CheckpointError, ConfigError
from segtrain.core.events import CheckpointSaved, EpochEnded, StepEnded
from segtrain.data.cases import find_cases
from segtrain.recipes.fit import fit
from segtrain.recipes.lock import locked
from segtrain.recipes.run_folder import RunFolder
from segtrain.recipes.sweep.rung import epochs_done, score_rung, stopped_after
from segtrain.reports.tables import read_cases_csv
from segtrain.training import checkpoint
from tests.recipes.projects import close_at, load, result_of, step


@pytest.fixture
def run(study, tmp_path):
    """A fit of two epochs of three steps, not begun, and the folder that it goes to."""
    loaded = load(study, "compare=null")
    return fit(loaded, tmp_path / "run", device="cpu"), RunFolder(tmp_path / "run")


def test_a_fit_is_closed_once_the_checkpoint_of_the_epoch_is_there(run):
    events, folder = run
    found = list(stopped_after(events, 1))
    assert isinstance(found[-1], CheckpointSaved)
    assert [event.epoch for event in found if isinstance(event, EpochEnded)] == [1]
    assert max(event.step for event in found if isinstance(event, StepEnded)) == 3
    assert next(events, None) is None
    assert epochs_done(folder) == 1
    assert not folder.is_finished


def test_how_far_a_run_is_counts_the_part_of_an_epoch(run):
    events, folder = run
    assert epochs_done(folder) == 0
    close_at(events, step(4))
    assert epochs_done(folder) == pytest.approx(4 / 3)


def test_a_run_without_a_whole_checkpoint_is_not_taken_for_one_that_was_not_begun(run):
    events, folder = run
    close_at(events, step(4))
    (folder.last / checkpoint.MODEL).write_bytes(b"")
    with pytest.raises(CheckpointError, match="damaged"):
        epochs_done(folder)


def test_the_scores_are_those_of_the_validation_by_the_headline_alone_and_no_mask_is_kept(fitted, tmp_path):
    loaded = load(fitted.config.parent, "compare=null")
    held_out = read_cases_csv(fitted.folder / "validation" / "cases.csv")
    names = {case.case for case in held_out}
    cases = [case for case in find_cases(loaded.config.data) if case.id in names]
    out = tmp_path / "rungs" / "2" / "cases.csv"
    result_of(score_rung(RunFolder(fitted.folder), cases, loaded.config.evaluation, out, "cpu"))
    found = read_cases_csv(out)
    headline = [{label: {"dice": of["dice"]} for label, of in case.scores.items()} for case in held_out]
    assert [(case.case, case.patient) for case in found] == [(case.case, case.patient) for case in held_out]
    assert [case.scores for case in found] == headline
    assert list(out.parent.iterdir()) == [out]


def test_cases_that_fail_are_told_and_then_no_scores_are_written(fitted, tmp_path):
    loaded = load(fitted.config.parent, "compare=null")
    first, second, *_ = find_cases(loaded.config.data)
    damaged = tmp_path / "damaged.nii.gz"
    damaged.write_bytes(b"no scan")
    cases = [first, replace(second, images=(replace(second.images[0], path=damaged),))]
    out = tmp_path / "rungs" / "2" / "cases.csv"
    failed = result_of(score_rung(RunFolder(fitted.folder), cases, loaded.config.evaluation, out, "cpu"))
    assert [case for case, _ in failed] == [second.id]
    assert list(out.parent.iterdir()) == []


def test_a_run_that_another_process_writes_to_is_not_scored(fitted, tmp_path):
    loaded = load(fitted.config.parent, "compare=null")
    out = tmp_path / "rungs" / "2" / "cases.csv"
    scored = score_rung(RunFolder(fitted.folder), [], loaded.config.evaluation, out, "cpu")
    with locked(fitted.folder), pytest.raises(ConfigError, match="another segtrain"):
        result_of(scored)
