"""Patches are a pure function of (seed, index)."""

import numpy as np
import pytest

from segtrain.data.patches import PatchSampler, cut_box
from segtrain.data.settings import PatchSettings
from segtrain.data.store import StoredCase, foreground_centres
from tests.phantoms import ellipsoid, grid
from tests.plans import small_plan


def stored(name="a", shape=(24, 20, 12), radius=0.1) -> StoredCase:
    on = grid(shape)
    classes = ellipsoid(on, (0.2, 0.2, 0.2), (radius,) * 3).astype(np.uint8)
    image = np.arange(classes.size, dtype=np.float32).reshape(1, *shape)
    arrays = {"image": image, "classes": classes, "centres": foreground_centres(name, classes)}
    return StoredCase(name, "key", arrays, on, on)


def sampler(cases=None, plan=None, share=0.33, seed=0) -> PatchSampler:
    cases = cases or [stored(n) for n in "abc"]
    return PatchSampler(cases, plan or small_plan(), PatchSettings(foreground_share=share), seed)


def test_the_same_address_gives_the_same_patch_whatever_was_cut_before():
    first, second = sampler(), sampler()
    for index in (5, 1, 1, 9):
        second.cut(index)
    for index in range(10):
        one, two = first.cut(index), second.cut(index)
        assert one[0] == two[0]
        assert np.array_equal(one[1], two[1])


def test_other_seeds_give_other_patches():
    assert any(not np.array_equal(sampler(seed=0).cut(i)[1], sampler(seed=1).cut(i)[1]) for i in range(5))


def test_every_case_is_used_once_before_any_comes_again():
    cut = sampler()
    for start in range(0, 30, 3):
        assert {cut.case_of(start + i).case for i in range(3)} == {"a", "b", "c"}


def test_the_wanted_share_of_patches_holds_foreground():
    plan = small_plan(patch=(4, 4, 4))
    share = {s: np.mean([sampler(plan=plan, share=s).cut(i)[2].any() for i in range(200)]) for s in (0.0, 0.5, 1.0)}
    assert share[0.0] < 0.3
    assert 0.4 < share[0.5] < 0.8
    assert share[1.0] == 1


def test_a_scan_smaller_than_the_patch_is_filled_with_zero():
    plan = small_plan(patch=(32, 12, 16))
    _, image, classes = sampler([stored()], plan).cut(3)
    assert image.shape == (1, 32, 12, 16)
    assert classes.shape == (32, 12, 16)
    assert (image == 0).sum() >= 8 * 12 * 12


def test_a_2d_plan_gets_slices():
    _, image, classes = sampler(plan=small_plan(dims=2)).cut(0)
    assert image.shape == (1, 16, 12)
    assert classes.shape == (16, 12)


@pytest.mark.parametrize("margin", [(3, 0, 1), (-2, 4, -1), (30, 30, 30)])
def test_a_wider_patch_is_the_same_with_what_lies_around_it(margin):
    plan = small_plan(patch=(8, 8, 8))
    for index in range(5):
        patch = sampler(plan=plan).cut(index)
        wider = sampler(plan=plan).cut_wider(index, margin)
        assert wider.case == patch.case
        assert wider.image.shape == (1, *(8 + 2 * m for m in margin))
        assert wider.classes.shape == wider.image.shape[1:]
        inner = tuple(slice(max(0, m), max(0, m) + 8 - 2 * max(0, -m)) for m in margin)
        within = tuple(slice(max(0, -m), 8 - max(0, -m)) for m in margin)
        assert np.array_equal(wider.image[0][inner], patch.image[0][within])
        assert np.array_equal(wider.classes[inner], patch.classes[within])


def test_a_wider_slice_is_one_slice():
    patch = sampler(plan=small_plan(dims=2)).cut_wider(0, (2, -1))
    assert patch.image.shape == (1, 20, 10)
    assert patch.classes.shape == (20, 10)


@pytest.mark.parametrize("start", [(-2, 0, 3), (20, 18, 10), (-5, -5, -5), (-9, 0, 0), (30, 0, 40)])
def test_a_box_equals_padding_first(start):
    array = np.random.default_rng(0).normal(size=(24, 20, 12))
    padded = np.pad(array, 40)
    box = cut_box(array, np.array(start), np.array((8, 8, 8)))
    assert np.array_equal(box, padded[tuple(slice(s + 40, s + 48) for s in start)])
    channels = cut_box(np.stack([array, -array]), np.array(start), np.array((8, 8, 8)))
    assert np.array_equal(channels, np.stack([box, -box]))
