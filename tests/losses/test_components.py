import numpy as np
import pytest
import torch

from segtrain.losses.components import (
    COMPONENTS,
    NEAREST_COMPONENT,
    component_ids,
    components,
    first_with_objects,
    nearest,
    nearest_component_ids,
    sums_by_id,
)
from segtrain.losses.voxels import Extras, Reading, read


def read_target(target, outputs, **extras):
    logits = torch.zeros(len(target), outputs, *target.shape[-2:])
    return read(logits, target, None, Reading(), extras=Extras(**extras))


CLASSES = torch.tensor([[[1, 0, 2, 2], [0, 1, 0, 0], [0, 0, 0, 1]], [[0, 0, 0, 0], [2, 0, 2, 0], [2, 0, 0, 1]]])
OBJECTS = torch.tensor(
    [
        [[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 2]], [[0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]]],
        [[[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]], [[0, 0, 0, 0], [1, 0, 2, 0], [1, 0, 0, 0]]],
    ]
)


def test_voxels_that_share_a_corner_are_one_object():
    mask = np.zeros((3, 3, 3), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    assert components(mask).max() == 1
    assert components(mask[0]).max() == 1
    mask[1, 1, 1] = False
    mask[2, 2, 2] = True
    assert components(mask).max() == 2


def test_each_class_has_objects_of_its_own():
    assert torch.equal(component_ids(read_target(CLASSES, 3), 1), OBJECTS.flatten(2))
    members = torch.stack([CLASSES == 1, CLASSES == 2], 1)
    assert torch.equal(component_ids(read_target(members, 2), 0), OBJECTS.flatten(2))


def test_the_background_of_exclusive_classes_is_no_object():
    members = torch.stack([CLASSES == 1, CLASSES == 2], 1)
    assert first_with_objects(read_target(CLASSES, 3)) == 1
    assert first_with_objects(read_target(members, 2)) == 0


def test_a_map_is_cut_to_the_class():
    scan = torch.full((2, 1, 3, 4), 7)
    scan[..., 3] = 9
    found = component_ids(read_target(CLASSES, 3, maps={COMPONENTS: scan}), 1).view(OBJECTS.shape)
    assert torch.equal(found > 0, OBJECTS > 0)
    assert found[0, 1, 0].tolist() == [0, 0, 7, 9]
    each = torch.cat([torch.zeros_like(scan), scan, 2 * scan], 1)
    found = component_ids(read_target(CLASSES, 3, maps={COMPONENTS: each}), 1).view(OBJECTS.shape)
    assert found[0, 1, 0].tolist() == [0, 0, 14, 18]


def test_the_nearest_object_is_found_by_its_nearest_voxel():
    ids = np.array([[1, 0, 0, 0, 0, 0, 2]])
    assert nearest(ids, (1.0, 1.0)).tolist() == [[1, 1, 1, nearest(ids, (1.0, 1.0))[0, 3], 2, 2, 2]]
    corner = np.zeros((5, 5), np.int64)
    corner[0, 4], corner[3, 0] = 1, 2
    assert nearest(corner, (1.0, 1.0))[0, 0] == 2
    assert nearest(corner, (2.0, 1.0))[0, 0] == 1


def test_without_an_object_none_is_near():
    assert not nearest(np.zeros((3, 4), np.int64), (1.0, 1.0)).any()


def test_regions_of_a_batch_cover_all_where_a_class_is_present():
    found = nearest_component_ids(read_target(CLASSES, 3), 1, (1.0, 1.0)).view(OBJECTS.shape)
    assert torch.equal(found[OBJECTS > 0], OBJECTS[OBJECTS > 0])
    assert (found > 0).all()
    assert (found[0, 1] == 1).all()


def test_regions_are_taken_from_the_map():
    scan = torch.arange(24).view(2, 1, 3, 4)
    found = nearest_component_ids(read_target(CLASSES, 3, maps={NEAREST_COMPONENT: scan}), 1, (1.0, 1.0))
    assert torch.equal(found, scan.flatten(2).expand(-1, 2, -1))


def test_sums_are_those_of_each_id():
    values = torch.arange(8.0).view(1, 1, 8)
    ids = torch.tensor([[[0, 1, 1, 3, 3, 0, 0, 1], [2, 2, 2, 2, 2, 2, 2, 2]]])
    found = sums_by_id(values, ids, 4)
    assert found.dtype == torch.float32
    assert found.tolist() == [[[11, 10, 0, 7], [0, 0, 28, 0]]]


def test_many_float32_numbers_keep_their_sum():
    values = torch.full((1, 1, 1_000_000), 0.1)
    assert sums_by_id(values, torch.zeros(1, 1, 1_000_000, dtype=torch.int64), 1).item() == pytest.approx(1e5, rel=1e-6)


def test_sums_hand_their_gradient_on():
    values = torch.rand(1, 1, 6, dtype=torch.float64, requires_grad=True)
    ids = torch.tensor([[[0, 1, 1, 2, 0, 1]]])
    weights = torch.tensor([1.0, 10.0, 100.0], dtype=torch.float64)
    (gradient,) = torch.autograd.grad((sums_by_id(values, ids, 3) * weights).sum(), values)
    assert gradient.flatten().tolist() == [1, 10, 10, 100, 1, 10]
