"""Scores of cases that a network knows are told to be too good."""

import pytest

from segtrain.core.case import Case, ScanSource
from segtrain.core.task import Task
from segtrain.data.splits import Fold, Splits
from segtrain.recipes.fitting.seen import copies_of_training, seen_in_training
from segtrain.recipes.run_folder import RunFolder


@pytest.fixture
def splits(tmp_path):
    places = []
    for name, train in (("one", ("a", "b")), ("other", ("c", "d", "e"))):
        places.append(tmp_path / f"{name}.json")
        Splits((Fold(train, ("z",)),), 0).write(places[-1])
    return places


def test_cases_of_all_runs_are_counted_and_a_few_named(splits):
    (told,) = seen_in_training(splits, ["e", "a", "c", "d", "new"], "this run")
    assert told.startswith("4 of 5 cases have the name of one that trained this run (a, c, d ...)")


def test_cases_that_were_held_out_or_are_new_are_no_matter(splits):
    assert list(seen_in_training(splits, ["z", "new"], "this run")) == []


def test_a_split_that_is_not_there_or_no_split_tells_nothing(tmp_path):
    (tmp_path / "broken.json").write_text("{")
    assert list(seen_in_training([tmp_path / "none.json", tmp_path / "broken.json"], ["a"], "this run")) == []


def test_a_run_without_records_tells_nothing_of_copies(tmp_path):
    source = ScanSource(tmp_path / "a.nii.gz")
    source.path.write_bytes(b"x")
    cases = [Case("a", "a", (source,)), Case("gone", "gone", (ScanSource(tmp_path / "gone.nii.gz"),))]
    assert copies_of_training([RunFolder(tmp_path / "run")], cases, Task(labels={"background": 0, "organ": 1})) == {}
