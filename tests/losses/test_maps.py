import pytest
import torch

from segtrain.core.distance import signed_distance_mm
from segtrain.losses.maps import (
    SIGNED_DISTANCE,
    members,
    signed_distances,
    squared_distances,
    squared_distances_of,
)
from segtrain.losses.voxels import Extras, Reading, read
from tests.losses.fixtures import random_sample

MODES = ["multiclass", "binary", "multilabel"]
SPACING = (2.0, 1.0, 0.5)
every_mode = pytest.mark.parametrize("mode", MODES)


def voxels_of(mode, mask=None, maps=None, space=(3, 4, 2)):
    extras = Extras(maps=maps or {})
    return read(*random_sample(mode, space=space), mask, Reading(mode), extras=extras)


def random_masked(mode):
    return voxels_of(mode, torch.rand(2, 3, 4, 2, generator=torch.Generator().manual_seed(1)) > 0.3)


@every_mode
@pytest.mark.parametrize("first", [0, 1])
def test_each_class_of_each_sample_has_its_own_map(mode, first):
    voxels = voxels_of(mode)
    found = signed_distances(voxels, first, SPACING)
    masks = voxels.in_space(voxels.membership[:, first:]).numpy()
    for sample, classes in enumerate(masks):
        for place, mask in enumerate(classes):
            expected = torch.from_numpy(signed_distance_mm(mask, SPACING)).double().flatten()
            assert torch.equal(found[sample, place], expected)


@every_mode
def test_maps_have_no_gradient_and_the_dtype_of_sums(mode):
    found = signed_distances(voxels_of(mode), 0, SPACING)
    assert found.dtype == torch.float64
    assert not found.requires_grad


@every_mode
def test_ignored_voxels_are_on_neither_side(mode):
    voxels = random_masked(mode)
    found = signed_distances(voxels, 0, SPACING)
    hidden = ~voxels.valid.unsqueeze(1).expand_as(found)
    assert not found[hidden].any()
    assert (found[~hidden] != 0).all()


@every_mode
def test_squares_are_those_of_the_distances(mode):
    for voxels in (voxels_of(mode), random_masked(mode)):
        expected = signed_distances(voxels, 0, SPACING).square()
        assert torch.allclose(squared_distances(voxels, 0, SPACING), expected, rtol=1e-6)


@every_mode
def test_the_truth_as_an_answer_has_the_map_of_the_truth(mode):
    voxels = voxels_of(mode)
    found = squared_distances_of(members(voxels, 0), voxels, SPACING)
    assert torch.equal(found, squared_distances(voxels, 0, SPACING))


@every_mode
def test_the_callers_map_is_taken_as_it_is(mode):
    given = torch.randn(2, voxels_of(mode).outputs, 3, 4, 2)
    voxels = voxels_of(mode, maps={SIGNED_DISTANCE: given})
    assert torch.equal(signed_distances(voxels, 0, SPACING), given.flatten(2).double())
    assert torch.equal(squared_distances(voxels, 1, SPACING), given[:, 1:].flatten(2).double().square())


def test_the_callers_map_does_not_reach_ignored_voxels():
    mask = torch.ones(2, 3, 4, 2)
    mask[:, 0] = 0
    voxels = voxels_of("binary", mask, {SIGNED_DISTANCE: torch.full((2, 1, 3, 4, 2), 7.0)})
    assert signed_distances(voxels, 0, SPACING).unique().tolist() == [0, 7]
    assert not signed_distances(voxels, 0, SPACING)[:, :, :8].any()


def test_a_map_without_a_channel_for_each_class_is_refused():
    voxels = voxels_of("multiclass", maps={SIGNED_DISTANCE: torch.zeros(2, 1, 3, 4, 2)})
    with pytest.raises(ValueError, match="signed_distance_mm has 1 channels for 3 output channels"):
        signed_distances(voxels, 1, SPACING)


def test_half_a_member_is_none():
    logits = torch.zeros(1, 1, 2, 2)
    voxels = read(logits, torch.tensor([[[[0, 0.5], [0.6, 1]]]]), None, Reading())
    assert members(voxels, 0).tolist() == [[[False, False, True, True]]]
