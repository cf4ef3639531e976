import math

import pytest
import torch

from segtrain.losses import build_loss
from segtrain.losses.border_ce import TWO_NEAREST, to_two_objects
from segtrain.losses.components import COMPONENTS
from segtrain.losses.maps import SIGNED_DISTANCE
from segtrain.losses.voxels import Extras, Reading, read
from tests.losses.fixtures import random_sample

NAMES = ["contour_weighted_ce", "distance_ce", "unet_border_ce"]
MODES = ["multiclass", "binary"]
every_name = pytest.mark.parametrize("name", NAMES)
every_mode = pytest.mark.parametrize("mode", MODES)


def row(labels, mode="binary"):
    """Undecided logits and the labels of one row; each voxel has the same cross-entropy."""
    labels = torch.tensor([[labels]])
    outputs = 1 if mode == "binary" else int(labels.max()) + 1
    return torch.zeros(1, outputs, *labels.shape[1:], dtype=torch.float64), labels


def weights_of(name, sample, mask=None, **options):
    """Weight of each voxel of a row, from the gradient of the certain error it makes."""
    logits, labels = sample
    found = []
    for place in range(labels.shape[-1]):
        only = torch.zeros(labels.shape, dtype=torch.float64)
        only[..., place] = 1
        both = [build_loss(n, **o)(logits, labels, mask, weight_map=only) for n, o in ((name, options), ("ce", {}))]
        found.append((both[0] / both[1]).item() if both[1] > 0 else 0.0)
    return found


@every_name
@every_mode
def test_it_costs_at_least_cross_entropy(name, mode):
    sample = random_sample(mode, space=(5, 6))
    assert build_loss(name)(*sample) > build_loss("ce")(*sample)


@every_name
@every_mode
def test_class_weights_are_those_of_cross_entropy(name, mode):
    logits, target = random_sample(mode, space=(5, 6))
    own = (1.0, 2.0, 3.0) if mode == "multiclass" else (2.0,)
    weighted = build_loss(name, class_weights=own)(logits, target)
    as_map = torch.tensor(own)[target] if mode == "multiclass" else torch.full(target.shape, 2.0)
    assert weighted.item() == pytest.approx(build_loss(name)(logits, target, weight_map=as_map).item(), rel=1e-12)


@every_name
@pytest.mark.parametrize("label", [0, 1])
def test_without_a_border_it_is_cross_entropy(name, label):
    logits, target = random_sample("binary")
    sample = logits, torch.full_like(target, label)
    options = {"spacing_mm": (1, 1, 1)} if name != "contour_weighted_ce" else {}
    found = build_loss(name, **options)(*sample).item()
    if name == "distance_ce" and label:
        assert found >= build_loss("ce")(*sample).item()
    else:
        assert found == pytest.approx(build_loss("ce")(*sample).item(), rel=1e-12)


class TestDistance:
    @every_mode
    def test_each_side_is_scaled_by_its_own_depth(self, mode):
        found = weights_of("distance_ce", row([0, 0, 0, 0, 1, 1], mode))
        assert found == pytest.approx([1, 1.25, 1.5, 1.75, 1.5, 1])

    def test_each_class_is_a_side(self):
        found = weights_of("distance_ce", row([0, 0, 1, 1, 1, 1, 2, 2, 2], "multiclass"))
        assert found == pytest.approx([1, 1.5, 1.5, 1, 1, 1.5, 1 + 2 / 3, 1 + 1 / 3, 1])

    def test_an_ignored_voxel_is_no_border(self):
        mask = torch.tensor([[[True, True, True, False, True, True]]])
        assert weights_of("distance_ce", row([0, 0, 0, 0, 1, 1]), mask) == pytest.approx(
            [1, 1.25, 1.5, 0, 1 + 1 / 3, 1]
        )

    def test_the_callers_distances_are_used(self):
        logits, target = row([0, 0, 1, 1])
        steps = torch.tensor([[[[4.0, 1, -1, -2]]]])
        loss = build_loss("distance_ce")
        found = loss(logits, target, maps={SIGNED_DISTANCE: steps}).item()
        assert found == pytest.approx(math.log(2) * (1 + 1.75 + 1.5 + 1) / 4)


class TestContour:
    @every_mode
    def test_the_outermost_voxels_of_objects_weigh_more(self, mode):
        found = weights_of("contour_weighted_ce", row([0, 0, 1, 1, 1, 1, 0], mode), contour_weight=4)
        assert found == pytest.approx([1, 1, 5, 1, 1, 5, 1])

    def test_between_classes_both_do(self):
        found = weights_of("contour_weighted_ce", row([0, 1, 1, 1, 2, 2, 2], "multiclass"))
        assert found == pytest.approx([1, 3, 1, 3, 3, 1, 1])

    def test_an_ignored_voxel_is_no_outside(self):
        mask = torch.tensor([[[True, False, True, True]]])
        assert weights_of("contour_weighted_ce", row([0, 0, 1, 1]), mask) == pytest.approx([1, 0, 1, 1])

    def test_without_weight_it_is_cross_entropy(self):
        sample = random_sample("multiclass")
        assert build_loss("contour_weighted_ce", contour_weight=0)(*sample) == build_loss("ce")(*sample)


class TestUNet:
    def test_the_gap_between_two_objects_weighs_most(self):
        found = weights_of("unet_border_ce", row([1, 0, 0, 1, 0, 0, 0]), w0=6, sigma=2)
        assert found == pytest.approx([1 + 6 * math.exp(-(d**2) / 8) for d in (3, 3, 3, 3, 5, 7, 9)])

    def test_objects_of_two_classes_are_two(self):
        found = weights_of("unet_border_ce", row([1, 1, 2, 0], "multiclass"), w0=6, sigma=2)
        assert found == pytest.approx([1 + 6 * math.exp(-(d**2) / 8) for d in (2, 1, 1, 3)])

    def test_sigma_is_in_mm(self):
        sample = row([1, 0, 0, 1, 0])
        voxels = weights_of("unet_border_ce", sample, sigma=2)
        assert weights_of("unet_border_ce", sample, sigma=1, spacing_mm=(1, 0.5)) == pytest.approx(voxels)

    def test_far_objects_do_not_matter(self):
        found = weights_of("unet_border_ce", row([1, *[0] * 20, 1]), sigma=1)
        assert found == [1.0] * 22


@every_mode
def test_objects_are_components_of_a_class(mode):
    logits, labels = row([1, 1, 0, 0, 1, 2 if mode == "multiclass" else 1, 0], mode)
    voxels = read(logits, labels, None, Reading(mode))
    sums = [4, 3, 3, 3, 1, 1, 3] if mode == "multiclass" else [4, 3, 3, 3, 3, 4, 6]
    assert to_two_objects(voxels, (1, 1), reach_mm=10).tolist() == [sums]


def test_the_callers_components_are_used():
    logits, labels = row([1, 1, 0, 0])
    ids = torch.tensor([[[[7, 9, 0, 0]]]])
    voxels = read(logits, labels, None, Reading("binary"), extras=Extras(maps={COMPONENTS: ids}))
    assert to_two_objects(voxels, (1, 1), reach_mm=10).tolist() == [[1, 1, 3, 5]]


def test_the_callers_distances_are_used():
    logits, labels = row([1, 0, 0, 1, 0])
    loss = build_loss("unet_border_ce", w0=10, sigma=2)
    assert loss.needs == (TWO_NEAREST,)
    far = torch.full((1, 1, 1, 5), torch.inf)
    assert loss(logits, labels, maps={TWO_NEAREST: far}).item() == pytest.approx(math.log(2))
    assert loss(logits, labels, maps={TWO_NEAREST: torch.zeros(1, 1, 1, 5)}).item() == (pytest.approx(11 * math.log(2)))


def test_one_object_or_none_has_no_two():
    for labels in ([0, 0, 0], [0, 1, 0]):
        voxels = read(*row(labels), None, Reading("binary"))
        assert torch.isposinf(to_two_objects(voxels, (1, 1), reach_mm=10)).all()
