"""Who may write to a run folder, and what may never be deleted."""

from __future__ import annotations

import json
import os
import shutil
import socket

import pytest

from segtrain.core.errors import CheckpointError, ConfigError, DataError
from segtrain.recipes.lock import LOCK
from segtrain.recipes.run_folder import (
    RunFolder,
    append_log,
    emptied_on_error,
    mend_log,
    opened,
    read_record,
    require_place,
    write_record,
)
from tests.recipes.projects import write_study

HERE = socket.gethostname()


def names_in(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.fixture
def run(tmp_path):
    """A folder that a fit wrote to."""
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text("data: {}\n")
    write_record(RunFolder(folder), {})
    return folder


def test_a_new_folder_is_made_with_those_above_it(tmp_path):
    with opened(tmp_path / "a" / "b", resume=False, overwrite=False):
        assert names_in(tmp_path / "a" / "b") == [LOCK]
    assert names_in(tmp_path / "a" / "b") == []


def test_a_folder_that_holds_something_is_refused_with_the_ways_out(run):
    with (
        pytest.raises(ConfigError, match=r"--resume[\s\S]*--overwrite[\s\S]*--run"),
        opened(run, resume=False, overwrite=False),
    ):
        pass


def test_a_folder_that_holds_only_a_lock_is_empty(tmp_path):
    (tmp_path / LOCK).write_text(f"99999999 {HERE}")
    with opened(tmp_path, resume=False, overwrite=False):
        pass


def test_resume_leaves_everything(run):
    before = names_in(run)
    with opened(run, resume=True, overwrite=False):
        pass
    assert names_in(run) == before


def test_overwrite_empties_a_run(run):
    with opened(run, resume=False, overwrite=True):
        assert names_in(run) == [LOCK]


def test_it_is_emptied_while_it_is_locked_and_what_shows_whose_it_is_goes_last(run, monkeypatch):
    seen, real = [], shutil.rmtree

    def rmtree(folder):
        seen.append({LOCK, "run.json"} <= set(names_in(run)))
        real(folder)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    with opened(run, resume=False, overwrite=True):
        assert seen == [True]


def test_what_another_process_asks_for_the_lock_with_is_left(run):
    asked = f"{LOCK}.0a.{os.getppid()}.tmp"
    (run / asked).touch()
    with opened(run, resume=False, overwrite=True):
        assert names_in(run) == [LOCK, asked]
    with opened(run, resume=False, overwrite=False):
        pass


def test_resume_and_overwrite_exclude_each_other(run):
    with pytest.raises(ConfigError, match="exclude each other"), opened(run, resume=True, overwrite=True):
        pass


@pytest.mark.parametrize("config", [True, False])
def test_overwrite_never_empties_a_folder_of_scans_even_with_its_config(tmp_path, config):
    write_study(tmp_path)
    if not config:
        (tmp_path / "config.yaml").unlink()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match="not a run"), opened(tmp_path, resume=False, overwrite=True):
        pass
    assert sorted(tmp_path.rglob("*")) == before


def test_overwrite_deletes_nothing_that_another_process_works_on(run):
    (run / LOCK).write_text(f"{os.getppid()} {HERE}")
    before = names_in(run)
    with (
        pytest.raises(ConfigError, match="another segtrain writes to this folder"),
        opened(run, resume=False, overwrite=True),
    ):
        pass
    assert names_in(run) == before


def test_a_folder_in_which_nothing_could_be_begun_is_left_empty_but_for_prepared_cases(tmp_path):
    def begin():
        with emptied_on_error(tmp_path):
            (tmp_path / "prepared").mkdir(exist_ok=True)
            (tmp_path / "validation").mkdir()
            (tmp_path / "config.yaml").touch()
            raise ConfigError("no such loss")

    for _ in range(2):
        require_place(tmp_path, resume=False, overwrite=False)
        with pytest.raises(ConfigError, match="no such loss"):
            begin()
        assert names_in(tmp_path) == ["prepared"]


def test_a_fault_when_resuming_deletes_nothing(run):
    before = names_in(run)
    with pytest.raises(ConfigError), emptied_on_error(run):
        raise ConfigError("no such loss")
    assert names_in(run) == before


def test_a_record_keeps_what_was_written_before(tmp_path):
    folder = RunFolder(tmp_path)
    write_record(folder, {"seed": 3})
    first = json.loads(folder.record.read_text())
    write_record(folder, {"finished": "now"})
    assert json.loads(folder.record.read_text()) == {**first, "finished": "now"}
    assert first["versions"].keys() >= {"torch", "numpy", "segtrain"}
    assert folder.is_finished


def test_a_damaged_record_is_named_and_not_guessed(run):
    (run / "run.json").write_text('{"seed": ')
    with pytest.raises(DataError, match=r"damaged[\s\S]*run.json"):
        write_record(RunFolder(run), {})
    assert (run / "run.json").read_text() == '{"seed": '


def test_the_log_has_a_line_an_event(tmp_path):
    folder = RunFolder(tmp_path)
    append_log(folder, "epoch", epoch=1)
    append_log(folder, "interrupted", step=7)
    lines = [json.loads(line) for line in folder.log.read_text().splitlines()]
    assert [(line["event"], line.get("epoch"), line.get("step")) for line in lines] == [
        ("epoch", 1, None),
        ("interrupted", None, 7),
    ]


@pytest.mark.parametrize("tail", ['{"event": "epoch", "ep', "", "no JSON\n"])
def test_a_log_that_a_kill_cut_short_is_whole_when_the_run_goes_on(tmp_path, tail):
    folder = RunFolder(tmp_path)
    append_log(folder, "started", steps=7)
    append_log(folder, "epoch", epoch=1, dice=0.5)
    with folder.log.open("a") as file:
        file.write(tail)
    mend_log(folder, [{"epoch": 1, "dice": 0.5}, {"epoch": 2, "dice": None}, {"epoch": 3, "dice": 0.75}])
    append_log(folder, "resumed", epoch=3)
    lines = [json.loads(line) for line in folder.log.read_text().splitlines() if line != "no JSON"]
    told = [(line["event"], line.get("epoch"), line.get("dice")) for line in lines]
    epochs = [("epoch", 1, 0.5), ("epoch", 2, None), ("epoch", 3, 0.75)]
    assert told == [("started", None, None), *epochs, ("resumed", 3, None)]


@pytest.mark.parametrize(
    ("path", "name"),
    [("runs/first", "first"), ("sweep/runs/dice/0/1", "dice/0/1"), ("runs/fold_0", "fold_0"), ("runs/2", "runs/2")],
)
def test_a_run_is_called_as_its_folder_or_by_more_where_that_is_a_number(tmp_path, path, name):
    assert RunFolder(tmp_path / path).name == name


@pytest.mark.parametrize(
    ("before", "kept"),
    [('{"event": "started"}\n{"event": "epo', 1), ('{"event"', 0), ('{"event": "started"}\n', 1), ("", 0)],
)
def test_a_line_that_a_kill_cut_short_is_not_added_to(tmp_path, before, kept):
    folder = RunFolder(tmp_path)
    folder.log.write_text(before)
    append_log(folder, "note", text="ä")
    lines = [json.loads(line) for line in folder.log.read_text(encoding="utf-8").splitlines()]
    assert [line["event"] for line in lines] == ["started"] * kept + ["note"]


def test_an_epoch_whose_line_lacks_its_end_is_added_once_more(tmp_path):
    RunFolder(tmp_path).log.write_text('{"event": "epoch", "epoch": 1}')
    mend_log(RunFolder(tmp_path), [{"epoch": 1}])
    assert [json.loads(line)["epoch"] for line in RunFolder(tmp_path).log.read_text().splitlines()] == [1]


def test_a_log_that_is_missing_is_written_from_the_history(tmp_path):
    mend_log(RunFolder(tmp_path), [{"epoch": 1}])
    assert json.loads(RunFolder(tmp_path).log.read_text())["epoch"] == 1


def test_a_folder_without_a_record_is_no_run(tmp_path):
    with pytest.raises(CheckpointError, match="not a run"):
        RunFolder(tmp_path).require_run()


@pytest.mark.parametrize("text", [None, "", "[]", "3", "\xff"])
def test_a_record_that_is_missing_or_no_object_is_named(tmp_path, text):
    path = tmp_path / "evaluation.json"
    if text is not None:
        path.write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=r"(missing|damaged)[\s\S]*evaluation\.json"):
        read_record(path)
