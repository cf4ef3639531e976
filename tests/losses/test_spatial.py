import pytest
import torch

from segtrain.losses import build_loss, list_losses
from segtrain.losses.card import card
from segtrain.losses.registry import LOSSES
from segtrain.losses.spatial import SpatialLoss, spacing_of, voxel_mean, voxel_sum
from segtrain.losses.voxels import Extras, Reading, read
from tests.losses.fixtures import gradient_of, random_sample

SPATIAL = [name for name in list_losses() if issubclass(LOSSES.find(name), SpatialLoss)]
SPACED = [name for name in list_losses() if "spacing_mm" in {option.name for option in card(name).options}]
OF_A_MEAN = {"log_hausdorff_dt"}  # the logarithm is taken of the mean over samples and classes
OF_NEIGHBOURS = {"active_contour", "cl_ce", "hausdorff_er", "surface_dice_dilation"}  # a voxel has a part in their cost
every_spatial = pytest.mark.parametrize("name", SPATIAL)
every_mean = pytest.mark.parametrize("name", [name for name in SPATIAL if name not in OF_A_MEAN])
every_spaced = pytest.mark.parametrize("name", SPACED)


def voxels_of(mask=None, weight_map=None, spacing_mm=None):
    extras = Extras(weight_map=weight_map, spacing_mm=spacing_mm)
    return read(*random_sample("multilabel"), mask, Reading(), extras=extras)


def random_mask():
    return torch.rand(2, 3, 4, 2, generator=torch.Generator().manual_seed(5)) > 0.4


def test_the_names_are_found():
    assert len(SPATIAL) >= 10
    assert len(SPACED) >= 10
    assert set(SPATIAL) >= OF_A_MEAN | OF_NEIGHBOURS


def test_sums_and_means_are_over_the_voxels_that_count():
    values, mask = torch.randn(2, 2, 24, dtype=torch.float64), random_mask()
    kept = mask.flatten(1)
    voxels = voxels_of(mask)
    assert torch.allclose(voxel_sum(values, voxels)[1, 0], values[1, 0, kept[1]].sum())
    assert torch.allclose(voxel_mean(values, voxels)[1, 0], values[1, 0, kept[1]].mean())
    assert torch.equal(voxel_sum(values, voxels_of()), values.sum(-1))


def test_the_spacing_of_an_option_goes_before_that_of_the_call():
    voxels = voxels_of(spacing_mm=(3.0, 1.0, 1.0))
    assert spacing_of(voxels, None) == (3, 1, 1)
    assert spacing_of(voxels, (1.0, 2.0, 4.0)) == (1, 2, 4)
    assert spacing_of(voxels_of(), None) == (1, 1, 1)
    with pytest.raises(ValueError, match="spacing_mm has 2 numbers for 3 axes"):
        spacing_of(voxels, (1.0, 1.0))


def two_blocks():
    """Two objects some voxels apart, and a random answer."""
    target = torch.zeros(1, 1, 9, 10, dtype=torch.bool)
    target[..., 1:5, 1:4], target[..., 3:8, 7:9] = True, True
    return torch.randn(1, 1, 9, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64), target


@every_spaced
def test_spacing_matters_and_may_come_from_either_side(name):
    sample = two_blocks()
    plain = build_loss(name)(*sample)
    option = build_loss(name, spacing_mm=(2.5, 0.5))(*sample)
    assert option == build_loss(name)(*sample, spacing_mm=(2.5, 0.5))
    assert option == build_loss(name, spacing_mm=(2.5, 0.5))(*sample, spacing_mm=(1.0, 9.0))
    assert option != plain


@every_spaced
def test_spacing_belongs_to_its_axis(name):
    logits, target = two_blocks()
    there = build_loss(name)(logits, target, spacing_mm=(2.0, 0.5))
    turned = build_loss(name)(logits.mT, target.mT, spacing_mm=(0.5, 2.0))
    assert there.item() == pytest.approx(turned.item(), rel=1e-12)


@every_mean
def test_the_background_is_scored_where_it_is_asked_for(name):
    logits, target = random_sample("multiclass", space=(6, 7))
    sample = 3 * logits, target
    without, with_it = (build_loss(name, include_background=b)(*sample) for b in (False, True))
    alone = build_loss(name, include_background=True, class_weights=(0.0, 1.0, 1.0))(*sample)
    assert without.item() == pytest.approx(alone.item(), rel=1e-12)
    assert with_it != without


@every_mean
def test_class_weights_weigh_the_classes(name):
    sample = random_sample("multilabel", space=(6, 7))
    both = [build_loss(name, class_weights=w)(*sample).item() for w in ((1, 0), (0, 1), (1, 3))]
    assert both[2] == pytest.approx((both[0] + 3 * both[1]) / 4, rel=1e-12)
    assert build_loss(name)(*sample).item() == pytest.approx((both[0] + both[1]) / 2, rel=1e-12)


@every_spatial
def test_a_sample_without_a_voxel_that_counts_is_left_out(name):
    logits, target = random_sample("binary")
    mask = torch.ones(2, 3, 4, 2)
    mask[1] = 0
    expected = build_loss(name)(logits[:1], target[:1])
    assert build_loss(name)(logits, target, mask).item() == pytest.approx(expected.item(), abs=1e-12)


@every_mean
def test_a_mean_over_samples_and_classes_is_that_of_each_alone(name):
    logits, target = random_sample("binary", space=(6, 7))
    each = [build_loss(name)(logits[b : b + 1], target[b : b + 1]).item() for b in (0, 1)]
    assert build_loss(name)(logits, target).item() == pytest.approx(sum(each) / 2, rel=1e-12)


@pytest.mark.parametrize("name", [name for name in SPATIAL if name not in OF_NEIGHBOURS])
def test_a_voxel_of_weight_zero_gets_no_gradient(name):
    logits, target = random_sample("binary")
    weight = random_mask().double()
    loss = build_loss(name)
    gradient = gradient_of(lambda x, y, _: loss(x, y, weight_map=weight), logits, target)
    assert not gradient[(weight == 0).unsqueeze(1)].any()
    assert gradient.any()
