import math

import pytest
import torch

from segtrain.core.task import IGNORED_CLASS
from segtrain.losses import build_loss
from segtrain.losses.targets import as_target

CLASSES = torch.tensor([[[0, 1], [2, IGNORED_CLASS]]], dtype=torch.uint8)


def test_exclusive_classes_stay_indices_and_ignored_voxels_become_background_under_the_mask():
    target, mask = as_target(CLASSES, "multiclass", (), has_ignored=True)
    assert target.dtype == torch.int64
    assert target.tolist() == [[[0, 1], [2, 0]]]
    assert mask.tolist() == [[[True, True], [True, False]]]


def test_labels_become_one_channel_for_each_foreground_class():
    target, mask = as_target(CLASSES, "multilabel", [(1,), (2,)], has_ignored=True)
    assert target.dtype == torch.bool
    assert target.int().tolist() == [[[[0, 1], [0, 0]], [[0, 0], [1, 0]]]]
    assert not mask[0, 1, 1]


def test_one_sigmoid_takes_class_one_against_the_rest():
    target, _ = as_target(CLASSES, "binary", [(1,)], has_ignored=True)
    assert target.int().tolist() == [[[[0, 1], [0, 0]]]]


def test_a_region_is_true_in_all_of_its_classes_and_may_overlap_another():
    target, mask = as_target(CLASSES, "multilabel", [(1, 2), (2,)], has_ignored=True)
    assert target.int().tolist() == [[[[0, 1], [1, 0]], [[0, 0], [1, 0]]]]
    assert mask.tolist() == [[[True, True], [True, False]]]


@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
def test_there_is_no_mask_where_nothing_is_ignored(mode):
    _, mask = as_target(CLASSES.clamp_max(2), mode, [(1,), (2,)], has_ignored=False)
    assert mask is None


def test_the_ignored_value_can_be_another():
    _, mask = as_target(torch.tensor([[[0, 7]]]), "multiclass", (), 7, has_ignored=True)
    assert mask.tolist() == [[[True, False]]]


@pytest.mark.parametrize(("mode", "outputs"), [("multiclass", 3), ("multilabel", 2), ("binary", 1)])
def test_a_loss_takes_what_comes_out(mode, outputs):
    members = [(1 + i,) for i in range(outputs)]
    target, mask = as_target(CLASSES, mode, members, has_ignored=True)
    value = build_loss("ce", mode)(torch.zeros(1, outputs, 2, 2), target, mask)
    assert value.item() == pytest.approx(math.log(outputs if mode == "multiclass" else 2))
