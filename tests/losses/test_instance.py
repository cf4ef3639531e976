import pytest
import torch
import torch.nn.functional as F

from segtrain.losses import build_loss
from segtrain.losses.components import component_ids, nearest_component_ids
from segtrain.losses.instance import inverse_size_weights
from segtrain.losses.voxels import Reading, read
from tests.losses.fixtures import certain, random_sample

MODES = ["multiclass", "binary", "multilabel"]
every_mode = pytest.mark.parametrize("mode", MODES)
both = pytest.mark.parametrize("name", ["blob", "cc_dice_ce"])


def value(name, sample, mode="auto", mask=None, **options):
    return build_loss(name, mode, **options)(*sample, mask).item()


def same(number):
    return pytest.approx(number, rel=1e-11)


def voxels_of(logits, target, mask=None):
    return read(logits, target, mask, Reading())


def lesions(*sizes):
    """One sample, one sigmoid: lesions of so many voxels in rows that lie two apart."""
    mask = torch.zeros(1, 1, 3 * len(sizes), max(sizes) + 2, dtype=torch.bool)
    for row, size in enumerate(sizes):
        mask[..., 3 * row + 1, 1 : 1 + size] = True
    return mask


def one_sigmoid(space=(7, 8), seed=0):
    logits, _ = random_sample("binary", samples=1, space=space, seed=seed)
    share = 0.2 if len(space) == 2 else 0.06
    return logits, torch.rand(1, 1, *space, generator=torch.Generator().manual_seed(seed)) < share


def mean_over_objects(name, logits, target):
    """dice_ce with a mask for every object, one after the other."""
    voxels = voxels_of(logits, target)
    if name == "blob":
        ids = component_ids(voxels, 0)
        kept = [(ids == 0) | (ids == k) for k in range(1, int(ids.max()) + 1)]
    else:
        ids = nearest_component_ids(voxels, 0, voxels.spacing_mm)
        kept = [ids == k for k in range(1, int(ids.max()) + 1)]
    assert len(kept) > 2
    costs = [value("dice_ce", (logits, target), mask=mask.view_as(target)) for mask in kept]
    return sum(costs) / len(costs)


@both
@pytest.mark.parametrize("space", [(7, 8), (4, 5, 6)], ids=["2d", "3d"])
def test_it_is_the_whole_plus_a_masked_loss_for_each_object(name, space):
    for seed in range(3):
        logits, target = one_sigmoid(space, seed)
        expected = 0.5 * value("dice_ce", (logits, target)) + 2 * mean_over_objects(name, logits, target)
        assert value(name, (logits, target), global_weight=0.5, instance_weight=2) == same(expected)


@both
def test_two_exclusive_classes_are_one_sigmoid(name):
    logits, target = one_sigmoid()
    two = torch.cat([torch.zeros_like(logits), logits], 1)
    assert value(name, (two, target[:, 0].long())) == same(value(name, (logits, target)))


@both
def test_samples_and_classes_without_objects_are_left_out_of_the_mean(name):
    logits, target = one_sigmoid()
    empty = torch.zeros_like(target)
    assert value(name, (logits, empty)) == same(value("dice_ce", (logits, empty)))
    batch = torch.cat([logits, logits]), torch.cat([target, empty])
    alone = value(name, (logits, target), global_weight=0)
    assert value(name, batch, global_weight=0) == same(alone)
    classes = torch.cat([logits, logits], 1), torch.cat([target, empty], 1)
    entropy = [mean_over_objects(name, logits, target)]
    assert value(name, classes, global_weight=0) == same(entropy[0])


@both
def test_classes_weigh_as_told(name):
    sample = random_sample("multilabel", space=(6, 7))
    costs = [value(name, sample, class_weights=w, global_weight=0) for w in [(1, 0), (0, 1), (1, 3)]]
    assert costs[2] == same((costs[0] + 3 * costs[1]) / 4)


@both
def test_a_small_lesion_that_is_missed_costs_as_much_as_a_large_one(name):
    truth = lesions(2, 20)
    without = [truth.clone() for _ in range(2)]
    without[0][..., :3, :] = False
    without[1][..., 3:, :] = False
    samples = [(certain("binary", mask), truth) for mask in without]
    small, large = (value("dice", sample) for sample in samples)
    assert large > 8 * small
    small, large = (value(name, sample, global_weight=0) for sample in samples)
    assert large < 8 * small


@both
@every_mode
def test_maps_give_what_the_loss_finds_itself(name, mode):
    logits, target = random_sample(mode, space=(6, 7))
    voxels, first = voxels_of(logits, target), int(mode == "multiclass")
    ids = component_ids(voxels, first) if name == "blob" else nearest_component_ids(voxels, first, (1.0, 1.0))
    ids = voxels.in_space(5 * ids)
    if first:
        ids = torch.cat([torch.zeros_like(ids[:, :1]), ids], 1)
    maps = {"components" if name == "blob" else "nearest_component": ids}
    loss = build_loss(name, mode)
    assert loss(logits, target, maps=maps).item() == same(loss(logits, target).item())


def test_regions_are_measured_in_mm():
    logits, target = one_sigmoid((9, 9), seed=3)
    loss = build_loss("cc_dice_ce")
    long = loss(logits, target, spacing_mm=(5.0, 1.0)).item()
    assert long != loss(logits, target).item()
    assert value("cc_dice_ce", (logits, target), spacing_mm=(5.0, 1.0)) == long


@both
def test_a_weight_map_of_ones_and_zeros_is_a_mask_of_the_sums(name):
    logits, target = one_sigmoid((9, 9), seed=3)
    hidden = torch.rand(target.shape, generator=torch.Generator().manual_seed(7)) < 0.2
    target &= ~hidden
    maps = {"components": component_ids(voxels_of(logits, target), 0).view_as(target)}
    maps["nearest_component"] = nearest_component_ids(voxels_of(logits, target), 0, (1.0, 1.0)).view_as(target)
    loss = build_loss(name)
    weighted = loss(logits, target, weight_map=(~hidden).double(), maps=maps)
    assert weighted.item() == same(loss(logits, target, ~hidden, maps=maps).item())


class TestInverseSizeWeighting:
    def test_every_object_and_the_background_weigh_the_same(self):
        logits, target = one_sigmoid()
        voxels = voxels_of(logits, target)
        weights, ids = inverse_size_weights(voxels), component_ids(voxels, 0)
        sums = torch.stack([weights[ids == k].sum() for k in range(int(ids.max()) + 1)])
        assert torch.allclose(sums, sums[0].expand_as(sums))
        assert weights.sum().item() == pytest.approx(target.numel())

    @every_mode
    def test_it_is_cross_entropy_with_these_weights(self, mode):
        logits, target = random_sample(mode, space=(6, 7))
        weights = inverse_size_weights(voxels_of(logits, target))
        if mode == "multiclass":
            entropy = F.cross_entropy(logits, target, reduction="none").flatten(1)
            as_map = build_loss("ce", mode)(logits, target, weight_map=weights.view(2, 6, 7))
            assert value("inverse_size_weighting", (logits, target), mode) == same(as_map.item())
        else:
            entropy = F.binary_cross_entropy_with_logits(logits, target.double(), reduction="none").flatten(2)
        expected = (entropy * weights).sum() / weights.sum()
        assert value("inverse_size_weighting", (logits, target), mode) == same(expected.item())

    def test_objects_of_exclusive_classes_are_told_apart(self):
        target = torch.tensor([[[1, 0, 2, 2], [0, 0, 0, 0], [0, 0, 0, 1]]])
        weights = inverse_size_weights(voxels_of(torch.zeros(1, 3, 3, 4), target)).view(3, 4)
        assert weights[0].tolist() == pytest.approx([3, 12 / 4 / 8, 1.5, 1.5])
        assert weights[2, 3].item() == pytest.approx(3)

    def test_ignored_voxels_have_no_weight_and_no_size(self):
        logits, target = one_sigmoid()
        mask = torch.ones_like(target)
        mask[..., 5:] = False
        found = inverse_size_weights(voxels_of(logits, target, mask)).view_as(logits)
        assert not found[..., 5:].any()
        assert torch.equal(
            found[..., :5], inverse_size_weights(voxels_of(logits[..., :5], target[..., :5])).view(1, 1, 7, 5)
        )

    def test_a_scan_without_objects_weighs_all_voxels_alike(self):
        target = torch.zeros(1, 1, 3, 4, dtype=torch.bool)
        assert torch.equal(inverse_size_weights(voxels_of(torch.zeros(1, 1, 3, 4), target)), torch.ones(1, 1, 12))
