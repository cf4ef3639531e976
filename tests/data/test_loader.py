"""Batches come in order, ahead of time, and are the same wherever one starts."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from segtrain.data.loader import CPU, BatchLoader
from segtrain.data.settings import AugmentSettings
from tests.data.augment.patches import ALWAYS, only
from tests.data.test_patches import sampler, stored
from tests.plans import small_plan


def loader(dims=3, augmentation=ALWAYS, make_maps=None, device=CPU, **sizes) -> BatchLoader:
    plan = small_plan(dims=dims, **sizes)
    return BatchLoader(sampler(plan=plan), plan, augmentation, 0, make_maps, device)


def test_a_run_that_starts_later_sees_the_same_batches():
    whole, rest = list(loader().batches(0, 6)), list(loader().batches(4, 6))
    for one, two in zip(whole[4:], rest, strict=True):
        assert one.case_ids == two.case_ids
        assert torch.equal(one.images, two.images)
        assert torch.equal(one.classes, two.classes)


def test_a_sample_does_not_depend_on_the_batch_it_is_in():
    by_four, by_two = loader(batch=4), loader(batch=2)
    for step in range(3):
        four, one, two = by_four.batch(step), by_two.batch(2 * step), by_two.batch(2 * step + 1)
        assert four.case_ids == one.case_ids + two.case_ids
        assert torch.equal(four.images, torch.cat([one.images, two.images]))
        assert torch.equal(four.classes, torch.cat([one.classes, two.classes]))


def test_ranks_have_shares_of_the_batch_and_know_all_of_its_cases():
    plan = small_plan(batch=4)
    shares = [BatchLoader(sampler(plan=plan), plan, ALWAYS, 0, places=range(a, a + 2)) for a in (0, 2)]
    whole = loader(batch=4)
    for step in (0, 3):
        batch, parts = whole.batch(step), [share.batch(step) for share in shares]
        assert torch.equal(batch.images, torch.cat([part.images for part in parts]))
        assert torch.equal(batch.classes, torch.cat([part.classes for part in parts]))
        assert [part.case_ids for part in parts] == [batch.case_ids] * 2


def test_a_sample_does_not_depend_on_the_number_of_threads():
    threads = torch.get_num_threads()
    found = []
    for count in (1, 2):
        torch.set_num_threads(count)
        found.append(loader(patch=(64, 48, 16), batch=1).batch(0).images)
        assert torch.get_num_threads() == count, "the loader's own number is its thread's"
    torch.set_num_threads(threads)
    assert torch.equal(*found)


def test_without_augmentation_patches_are_as_they_were_cut():
    plain = loader(augmentation=AugmentSettings(share=0)).batch(1)
    for place, index in enumerate((2, 3)):
        patch = sampler().cut(index)
        assert np.array_equal(plain.images[place].numpy(), patch.image)
        assert np.array_equal(plain.classes[place].numpy(), patch.classes)


def test_turned_patches_are_filled_with_the_scan_around_them():
    scan = stored(shape=(40, 40, 40))
    centre = np.array([[1, 20, 20, 20]], np.int32)
    scan = replace(scan, arrays={**scan.arrays, "image": np.ones((1, 40, 40, 40), np.float32), "centres": centre})
    plan = small_plan(patch=(16, 16, 16), spacing_mm=(1, 1, 1))
    turned = BatchLoader(sampler([scan], plan, share=1), plan, only("rotation", degrees=45), 0)
    images = torch.cat([turned.batch(step).images for step in range(10)])
    assert images.min() > 0.999


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("dims", [2, 3])
def test_a_gpu_makes_the_same_batches_beside_the_stream_that_trains(dims):
    device = torch.device("cuda")
    here, there = (
        loader(dims, make_maps=where_each_class_is),
        loader(dims, make_maps=where_each_class_is, device=device),
    )
    for one, two in zip(here.batches(0, 8), there.batches(0, 8), strict=True):
        assert (two.images.device.type, two.classes.device.type) == ("cuda", "cuda")
        assert two.case_ids == one.case_ids
        assert torch.allclose(two.images.cpu(), one.images, atol=1e-2)
        assert (two.classes.cpu() != one.classes).float().mean() < 0.01, "ties may fall either way"
        assert torch.equal(two.maps[0]["organ"].cpu(), (two.classes.cpu() == 1).unsqueeze(1))


def test_shapes_and_types():
    batch = loader(dims=2).batch(0)
    assert (batch.images.shape, batch.images.dtype) == ((2, 1, 16, 12), torch.float32)
    assert (batch.classes.shape, batch.classes.dtype) == ((2, 16, 12), torch.int64)


def where_each_class_is(classes, cases):
    """Maps of a test."""
    assert len(cases) == len(classes)
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
