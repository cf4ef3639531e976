"""Options of a loss that speak of labels."""

import pytest

from segtrain.core.errors import ConfigError
from segtrain.recipes.loss_options import options_for

OUTPUTS = ("background", "liver", "tumour")


def told(options) -> list[tuple[str, str, str]]:
    with pytest.raises(ConfigError) as error:
        options_for(options, OUTPUTS)
    return [(p.where, p.what, p.hint) for p in error.value.problems]


def test_class_weights_by_name_are_in_order_of_the_outputs_and_1_where_none_is_given():
    assert options_for({"class_weights": {"tumour": 3}}, OUTPUTS) == {"class_weights": [1.0, 1.0, 3]}


def test_parts_of_losses_have_their_own():
    options = {
        "ce": {"class_weights": {"liver": 2}, "label_smoothing": 0.1},
        "of": [{"name": "dice", "class_weights": {"background": 0}}, "ce"],
    }
    assert options_for(options, OUTPUTS) == {
        "ce": {"class_weights": [1.0, 2, 1.0], "label_smoothing": 0.1},
        "of": [{"name": "dice", "class_weights": [0, 1.0, 1.0]}, "ce"],
    }


def test_what_does_not_speak_of_labels_stays():
    options = {"smooth": 1.0, "class_weights": [1, 2, 3], "absent": "skip"}
    assert options_for(options, OUTPUTS) == options


def test_a_label_that_is_none_is_told_with_the_nearest():
    assert told({"class_weights": {"tumor": 3}}) == [
        ("loss.class_weights", "no output is called 'tumor'", "did you mean 'tumour'?")
    ]


def test_all_faults_are_told_with_their_places():
    found = told({"of": [{"name": "dice", "ignore_label": 2}, {"name": "ce", "class_weights": [1, 2]}]})
    assert [where for where, _, _ in found] == ["loss.of.0.ignore_label", "loss.of.1.class_weights"]
    assert found[0][2].startswith("task.ignore: 2 ")
    assert found[1][1:] == (
        "2 weights for 3 outputs",
        "one each, in this order: background, liver, tumour; or by name, as {tumour: 2}",
    )
