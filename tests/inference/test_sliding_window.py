"""Tiles cover a scan evenly and blend to what the network says everywhere."""

import numpy as np
import pytest
import torch
from torch import nn

from segtrain.core.errors import ResourceError
from segtrain.inference.settings import InferenceSettings
from segtrain.inference.sliding_window import gaussian_window, sliding_logits, window_starts
from tests.plans import small_plan


class Pointwise(nn.Module):
    """Answers with the image and its negative: any right blending gives these back."""

    def forward(self, images):
        return (torch.cat([images, -images], dim=1),)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("shape", [(16, 12, 8), (33, 25, 17), (5, 4, 3), (40, 4, 9)])
def test_blending_a_pointwise_network_gives_its_answer_back(shape, dims):
    image = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    settings = InferenceSettings(batch_size=3)
    logits = sliding_logits(Pointwise(), image, small_plan(dims=dims), settings, torch.device("cpu"))
    assert logits.shape == (2, *shape)
    assert np.abs(logits[0] - image[0]).max() < 1e-5
    assert np.abs(logits[1] + image[0]).max() < 1e-5


@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
def test_windows_reach_both_edges_and_overlap_as_asked(overlap):
    starts = [s[0] for s in window_starts((100, 8, 8), (16, 8, 8), overlap)]
    assert starts[0] == 0
    assert starts[-1] == 84
    assert max(np.diff(starts)) <= 16 * (1 - overlap) + 1


def test_the_window_weighs_most_at_its_centre_and_never_nothing():
    weight = gaussian_window((9, 9, 1))
    assert weight.max() == weight[4, 4, 0] == 1
    assert weight.min() > 0


def test_memory_that_is_too_small_says_what_was_predicted():
    class Huge(nn.Module):
        def forward(self, images):
            return (images.new_empty(1 << 55),)

    image = np.zeros((1, 20, 12, 8), np.float32)
    with pytest.raises(ResourceError, match="predicting a scan of 20x12x8 voxels in windows of 16x12x8") as error:
        sliding_logits(Huge(), image, small_plan(), InferenceSettings(), torch.device("cpu"))
    assert "inference.batch_size" in str(error.value)
