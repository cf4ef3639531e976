"""What the columns of metrics.csv mean."""

from math import inf, nan

from segtrain.reports.curves import curve, label_column, label_columns, metrics_in, watched_values

OWN = "/home/me/mine.py:Missed"


def rows():
    scores = {"dice": 0.5, OWN: 0.25}
    by_label = {label_column("dice", "liver"): 0.75, label_column("dice", "left/upper"): 0.25}
    own = {label_column(OWN, "liver"): 1.0}
    return [
        {"epoch": 1, "step": 8, "train_loss": 1.0, "dice": None},
        {"epoch": 2, "step": 16, **scores, **by_label, **own},
    ]


def test_metrics_and_their_labels_are_told_apart_whatever_slashes_they_have():
    assert metrics_in(rows()) == ["dice", OWN]
    assert label_columns(rows()) == {
        "dice": {"liver": "dice/liver", "left/upper": "dice/left/upper"},
        OWN: {"liver": f"{OWN}/liver"},
    }


def test_no_column_of_training_is_a_metric():
    names = ("learning_rate", "gradient_norm", "seconds", "validation_seconds", "skipped_steps", "peak_memory_mib")
    assert metrics_in([{"epoch": 1, "step": 1, "train_loss": 1.0, **dict.fromkeys(names, 1.0)}]) == []


def test_a_curve_has_the_epochs_with_a_finite_value():
    found = [{"epoch": epoch, "dice": value} for epoch, value in ((1, None), (2, 0.5), (3, nan), (5, inf), (6, 1))]
    assert curve(found, "dice") == [(2.0, 0.5), (6.0, 1.0)]
    assert curve([], "dice") == []


def test_those_that_watch_are_told_each_defined_value_by_its_name():
    row = {"epoch": 2, "step": 16, "train_loss": 1.0, "learning_rate": 0.01, "gradient_norm": None}
    found = watched_values({**row, "dice": 0.5, "dice/liver": 0.75, "hd95": inf})
    assert found == {
        "training/loss": 1.0,
        "training/learning_rate": 0.01,
        "validation/dice": 0.5,
        "validation/dice/liver": 0.75,
    }
