"""Made ahead, maps are those that a loss makes itself, and it makes none beside them."""

import numpy as np
import pytest
import torch

from segtrain.losses import build_loss, list_losses
from segtrain.losses.base import Loss
from segtrain.losses.border_ce import TWO_NEAREST
from segtrain.losses.components import COMPONENTS, NEAREST_COMPONENT
from segtrain.losses.maps import SIGNED_DISTANCE
from segtrain.losses.needed_maps import needed_maps, needs_maps
from segtrain.losses.registry import supported_modes
from segtrain.losses.skeletons import SKELETON
from tests.losses.fixtures import OUTPUTS, random_sample

SIDES = (2.0, 1.0, 0.5)
MAPS = {
    "blob": COMPONENTS,
    "boundary": SIGNED_DISTANCE,
    "cc_dice_ce": NEAREST_COMPONENT,
    "dice_boundary": SIGNED_DISTANCE,
    "dice_hausdorff": SIGNED_DISTANCE,
    "distance_ce": SIGNED_DISTANCE,
    "generalized_surface": SIGNED_DISTANCE,
    "hausdorff_dt": SIGNED_DISTANCE,
    "hausdorff_one_sided": SIGNED_DISTANCE,
    "inverse_size_weighting": COMPONENTS,
    "log_hausdorff_dt": SIGNED_DISTANCE,
    "region_wise": SIGNED_DISTANCE,
    "skeleton_recall": SKELETON,
    "unet_border_ce": TWO_NEAREST,
}
CASES = [(name, mode) for name in MAPS for mode in supported_modes(name)]
TWO_SIDES = [{"name": "boundary"}, {"name": "hausdorff_one_sided", "spacing_mm": [1, 1, 1]}]


def maps_of(loss, target, mask=None, mode="multiclass"):
    return needed_maps(loss, target, mask, outputs=OUTPUTS[mode], spacing_mm=SIDES)


def both_ways(loss, mode, mask=None):
    """The value with maps made ahead, and without."""
    logits, target = random_sample(mode, space=(7, 6, 5), dtype=torch.float32)
    maps = maps_of(loss, target, mask, mode)
    return loss(logits, target, mask, spacing_mm=SIDES, maps=maps), loss(logits, target, mask, spacing_mm=SIDES)


def line(*classes):
    """Exclusive classes of one sample, in a row along the axis whose voxels are 0.5 mm."""
    return torch.tensor(classes).view(1, 1, 1, -1)


def test_these_losses_need_maps():
    assert [name for name in list_losses() if needs_maps(build_loss(name))] == sorted(MAPS)


@pytest.mark.parametrize(("name", "mode"), CASES)
@pytest.mark.parametrize("masked", [False, True])
def test_the_value_is_the_same(name, mode, masked):
    mask = torch.rand(2, 7, 6, 5, generator=torch.Generator().manual_seed(1)) > 0.2 if masked else None
    ahead, alone = both_ways(build_loss(name, mode), mode, mask)
    assert ahead.item() == pytest.approx(alone.item(), rel=1e-6)


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_a_loss_makes_no_map_beside_them(name, mode, monkeypatch):
    logits, target = random_sample(mode, space=(7, 6, 5), dtype=torch.float32)
    loss = build_loss(name, mode)
    maps = maps_of(loss, target, mode=mode)
    assert list(maps) == [MAPS[name]]
    for place in ("maps.signed_distance_mm", "components._each", "skeletons.thinned", "border_ce.two_nearest_mm"):
        monkeypatch.setattr(f"segtrain.losses.{place}", None)
    loss(logits, target, maps=maps)


@pytest.mark.parametrize("name", ["boundary", "hausdorff_one_sided", "skeleton_recall"])
def test_the_background_has_a_map_where_it_is_scored(name):
    ahead, alone = both_ways(build_loss(name, "multiclass", include_background=True), "multiclass")
    assert ahead.item() == pytest.approx(alone.item(), rel=1e-6)


def test_distances_are_those_of_the_voxels_sides():
    found = maps_of(build_loss("boundary", "multiclass"), line(0, 0, 1, 1, 2))[SIGNED_DISTANCE]
    assert found.dtype == torch.float32
    assert found.flatten(2)[0].tolist() == [[0] * 5, [1, 0.5, -0.5, -0.5, 0.5], [2, 1.5, 1, 0.5, -0.5]]


def test_a_loss_that_knows_the_sides_better_has_its_own_distances():
    loss = build_loss("boundary", "multiclass", spacing_mm=(1, 1, 3))
    assert maps_of(loss, line(0, 0, 1))[SIGNED_DISTANCE].flatten(2)[0, 1].tolist() == [6, 3, -3]
    ahead, alone = both_ways(loss, "multiclass")
    assert ahead == alone


def test_objects_and_what_is_near_to_them():
    target = line(1, 0, 0, 0, 0, 1, 2)
    objects = maps_of(build_loss("blob", "multiclass"), target)[COMPONENTS]
    assert objects.dtype == torch.int32
    assert objects.flatten(2)[0].tolist() == [[0] * 7, [1, 0, 0, 0, 0, 2, 0], [0, 0, 0, 0, 0, 0, 1]]
    near = maps_of(build_loss("cc_dice_ce", "multiclass"), target)[NEAREST_COMPONENT]
    assert near.flatten(2)[0].tolist() == [[0] * 7, [1, 1, 1, 2, 2, 2, 2], [1] * 7]


def test_a_skeleton_is_a_byte_a_voxel_and_common_to_exclusive_classes():
    target = torch.zeros(1, 9, 20, dtype=torch.int64)
    target[0, 2:7, 2:10], target[0, 2:7, 10:18] = 1, 2
    loss = build_loss("skeleton_recall", "multiclass")
    found = needed_maps(loss, target, None, outputs=3, spacing_mm=(1.0, 1.0))[SKELETON]
    assert (found.shape, found.dtype) == ((1, 1, 9, 20), torch.bool)
    assert np.flatnonzero(found.any(-1)).tolist() == [4], "the middle line"


def test_a_sum_needs_what_its_parts_need():
    parts = [{"name": "dice_boundary"}, {"name": "skeleton_recall"}, {"name": "ce"}, {"name": "distance_ce"}]
    loss = build_loss("weighted_sum", "multiclass", of=parts)
    maps = maps_of(loss, line(0, 0, 1))
    assert set(maps) == {SIGNED_DISTANCE, SKELETON}
    assert maps[SIGNED_DISTANCE].flatten(2)[0, 0].tolist() == [-1, -0.5, 0.5], "distance_ce scores the background"
    ahead, alone = both_ways(loss, "multiclass")
    assert ahead.item() == pytest.approx(alone.item(), rel=1e-6)


def test_parts_that_disagree_on_the_sides_make_their_own():
    loss = build_loss("weighted_sum", "multiclass", of=TWO_SIDES)
    assert maps_of(loss, line(0, 0, 1)) == {}
    assert needs_maps(loss)


def test_what_the_loss_ignores_is_no_end_of_a_distance():
    loss = build_loss("boundary", "binary", ignore_label=7)
    target = torch.tensor([1, 7, 0]).view(1, 1, 1, 1, 3)
    found = needed_maps(loss, target, None, outputs=1, spacing_mm=SIDES)[SIGNED_DISTANCE]
    assert found.flatten().tolist() == [-1, 0, 1]


def test_a_map_of_a_users_own_is_left_to_the_loss():
    class Mine(Loss):
        """A loss of a test."""

        needs = ("light", SIGNED_DISTANCE)

        def measure(self, voxels):
            return voxels.logits.sum()

    found = maps_of(Mine("multiclass"), line(0, 1, 1))
    assert list(found) == [SIGNED_DISTANCE]
    assert found[SIGNED_DISTANCE].flatten(2)[0, 0].tolist() == [-0.5, 0.5, 1], "all classes, unless it says which"


def test_distances_to_two_objects_reach_as_far_as_any_part_looks():
    parts = [{"name": "unet_border_ce", "sigma": sigma, "spacing_mm": [1, 1, 1]} for sigma in (0.1, 10)]
    loss = build_loss("weighted_sum", "multiclass", of=parts)
    found = maps_of(loss, line(1, 0, 0, 0, 2))[TWO_NEAREST]
    assert found.shape == (1, 1, 1, 1, 5)
    assert found.flatten().tolist() == [4, 4, 4, 4, 4]
    ahead, alone = both_ways(loss, "multiclass")
    assert ahead.item() == pytest.approx(alone.item(), rel=1e-6)
