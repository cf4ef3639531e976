"""What the page of a comparison shows, before it is a page."""

from __future__ import annotations

from dataclasses import replace

from segtrain.recipes.sweep.status import Endings, with_endings
from segtrain.reports.comparison_view import comparison_view, cost_rows
from segtrain.reports.contents import Halving, LossCost
from segtrain.reports.page import write_comparison_report
from segtrain.statistics.comparison import Rules, compare
from tests.reports.builders import epochs
from tests.reports.comparisons import comparison, facts, of_folds, report, rung, thirds


def view(*args, **changes):
    return comparison_view(report(*args, **changes))


def test_the_winner_is_the_first_by_rank_though_another_lacks_its_hardest_case():
    scores = {loss: {f"c{i}": 0.6 + 0.02 * i + shift for i in range(9)} for loss, shift in (("dice", 0.05), ("ce", 0))}
    scores = {**scores, "ce": {**scores["ce"], "c8": None}, "dice": {**scores["dice"], "c8": 0.0}}
    found = compare(scores, {f"c{i}": f"c{i}" for i in range(9)}, "dice", 0, Rules(draws=200))
    (shown,) = view(("dice", "ce", "boom"), comparisons={"dice": found}, by_label={}, agreement=[])["metrics"]
    assert [(r["loss"], r["rank"], r["is_winner"]) for r in shown["ranking"]] == [
        ("dice", "1", True),
        ("ce", "2", False),
    ]


def test_every_loss_and_every_pair_has_a_row_with_its_spread_over_seeds():
    sd = {"dice": {("focal", "dice"): 0.02}}
    first, _ = view(seed_sd={"dice": {"focal": 0.01}}, pair_seed_sd=sd)["metrics"]
    assert [r["loss"] for r in first["ranking"]] == ["focal", "dice", "boom"]
    assert first["ranking"][0]["seed_sd"] == "0.010"
    assert [(r["verdict"], r["seed_sd"]) for r in first["baseline_rows"]] == [("better", "0.020"), ("failed", "–")]
    assert len(first["other_rows"]) == 1


def test_the_test_over_folds_stands_beside_the_one_over_patients():
    folds = of_folds(dice=(0.5, 0.6, 0.5, 0.6), focal=(0.6, 0.8, 0.7, 0.8))
    found = comparison(dice=0.0, focal=0.1, folds=folds)
    (shown,) = view(comparisons={"dice": found}, by_label={}, agreement=[])["metrics"]
    row = shown["baseline_rows"][0]
    assert shown["has_folds"]
    assert (row["p"], row["fold_p"]) == ("0.008", f"{found.pairs[0].fold_p:.3f}")
    # The mean is 0.175, its corrected error sqrt((1/4 + 1/1) 0.0025) = 0.0559, and t(3) at 97.5 % is 3.182.
    assert row["fold_interval"] == "−0.003 to +0.353"
    assert not view()["metrics"][0]["has_folds"]


def test_the_page_says_where_numbers_that_look_alike_are_not_the_same(tmp_path):
    """A mean is over cases, a difference over patients; without known patients both are over cases."""
    curves = {"dice": epochs(), "focal": epochs(), "boom": epochs()}
    for known in (True, False):
        shown = report(made=facts(patients_known=known), curves=curves)
        write_comparison_report(tmp_path / "report.html", shown)
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert ("the differences below are over patients" in page) == known
        assert "so a curve need not end at its mean" in page


def test_friedman_says_what_it_found_or_why_it_was_not_asked():
    three = comparison(dice=0.0, focal=0.1, ce=0.2)
    five = comparison(n=5, dice=0.0, focal=0.1, ce=0.2)
    alike = comparison(dice=0.0, focal=0.0, ce=0.0)
    said = [
        view(comparisons={"dice": found}, by_label={}, agreement=[])["metrics"][0]["friedman"]
        for found in (three, five, alike)
    ]
    assert "finds that the losses differ (p < 0.001)" in said[0]
    assert said[1] == "Friedman's test is not made under 6 patients."
    assert "finds no difference between the losses (p = 1.000)" in said[2]
    assert "need three losses" in view()["metrics"][0]["friedman"]


def test_agreement_is_a_square_with_ones_in_its_diagonal():
    rows = view(agreement=[("dice", "iou", 1 / 3)])["agreement"]
    assert [row["cells"] for row in rows] == [["1", "0.33"], ["0.33", "1"]]
    assert [row["name"] for row in rows] == ["Dice", "IoU"]


def test_small_structures_stand_apart_and_every_label_has_its_thirds():
    names = ("dice", "focal", "boom")
    sizes = view(names, by_label=thirds(names, labels=("liver", "lesion")))["sizes"]
    assert sizes["small_heads"] == [("liver", "1.000 to 3.000 ml"), ("lesion", "1.000 to 3.000 ml")]
    assert [row["loss"] for row in sizes["small"]] == ["focal", "dice", "boom"]
    assert sizes["small"][0]["cells"][0] == {"mean": "0.110", "interval": "0.100 to 0.120", "defined": "3 / 3"}
    assert [label["label"] for label in sizes["labels"]] == ["liver", "lesion"]
    assert [head for head, _ in sizes["labels"][0]["heads"]] == ["all", "small", "middle", "large"]
    assert all(label["drawing"] for label in sizes["labels"])


def test_what_to_add_for_precision_and_recall_is_said():
    assert view()["balance"]["add"] == "evaluation: {metrics: [dice, iou, sensitivity, precision]}"
    found = comparison(dice=0.0, focal=0.1, boom=None)
    whole = view(comparisons={"dice": found, "sensitivity": found, "precision": found}, agreement=[])["balance"]
    assert whole["drawing"]
    assert whole["missing"] == []


def test_costs_are_beside_the_baseline():
    costs = [LossCost("dice", 4, 0.2, 0.19, 0.25, 12.34, 700), LossCost("focal", 4, 0.05, 0.04, 0.06, None, None)]
    first, second = cost_rows([*costs, LossCost("boom", 0)][:2], "dice")
    assert first == {
        "loss": "dice",
        "step": "200",
        "span": "190 to 250",
        "ratio": "1.00",
        "minutes": "12.3",
        "memory": "700",
        "runs": "4",
    }
    assert (second["step"], second["ratio"], second["memory"]) == ("50.0", "0.25", "–")
    assert cost_rows([LossCost("boom", 0)], "dice") == []


def test_unfinished_runs_are_named_and_their_losses_called_incomplete():
    names = tuple(f"dice, fold {i}, seed 0" for i in range(8))
    text = view(made=facts(unfinished=names))["missing"]
    assert text.startswith("8 runs did not end, or broke off: dice, fold 0, seed 0;")
    assert "; and 2 more. Their losses are incomplete" in text
    assert view()["missing"] == ""


def test_curves_that_still_rise_are_told():
    told = " ".join(view(curves={"dice": epochs(5), "focal": epochs(5)})["training_cautions"])
    assert "2 of 2 losses were still improving" in told


def test_a_dropped_loss_has_a_row_with_its_reason_and_no_place_among_sizes():
    found = with_endings(comparison(dice=0.0, ce=0.1), Endings({}, {}, (rung(),)))
    names = ("dice", "ce", "focal")
    shown = view(
        names,
        comparisons={"dice": found},
        by_label=thirds(names[:2]),
        agreement=[],
        halving=Halving((rung(),), 0.25),
    )
    *_, last = shown["metrics"][0]["ranking"]
    assert (last["loss"], last["status"], last["mean"]) == ("focal", "dropped", "–")
    assert last["reason"].startswith("at epoch 6 of 24: behind dice")
    assert {row["loss"] for row in shown["sizes"]["small"]} == {"dice", "ce"}
    assert shown["halving"]["saved"] == "25 %"
    assert len(shown["halving"]["figures"]) == 1


def test_margins_are_told_metric_by_metric():
    found = comparison(dice=0.0, ce=0.1)
    shown = view(("dice", "ce"), comparisons={"dice": found, "hd95": replace(found, rules=Rules(None))}, agreement=[])
    assert [metric["margin"] for metric in shown["metrics"]] == ["0.01", ""]
    assert shown["margins"] == "±0.01 for Dice, none for HD95 (mm)"
