import numpy as np
import pytest
import torch

from segtrain.core.thinning import thinned
from segtrain.losses.skeletons import SKELETON, hard_skeleton
from segtrain.losses.voxels import Extras, Reading, read


def two_bars(classes=(1, 2)):
    """Classes of two samples: a bar that is of one class on the left, of another on the right; and nothing."""
    found = torch.zeros(2, 9, 20, dtype=torch.int64)
    found[0, 2:7, 2:10], found[0, 2:7, 10:18] = classes
    return found


def read_target(target, outputs, maps=None):
    logits = torch.zeros(2, outputs, *target.shape[-2:])
    return read(logits, target, None, Reading(), extras=Extras(maps=maps or {}))


def test_exclusive_classes_have_one_in_common():
    classes = two_bars()
    found = hard_skeleton(read_target(classes, 3), 1)
    assert found.shape == (2, 1, 9, 20)
    assert found.dtype == torch.float32
    assert np.array_equal(found[0, 0].bool().numpy(), thinned((classes[0] > 0).numpy()))
    assert not found[1].any()


def test_the_background_has_its_own_where_it_is_scored():
    classes = two_bars()
    found = hard_skeleton(read_target(classes, 3), 0)
    assert found.shape == (2, 3, 9, 20)
    assert torch.equal(found[:, 1:2], hard_skeleton(read_target(classes, 3), 1))
    assert torch.equal(found[:, 1], found[:, 2])
    assert np.array_equal(found[0, 0].bool().numpy(), thinned((classes[0] == 0).numpy()))


def test_independent_classes_have_one_each():
    members = torch.stack([two_bars() == 1, two_bars() == 2], 1)
    found = hard_skeleton(read_target(members, 2), 0)
    assert np.array_equal(found[0, 1].bool().numpy(), thinned(members[0, 1].numpy()))


def test_half_members_do_not_count():
    members = torch.stack([two_bars() == 1, two_bars() == 2], 1).double()
    assert torch.equal(hard_skeleton(read_target(members * 0.6, 2), 0), hard_skeleton(read_target(members > 0, 2), 0))
    assert not hard_skeleton(read_target(members * 0.4, 2), 0).any()


def test_a_map_is_taken_as_it_is():
    common = torch.zeros(2, 1, 9, 20, dtype=torch.uint8)
    common[..., 4, 4] = 1
    assert torch.equal(hard_skeleton(read_target(two_bars(), 3, {SKELETON: common}), 1), common.float())
    each = torch.cat([torch.zeros_like(common), common, common], 1)
    assert torch.equal(hard_skeleton(read_target(two_bars(), 3, {SKELETON: each}), 1), each[:, 1:].float())


def test_one_map_for_all_is_refused_where_the_background_is_scored():
    with pytest.raises(ValueError, match="map skeleton has one channel, but there are 3 classes"):
        hard_skeleton(read_target(two_bars(), 3, {SKELETON: torch.zeros(2, 1, 9, 20)}), 0)
