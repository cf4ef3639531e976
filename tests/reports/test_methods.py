"""A methods section says what was done, and cites what it names."""

from __future__ import annotations

import re

from segtrain.reports.contents import Halving
from segtrain.reports.methods import REFERENCES, margin_words, methods_text
from segtrain.statistics.comparison import Rules, compare
from segtrain.statistics.folds import FoldScores
from tests.reports.comparisons import comparison, facts, of_folds, report, rung


def said(*args, **changes):
    """In one line."""
    return " ".join(methods_text(report(*args, **changes)).split())


def with_folds():
    folds = of_folds(dice=(0.5, 0.6, 0.5, 0.6), focal=(0.6, 0.8, 0.7, 0.8), ce=(0.4, 0.5, 0.4, 0.5))
    return {"dice": comparison(dice=0.0, focal=0.1, ce=0.2, folds=folds)}


def test_numbers_are_those_of_the_sweep():
    text = said()
    for words in (
        "We compared 3 loss functions (dice, focal and boom)",
        "network of 344,532 parameters with each, for 6000 steps (6 epochs), on patches of 40 × 40 × 16 voxels",
        "8 cases of 8 patients were divided by patient into 2 folds; with seeds 0, 1 and 2 this makes 18 trainings",
        "scored on its own grid by Dice and IoU; the headline metric is Dice",
        "averaged over labels, then over seeds, and those of a patient over cases before losses were compared.",
        "The unit of analysis was the patient (n = 8)",
        "of 10,000 bootstrap draws over patients [1, 2]. With fewer than 20 patients these intervals are too narrow.",
        "corrected over 2 comparisons by Holm's method",
        "lies within the margin is called equivalent (±0.01 for Dice and IoU), each pair by itself; under 6 patients",
        "Made with segtrain 0.1.0 and torch 2.10, trained on cpu.",
    ):
        assert words in text, words


def test_every_citation_is_in_the_list_and_the_list_has_no_other():
    text = methods_text(report(comparisons=with_folds(), halving=Halving((rung(),), 0.25)))
    body, _, references = text.partition("\n[1] ")
    cited = {int(n) for group in re.findall(r"\[([\d, ]+)\]", body) for n in group.split(",")}
    assert cited == set(range(1, 1 + references.count("\n[") + 1))
    for author in ("Wilcoxon", "Holm", "Nadeau", "Bouckaert", "Friedman", "Nemenyi", "Demšar", "Efron", "Kendall"):
        assert author in references, author
    assert len(cited) == len(REFERENCES)


def test_a_test_that_was_not_made_is_not_claimed():
    text = said()
    for words in ("Friedman", "Nemenyi", "t-test", "Nadeau"):
        assert words not in text, words
    few = said(comparisons={"dice": comparison(n=5, dice=0.0, focal=0.1, ce=0.2)}, agreement=[])
    assert "Friedman" not in few
    assert "Kendall" not in few


def test_friedman_is_given_with_its_numbers():
    text = said(comparisons=with_folds())
    assert "(p < 0.001 over 8 patients and 3 losses)" in text
    assert "whose units here are patients and not data sets" in text
    assert "2 folds of 3 seeds" in text


def test_one_fold_pair_of_one_seed_has_a_test_of_its_own_source():
    ours = {"0/0": {"c0": 0.5}, "0/1": {"c1": 0.6}}
    folds = FoldScores(2, {"dice": ours, "focal": {"0/0": {"c0": 0.6}, "0/1": {"c1": 0.8}}})
    found = {"dice": comparison(dice=0.0, focal=0.1, folds=folds)}
    text = said(comparisons=found, made=facts(seeds=(4,)))
    assert "Nadeau" in text
    assert "Bouckaert" not in text
    assert "with seed 4 this makes 6 trainings" in text
    assert "the variation between seeds was not measured" in text


def test_cases_stand_for_patients_where_none_are_known():
    text = said(made=facts(patients_known=False))
    assert "8 cases, each taken for a patient of its own," in text
    assert "The unit of analysis was the case (n = 8)" in text
    assert "Field" not in text


def test_what_differs_or_is_missing_is_said():
    made = facts(failed=("boom, fold 0, seed 0",), unfinished=("focal, fold 1, seed 2", "focal, fold 0, seed 2"))
    text = said(made=made, declared=[("focal", "learning rate 0.001")])
    assert "were the same for every loss, but for what follows (focal: learning rate 0.001)." in text
    assert "1 training diverged (boom 1)." in text
    assert "2 trainings did not end (focal 2)." in text


def test_plans_that_differ_by_fold_are_all_named():
    text = said(made=facts(parameters=(10, 2000), steps=(50, 60)))
    assert "network of 10 or 2,000 (by fold) parameters with each, for 50 or 60 (by fold) steps" in text


def test_nothing_is_known():
    empty = facts(steps=(), parameters=(), patches=(), devices=(), versions={})
    text = methods_text(report(comparisons={}, made=empty, agreement=[]))
    assert "None" not in text
    assert "  " not in text


def test_what_was_dropped_is_said_with_when_and_how_much_it_saved():
    text = said(halving=Halving((rung(), rung(epoch=12, dropped=())), 0.25), made=facts(epochs=24))
    for words in (
        "in the manner of successive halving [1, 2], but by tests: all were judged after epoch 6 of 24, and after",
        "after epoch 12 a loss was dropped",
        "This dropped focal after epoch 6, which left out 25 % of all steps.",
        "for each metric by itself, those of losses that were dropped or failed counted as not rejected.",
    ):
        assert words in text, words
    undecided = said(halving=Halving((), 0.0))
    assert "nothing was decided: runs broke off before they were judged" in undecided
    nobody = said(halving=Halving((rung(dropped=()),), 0.0))
    assert "This dropped none." in nobody
    assert "counted as not rejected" not in said(comparisons={"dice": comparison(dice=0.0, focal=0.1)})


def test_a_loss_that_found_nothing_has_failed_in_words():
    assert "ce has failed: it hits nothing: mean Dice at most 0.001 in 2 runs." in said(
        found_nothing={"ce": "hits nothing: mean Dice at most 0.001 in 2 runs"}
    )


def test_each_margin_is_told_with_its_metrics():
    scores = {loss: {f"c{i}": 3.0 for i in range(6)} for loss in ("dice", "focal", "boom")}
    people = {f"c{i}": f"c{i}" for i in range(6)}
    margins = {"dice": 0.01, "iou": 0.01, "hd95": 1.0, "assd": None}
    found = {metric: compare(scores, people, "dice", 0, Rules(margin, draws=200)) for metric, margin in margins.items()}
    said_of = margin_words(report(comparisons=found, agreement=[]))
    assert said_of == "±0.01 for Dice and IoU, ±1 for HD95 (mm), none for ASSD (mm)"
