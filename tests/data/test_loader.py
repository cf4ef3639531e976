"""Batches come in order, ahead of time, and are the same wherever one starts."""

import threading

import numpy as np
import torch

from segtrain.data.loader import BatchLoader, no_maps
from segtrain.data.settings import AugmentSettings
from tests.data.test_patches import sampler, stored
from tests.plans import small_plan

ALWAYS = AugmentSettings(spatial_probability=1, intensity_probability=1, flip_axes=(0,))


def loader(dims=3, augmentation=ALWAYS, make_maps=no_maps) -> BatchLoader:
    plan = small_plan(dims=dims)
    return BatchLoader(sampler(plan=plan), plan, augmentation, 0, make_maps)


def test_a_run_that_starts_later_sees_the_same_batches():
    whole, rest = list(loader().batches(0, 6)), list(loader().batches(4, 6))
    for one, two in zip(whole[4:], rest, strict=True):
        assert one.case_ids == two.case_ids
        assert torch.equal(one.images, two.images)
        assert torch.equal(one.classes, two.classes)


def test_shapes_and_types():
    batch = loader(dims=2).batch(0)
    assert (batch.images.shape, batch.images.dtype) == ((2, 1, 16, 12), torch.float32)
    assert (batch.classes.shape, batch.classes.dtype) == ((2, 16, 12), torch.int64)


def where_each_class_is(classes):
    """Maps of a test."""
    waits = threading.current_thread() is threading.main_thread()
    return {"organ": (classes == 1).unsqueeze(1)}, {"a step waits": torch.tensor(waits)}


def test_maps_are_those_of_the_classes_of_the_batch_made_in_the_thread():
    with_maps, plain = loader(make_maps=where_each_class_is), loader()
    for batch, other in zip(with_maps.batches(0, 5), plain.batches(0, 5), strict=True):
        assert torch.equal(batch.classes, other.classes)
        assert torch.equal(batch.maps[0]["organ"], (other.classes == 1).unsqueeze(1))
        assert not batch.maps[1]["a step waits"]
        assert other.maps == ()


def test_breaking_off_ends_the_thread():
    batches = loader().batches(0, 100)
    next(batches)
    batches.close()
    assert [t.name for t in threading.enumerate() if t.name.startswith("loader")] == []


def test_the_scan_itself_is_never_changed():
    case = stored()
    before = case.image.copy()
    plan = small_plan(patch=(24, 20, 12))
    BatchLoader(sampler([case], plan), plan, ALWAYS, seed=0).batch(0)
    assert np.array_equal(case.image, before)
