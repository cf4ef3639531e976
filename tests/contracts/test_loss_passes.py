"""A loss, however many parts it has, goes over its voxels at most once for the sums that the shared pass makes."""

from __future__ import annotations

import pytest

from segtrain.losses import build_loss, list_losses, voxels
from segtrain.losses.registry import supported_modes
from tests.losses.fixtures import random_sample

CASES = [(name, mode) for name in list_losses() for mode in supported_modes(name)]
SUMS = [{"name": "boundary"}, {"name": "tversky"}, {"name": "focal"}, {"name": "dice_squared"}, {"name": "dice_ce"}]


@pytest.fixture
def passes(monkeypatch):
    made = []
    for name in ("softmax_sums", "sigmoid_sums"):
        whole = getattr(voxels, name)
        monkeypatch.setattr(voxels, name, lambda *given, whole=whole: made.append(given) or whole(*given))
    return made


@pytest.mark.parametrize(("name", "mode"), CASES, ids=[f"{n}-{m}" for n, m in CASES])
def test_at_most_one_pass(name, mode, passes):
    build_loss(name, mode)(*random_sample(mode))
    assert len(passes) <= 1


@pytest.mark.parametrize("mode", ["multiclass", "binary"])
def test_one_pass_for_a_sum_of_all_kinds(mode, passes):
    build_loss("weighted_sum", mode, of=SUMS)(*random_sample(mode))
    assert len(passes) == 1
