"""A prediction lies on the scan's own grid and holds the task's own label ids."""

import numpy as np
import pytest
import torch
from torch import nn

from segtrain.core.task import Task
from segtrain.data.prepare import prepare
from segtrain.inference.predict import Predictor
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
    found = model.predict(prepare("a", image, None, plan, TASK))
    assert found.grid is native
    assert set(np.unique(found.array)) == {0, 7}
    overlap = 2 * ((found.array == 7) & (labels.array == 1)).sum() / ((found.array == 7).sum() + labels.array.sum())
    assert overlap > 0.95
