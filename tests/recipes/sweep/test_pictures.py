"""The worst and the best case of each loss as pictures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from segtrain.core.case import ScanSource
from segtrain.core.task import Task
from segtrain.recipes.run_report import ScoredFiles, keep_record
from segtrain.recipes.sweep import pictures as sweep_pictures
from segtrain.recipes.sweep.pictures import extremes, letters_of, pictures
from segtrain.reports.shown_metric import shown_metrics
from tests.recipes.projects import write_case
from tests.recipes.sweeps import FOLDS, begun, runs, scores_of, write_run

TASK = Task(labels={"background": 0, "organ": 1})
(DICE,) = shown_metrics(["dice"])


def keep_files(root, run):
    """What a validation writes down of its files; the masks are the references."""
    names = FOLDS[run.fold]
    places = [(root / "images" / f"{name}.nii.gz", root / "labels" / f"{name}.nii.gz") for name in names]
    files = [
        ScoredFiles(name, (ScanSource(image),), ScanSource(label), ScanSource(label))
        for name, (image, label) in zip(names, places, strict=True)
    ]
    keep_record(run.folder.validation, TASK, files, [], {})


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    found = begun(root)
    for fold in FOLDS:
        for name in fold:
            write_case(root, name)
    for run in runs(found):
        write_run(run)
        keep_files(root, run)
    return found


def shown(sweep, losses=("dice", "focal")):
    notes = []
    return pictures(scores_of(sweep), runs(sweep), losses, DICE, notes), notes


def test_the_worst_comes_before_the_best_by_the_mean_over_seeds(sweep):
    worst, best = extremes(scores_of(sweep), runs(sweep), "dice", DICE)
    assert (worst.case, best.case) == ("P2_a", "P1_a")
    seeds = "the mean of 2 seeds; the mask is that of seed 0."
    assert worst.caption == f"Worst of 5 cases: Dice 0.850, {seeds}"
    assert best.caption == f"Best of 5 cases: Dice 0.870, {seeds}"
    assert (worst.run.fold, worst.run.seed, best.run.fold) == (1, 0, 0)


def test_of_a_distance_the_largest_is_the_worst(sweep):
    as_distance = replace(DICE, best="lower")
    assert [one.case for one in extremes(scores_of(sweep), runs(sweep), "dice", as_distance)] == ["P1_a", "P0_a"]


def test_each_loss_has_two_pictures_in_the_order_asked_for(sweep):
    found, notes = shown(sweep, ("focal", "dice"))
    assert [(one.loss, [view.case for view in one.cases]) for one in found] == [
        ("focal", ["P2_a", "P1_a"]),
        ("dice", ["P2_a", "P1_a"]),
    ]
    assert notes == []
    assert found[0].cases[0].caption.startswith("Worst of 5 cases")


def test_what_has_no_room_is_named(sweep, monkeypatch):
    whole, _ = shown(sweep)
    monkeypatch.setattr(sweep_pictures, "MOST_LETTERS", sum(map(letters_of, whole[0].cases)))
    found, notes = shown(sweep)
    assert [one.loss for one in found] == ["dice"]
    assert notes == ["no pictures of focal: the page would become too large"]


def test_scans_that_moved_are_noted_once(sweep):
    images = sweep.path.parent / "images"
    images.rename(images.with_name("moved"))
    try:
        found, notes = shown(sweep)
    finally:
        images.with_name("moved").rename(images)
    assert found == []
    (note,) = notes
    assert note.startswith("no picture of 4 cases; P2_a by dice: ")


def test_a_loss_that_failed_has_no_extremes(tmp_path):
    assert extremes(scores_of(begun(tmp_path)), [], "dice", DICE) == []
