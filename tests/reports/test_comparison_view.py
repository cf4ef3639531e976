from segtrain.reports.comparison_view import clear_winner, finding, metric_view
from segtrain.statistics.comparison import Rules, compare


def comparison(n=8, **losses):
    scores = {
        loss: {f"c{i}": 0.5 + 0.02 * i + (shift + 0.001 * (i % 3)) for i in range(n)} if shift is not None else {}
        for loss, shift in losses.items()
    }
    return compare(scores, {f"c{i}": f"c{i}" for i in range(n)}, "dice", 0, Rules(draws=200))


def test_the_finding_is_made_of_the_verdicts():
    found = comparison(dice=0.0, focal=0.1, ce=-0.1, iou=0.002, boom=None)
    text = finding(found, "Dice")
    assert text == (
        "By Dice, focal is better than dice; ce is worse than dice; iou is within ±0.01 of dice; "
        "no comparison with dice for boom: failed."
    )


def test_under_six_patients_there_is_no_verdict():
    assert finding(comparison(n=5, dice=0.0, focal=0.4), "Dice").startswith("No verdict: with 5 patients")


def test_nothing_to_compare():
    assert finding(comparison(dice=0.0), "Dice") == "By Dice, there is nothing to compare."


def test_bold_is_for_a_clear_winner_only():
    assert clear_winner(comparison(dice=0.0, focal=0.1)) == "focal"
    assert clear_winner(comparison(dice=0.1, focal=0.0)) == "dice"
    assert clear_winner(comparison(dice=0.0, focal=0.001)) is None
    assert clear_winner(comparison(n=5, dice=0.0, focal=0.4)) is None
    assert clear_winner(comparison(dice=0.0, boom=None)) is None


def test_the_winner_is_the_first_by_rank_though_another_lacks_its_hardest_case():
    scores = {loss: {f"c{i}": 0.6 + 0.02 * i + shift for i in range(9)} for loss, shift in (("dice", 0.05), ("ce", 0))}
    scores = {**scores, "ce": {**scores["ce"], "c8": None}, "dice": {**scores["dice"], "c8": 0.0}}
    found = compare(scores, {f"c{i}": f"c{i}" for i in range(9)}, "dice", 0, Rules(draws=200))
    view = metric_view("dice", found, {})
    assert [(r["loss"], r["rank"], r["is_winner"]) for r in view["ranking"]] == [
        ("dice", "1", True),
        ("ce", "2", False),
    ]


def test_every_loss_and_every_pair_has_a_row():
    view = metric_view("dice", comparison(dice=0.0, focal=0.1, boom=None), {"focal": 0.01})
    assert [r["loss"] for r in view["ranking"]] == ["focal", "dice", "boom"]
    assert view["ranking"][0]["seed_sd"] == "0.010"
    assert [r["verdict"] for r in view["baseline_rows"]] == ["better", "failed"]
    assert len(view["other_rows"]) == 1
