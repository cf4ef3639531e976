"""One fit for each fold, each in a folder of its own."""

from __future__ import annotations

import pytest

from segtrain.core.errors import ConfigError, SegtrainError
from segtrain.core.events import Finished, RunEnded
from segtrain.recipes.cross_validation import cross_validate, fold_folder
from segtrain.recipes.lock import locked
from segtrain.recipes.run_folder import RunFolder, write_record
from segtrain.training.ranks import ALONE
from tests.recipes.projects import close_at, load, step


@pytest.fixture
def fits(monkeypatch):
    """What each fit was asked for; none is done."""
    asked = []

    def fit(loaded, run, **flags):
        asked.append((run, flags))
        yield Finished(run, {"run": str(run)}, ("P1",))

    monkeypatch.setattr("segtrain.recipes.cross_validation.fit", fit)
    monkeypatch.setattr("segtrain.recipes.cross_validation.pool_folds", lambda out, parts: {"pooled": (out, parts)})
    return asked


def test_every_fold_is_fitted_in_its_own_folder_and_the_result_lists_them(study, fits, tmp_path):
    *events, end = cross_validate(load(study, "training.folds=3"), tmp_path / "x-folds", resume=True, device="cpu")
    assert [run for run, _ in fits] == [tmp_path / "x-folds" / f"fold_{k}" for k in range(3)]
    assert [flags for _, flags in fits] == [
        {"fold": k, "resume": True, "overwrite": False, "device": "cpu", "ranks": ALONE} for k in range(3)
    ]
    assert [(e.name, e.done, e.total) for e in events if isinstance(e, RunEnded)] == [
        (f"fold_{k}", k + 1, 3) for k in range(3)
    ]
    runs = [{"fold": k, "run": str(fold_folder(tmp_path / "x-folds", k))} for k in range(3)]
    folder = tmp_path / "x-folds"
    pooled = folder / "validation", [folder / f"fold_{k}" / "validation" for k in range(3)]
    assert end.result == {"schema_version": 1, "run": str(folder), "by_fold": runs, "pooled": pooled}
    assert end.failed == tuple(f"fold_{k}: P1" for k in range(3))


def test_a_fold_that_is_there_is_told_before_any_is_trained(study, fits, tmp_path):
    write_record(RunFolder(fold_folder(tmp_path, 1)), {})
    with pytest.raises(ConfigError, match=r"not empty[\s\S]*fold_1"):
        list(cross_validate(load(study), tmp_path))
    assert fits == []


def test_folds_are_not_put_into_a_run(study, fits, tmp_path):
    write_record(RunFolder(tmp_path), {})
    with pytest.raises(ConfigError, match="in the folder of a run"):
        list(cross_validate(load(study), tmp_path))
    assert fits == []


def test_broken_off_it_closes_the_fit_that_runs(study, tmp_path):
    close_at(cross_validate(load(study, "compare=null"), tmp_path / "x", device="cpu"), step(2))
    assert (fold_folder(tmp_path / "x", 0) / "checkpoints" / "last").is_dir()
    assert not list((tmp_path / "x").rglob(".lock"))


def begun(folder, folds):
    """A finished cross-validation, as far as its files tell."""
    for fold in range(folds):
        write_record(RunFolder(fold_folder(folder, fold)), {"finished": "now"})
        (fold_folder(folder, fold) / "checkpoints" / "last").mkdir(parents=True)
    for name in ("cases.csv", "metrics.json"):
        (folder / "validation").mkdir(exist_ok=True)
        (folder / "validation" / name).touch()


def test_overwrite_deletes_all_folds_and_their_common_scores_before_the_first_is_fitted(study, tmp_path):
    begun(tmp_path / "x", 4)
    write_record(RunFolder(tmp_path / "x" / "fold_0_kept"), {})
    events = cross_validate(load(study, "training.folds=2"), tmp_path / "x", overwrite=True, device="cpu")
    next(events)
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["fold_0_kept"]
    events.close()


@pytest.mark.parametrize("resume", [True, False])
def test_folds_beyond_those_that_are_asked_for_are_refused(study, fits, tmp_path, resume):
    begun(tmp_path / "x", 4)
    with pytest.raises(ConfigError, match=r"beyond the 2 of training.folds: fold_2, fold_3[\s\S]*--overwrite"):
        list(cross_validate(load(study, "training.folds=2"), tmp_path / "x", resume=resume))
    assert fits == []


@pytest.mark.parametrize("override", ["loss.name=dise", "data.images=nowhere", "training.folds=9"])
def test_folds_are_not_emptied_for_those_that_cannot_begin(study, tmp_path, override):
    begun(tmp_path / "x", 3)
    before = sorted((tmp_path / "x").rglob("*"))
    with pytest.raises(SegtrainError):
        list(cross_validate(load(study, override), tmp_path / "x", overwrite=True, device="cpu"))
    assert sorted((tmp_path / "x").rglob("*")) == before


def test_nothing_is_emptied_where_another_process_works_on_one_fold(study, tmp_path):
    begun(tmp_path / "x", 3)
    with locked(fold_folder(tmp_path / "x", 2)):
        before = sorted((tmp_path / "x").rglob("*"))
        with pytest.raises(ConfigError, match=r"another segtrain writes[\s\S]*fold_2"):
            list(cross_validate(load(study, "training.folds=2"), tmp_path / "x", overwrite=True, device="cpu"))
        assert sorted((tmp_path / "x").rglob("*")) == before
