import re

from segtrain.reports.figures import (
    learning_curves,
    loss_differences,
    loss_means,
    shared_columns,
    training_curves,
)
from segtrain.statistics.comparison import Rules, compare
from tests.reports.builders import HOSTILE, epochs


def comparison(n=8, **losses):
    scores = {loss: {f"c{i}": 0.5 + 0.02 * i + shift for i in range(n)} for loss, shift in losses.items()}
    return compare(scores, {f"c{i}": f"c{i}" for i in range(n)}, "dice", 0, Rules(draws=200))


def test_curves_of_a_run():
    loss, validation, rate = training_curves(epochs())
    assert "Loss" in loss.markup
    assert rate.alt.startswith("Learning rate by epoch: learning rate 0.01")
    assert validation.key == (("var(--c0)", "Dice"),)
    assert "Dice 0.7 at the end" in validation.alt


def test_no_epochs_or_no_numbers_have_no_curves():
    assert training_curves([]) == ()
    assert training_curves([{"epoch": 1, "train_loss": float("nan"), "dice": None}]) == ()


def test_one_epoch_is_a_dot_among_whole_epochs():
    loss, *others = training_curves(epochs(1))
    assert len(others) == 2
    below = re.findall(r"text-anchor: middle[^>]*>([^<]*)<", loss.markup)
    assert below == ["0", "1", "2", "epoch"]


def test_curves_of_several_runs():
    runs = {HOSTILE: epochs(), "focal": epochs(3), "boom": []}
    assert shared_columns(runs) == ("dice", "train_loss")
    drawing = learning_curves(runs, "dice")
    assert [name for _, name in drawing.key] == [HOSTILE, "focal"]
    assert learning_curves({}, "dice") is None
    assert shared_columns({}) == ("train_loss",)
    assert learning_curves({}, "train_loss") is None


def test_losses_with_a_failed_one_and_hostile_names():
    found = comparison(**{"dice": 0.0, "_focal$a$": 0.05, "<b>": -0.05})
    for drawing in (loss_means(found, "Dice"), loss_differences(found, "Dice")):
        assert "_focal$a$" in drawing.markup
        assert "&lt;b&gt;" in drawing.markup
        assert "<b>" not in drawing.markup


def test_one_patient_has_no_interval_to_draw():
    found = comparison(n=1, dice=0.0, focal=0.1)
    assert "<svg" in loss_means(found, "Dice").markup
    assert "<svg" in loss_differences(found, "Dice").markup


def test_nothing_but_failures():
    found = compare({"dice": {}, "focal": {}}, {}, "dice", 0)
    assert "<svg" in loss_means(found, "Dice").markup
