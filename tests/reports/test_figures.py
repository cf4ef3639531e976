import re

from segtrain.reports.figures import ends_of, epoch_axes, named_rows, training_curves
from tests.reports.builders import epochs


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


def test_one_epoch_lies_in_the_middle_of_its_axes():
    _, axes = epoch_axes("loss", [4, 4])
    assert axes.get_xlim() == (3, 5)
    assert axes.get_title() == "Loss"


def test_curves_are_said_by_their_ends():
    assert ends_of("Dice", {"a": [(1, 0.1), (2, 0.25)]}) == "Dice by epoch: a 0.25 at the end"


def test_rows_have_room_for_their_names_and_a_long_one_is_cut():
    figure, axes = named_rows(["a" * 40, "b"], title="")
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a" * 25 + "…", "b"]
    assert axes.get_position().x0 * figure.get_figwidth() > 26 * 0.07
    assert axes.get_ylim() == (1.6, -0.6)
