"""A prediction lies on the scan's own grid and holds the task's own label ids."""

import numpy as np
import pytest
import torch
from torch import nn

from segtrain.core.task import Task
from segtrain.data.prepare import prepare
from segtrain.inference.predict import Ensemble, Predictor
from segtrain.inference.settings import InferenceSettings
from tests.phantoms import grid, scan
from tests.plans import small_plan

TASK = Task(labels={"background": 0, "organ": 7})


class Threshold(nn.Module):
    """Says `organ` where the normalised image is bright, as softmax or as sigmoid logits."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs

    def forward(self, images):
        bright = 4 * (images[:, :1] - 1.0)
        return (torch.cat([-bright, bright], dim=1) if self.outputs == 2 else bright,)


@pytest.mark.parametrize(("activation", "outputs"), [("softmax", 2), ("sigmoid", 1)])
@pytest.mark.parametrize("native", [grid(), grid(degrees=200, flips=(-1, 1, -1))])
def test_the_mask_comes_back_on_the_native_grid(activation, outputs, native):
    image, labels = scan(native)
    plan = small_plan(spacing_mm=(0.9, 0.9, 2.0))
    model = Predictor(Threshold(outputs), plan, TASK, activation, InferenceSettings(), torch.device("cpu"))
    found = Ensemble((model,)).predict("a", image)
    assert found.grid is native
    assert set(np.unique(found.array)) == {0, 7}
    overlap = 2 * ((found.array == 7) & (labels.array == 1)).sum() / ((found.array == 7).sum() + labels.array.sum())
    assert overlap > 0.95


class TwoThresholds(nn.Module):
    """Logits of two nested regions: bright, and very bright."""

    def forward(self, images):
        return (torch.cat([images[:, :1] - 1.0, images[:, :1] - 2.0], dim=1),)


def test_regions_are_drawn_one_over_the_other_with_the_labels_of_the_task():
    task = Task(labels={"background": 0, "rim": 7, "core": 3}, regions={"whole": ("rim", "core"), "core": ("core",)})
    image, _ = scan(grid())
    plan = small_plan()
    model = Predictor(TwoThresholds(), plan, task, "sigmoid", InferenceSettings(), torch.device("cpu"))
    prepared = prepare("a", image, None, plan, task)
    logits = model.logits(prepared.image)
    expected = np.select([logits[1] > 0, logits[0] > 0], [1, 2], 0)
    assert logits.shape[0] == 2
    assert len(np.unique(expected)) == 3
    assert (model.classes(prepared.image) == expected).all()
    assert set(np.unique(Ensemble((model,)).predict("a", image).array)) == {0, 3, 7}


class Says(nn.Module):
    """The same logit of the organ everywhere."""

    def __init__(self, logit):
        super().__init__()
        self.logit = logit

    def forward(self, images):
        return (torch.full_like(images[:, :1], self.logit),)


@pytest.mark.parametrize(("logits", "found"), [((3.0, -1.0), 7), ((1.0, -3.0), 0), ((-1.0, -1.0, 3.0), 7)])
def test_the_logits_of_several_networks_are_averaged_on_the_scans_grid(logits, found):
    image, _ = scan(grid(degrees=20))
    members = tuple(
        Predictor(
            Says(logit),
            small_plan(spacing_mm=(0.8 + 0.1 * n, 1, 2)),
            TASK,
            "sigmoid",
            InferenceSettings(),
            torch.device("cpu"),
        )
        for n, logit in enumerate(logits)
    )
    mask = Ensemble(members).predict("a", image)
    assert mask.grid is image.grid
    assert (mask.array == found).all()
