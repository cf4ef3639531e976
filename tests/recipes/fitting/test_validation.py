"""What a validation says between two epochs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from segtrain.core.scores import CaseScores, Score
from segtrain.core.task import IGNORED_CLASS, Task
from segtrain.core.volume import LabelMap
from segtrain.data.prepare import prepare
from segtrain.data.store import load, save
from segtrain.inference.predict import Predictor
from segtrain.inference.settings import InferenceSettings
from segtrain.metrics.settings import EvaluationSettings
from segtrain.recipes.fitting.validation import label_scores, mean_scores, quick, score_stored
from tests.phantoms import scan
from tests.plans import small_plan

DICE = EvaluationSettings(metrics=("dice",))
TASK = Task(labels={"background": 0, "organ": 207, "lesion": 4}, ignore=99)


class Bright(nn.Module):
    """Says `organ`, the second foreground class, where the image is bright."""

    def forward(self, images):
        bright = 4 * (images - 1.0)
        return (torch.cat([-bright, -bright - 9, bright], dim=1),)


@pytest.fixture
def predictor():
    return Predictor(Bright(), small_plan(), TASK, "softmax", InferenceSettings(), torch.device("cpu"))


def stored(folder, change=lambda labels: labels):
    """A prepared phantom whose mask, in ids of the task, went through `change`."""
    image, mask = scan()
    labels = LabelMap(change(mask.array.astype(np.int32) * 207), mask.grid)
    found = prepare(folder.name, image, labels, small_plan(), TASK)
    save(found, found.classes, folder)
    return load(folder)


def cut(labels):
    """Half of the mask is marked as ignored, whatever it held."""
    labels[: labels.shape[0] // 2] = 99
    return labels


def test_a_network_that_finds_the_organ_scores_high_whatever_its_id(tmp_path, predictor):
    (found,) = score_stored(predictor, [stored(tmp_path / "a")], DICE)
    assert found.case == "a"
    assert found.scores["organ"]["dice"].value > 0.95
    assert found.scores["lesion"]["dice"] == Score(None, "both_empty")


def test_voxels_of_the_ignore_label_do_not_count(tmp_path, predictor):
    case = stored(tmp_path / "a", cut)
    assert (case.classes == IGNORED_CLASS).any()
    (found,) = score_stored(predictor, [case], DICE)
    assert found.scores["organ"]["dice"].value > 0.95
    assert (
        found.prediction_ml["organ"]
        < score_stored(predictor, [stored(tmp_path / "b")], DICE)[0].prediction_ml["organ"] * 0.8
    )


def case(name, organ, lesion):
    scores = {label: {"dice": Score(v, "ok")} for label, v in (("organ", organ), ("lesion", lesion))}
    return CaseScores(name, name, scores, {}, {})


def test_the_mean_is_over_labels_of_means_over_cases():
    found = [case("a", 0.9, 0.2), case("b", 0.7, None), case("c", 0.8, None)]
    assert mean_scores(found, TASK, ("dice",))["dice"] == pytest.approx((0.8 + 0.2) / 2)


def test_a_label_that_is_nowhere_defined_takes_no_part():
    assert mean_scores([case("a", 0.9, None)], TASK, ("dice",)) == {"dice": 0.9}


def test_each_label_has_its_mean_over_the_cases_where_it_is_defined():
    found = [case("a", 0.9, None), case("b", 0.7, None)]
    assert label_scores(found, TASK, "dice") == {"organ": pytest.approx(0.8), "lesion": None}


def test_nothing_defined_is_no_mean():
    assert mean_scores([case("a", None, None)], TASK, ("dice",)) == {"dice": None}


def test_between_epochs_the_headline_and_what_is_cheap_is_measured():
    settings = EvaluationSettings(metrics=("hd95", "dice", "nsd", "iou", "lesion_f1"), nsd_tolerance_mm=1)
    assert quick(settings).metrics == ("hd95", "dice", "iou")
    assert quick(settings).nsd_tolerance_mm == 1


class TestASignedMetric:
    """Of which the best value is 0: too large in one case or label does not make up for too small in another."""

    ERROR = "relative_volume_error"

    def case(self, name, organ, lesion):
        scores = {label: {self.ERROR: Score(v, "ok")} for label, v in (("organ", organ), ("lesion", lesion))}
        return CaseScores(name, name, scores, {}, {})

    @pytest.mark.parametrize("bad", [[(0.9, 0.9), (-0.9, -0.9)], [(0.9, -0.9)], [(0.9, -0.9), (-0.9, 0.9)]])
    def test_the_worse_epoch_is_not_the_best(self, bad):
        wild = mean_scores([self.case(str(n), *pair) for n, pair in enumerate(bad)], TASK, (self.ERROR,))
        fair = mean_scores([self.case("a", 0.1, 0.1), self.case("b", 0.06, 0.06)], TASK, (self.ERROR,))
        assert wild[self.ERROR] == pytest.approx(0.9)
        assert fair[self.ERROR] == pytest.approx(0.08)

    def test_labels_are_told_alike(self):
        found = [self.case("a", 0.9, None), self.case("b", -0.9, None)]
        assert label_scores(found, TASK, self.ERROR) == {"organ": pytest.approx(0.9), "lesion": None}
