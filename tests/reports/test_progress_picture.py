"""The picture of a run that trains."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from segtrain.reports.progress_picture import MEAN, MOST_POINTS, panels, points, progress_png
from tests.reports.builders import HOSTILE


def rows(epochs=6, labels=("liver", "kidney"), every=2):
    return [
        {
            "epoch": epoch,
            "step": 10 * epoch,
            "train_loss": 1 / epoch,
            "learning_rate": 0.01,
            "gradient_norm": 0.5,
            "seconds": 3.0,
            "validation_seconds": 1.0 if epoch % every == 0 else None,
            "skipped_steps": 0,
            "peak_memory_mib": 100,
            "dice": 0.5 if epoch % every == 0 else None,
            "iou": 0.4 if epoch % every == 0 else None,
            **{f"dice/{label}": 0.1 * place if epoch % every == 0 else None for place, label in enumerate(labels)},
        }
        for epoch in range(1, epochs + 1)
    ]


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_it_shows_loss_scores_by_label_rate_and_seconds():
    found = panels(rows())
    assert list(found) == ["Training loss", "Validation: Dice", "Learning rate", "Seconds per epoch"]
    assert found["Validation: Dice"] == {
        "liver": [(2.0, 0.0), (4.0, 0.0), (6.0, 0.0)],
        "kidney": [(2.0, 0.1), (4.0, 0.1), (6.0, 0.1)],
        MEAN: [(2.0, 0.5), (4.0, 0.5), (6.0, 0.5)],
    }
    assert list(found["Seconds per epoch"]) == ["training", "validation"]


def test_one_label_is_its_own_mean_and_older_runs_have_no_labels():
    assert list(panels(rows(labels=("liver",)))["Validation: Dice"]) == ["liver"]
    assert list(panels(rows(labels=()))["Validation: Dice"]) == [MEAN]
    assert panels([])["Validation"] == {}


@pytest.mark.parametrize("labels", [("liver",), ("_a", HOSTILE), tuple(f"organ {n}" for n in range(104))])
def test_it_is_a_picture_with_colours_whatever_labels_are_called(labels):
    found = pixels(progress_png(rows(labels=labels), HOSTILE))
    assert found.shape == (540, 960, 3)
    assert (found[0, 0] == 255).all()
    assert len(np.unique(found.reshape(-1, 3), axis=0)) > 20


def test_a_later_epoch_changes_the_picture_and_the_same_rows_do_not():
    first, again, later = (progress_png(rows(n), "run") for n in (4, 4, 6))
    assert first == again
    assert (pixels(first) != pixels(later)).any()


def test_nothing_yet_is_a_picture_too():
    assert pixels(progress_png([], "run")).shape == (540, 960, 3)
    assert pixels(progress_png(rows(1), "run")).shape == (540, 960, 3)


def test_the_style_of_others_stays():
    before = dict(mpl.rcParams)
    progress_png(rows(), "run")
    assert dict(mpl.rcParams) == before


def test_a_long_curve_is_thinned_and_keeps_its_end():
    line = [(float(n), float(n)) for n in range(1, 2001)]
    x, y = points(line)
    assert len(x) <= MOST_POINTS
    assert (x[-1], y[-1]) == (2000.0, 2000.0)
    assert points(line[:5])[0] == [1.0, 2.0, 3.0, 4.0, 5.0]
