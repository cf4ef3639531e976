"""Changes are addressed, within their ranges, and as frequent as asked."""

from dataclasses import replace

import numpy as np
import pytest

from segtrain.data.augment.draw import draw
from segtrain.data.settings import AugmentSettings
from tests.data.augment.patches import ALWAYS, KINDS, frame_for, only

FRAME = frame_for((16, 12, 8))
DEFAULT = AugmentSettings()


def drawn(settings=ALWAYS, frame=FRAME, count=300, seed=0):
    return [draw(settings, frame, seed, index) for index in range(count)]


def plain(change):
    """A change as plain numbers that can be compared."""
    motion = change.motion and (change.motion.degrees, change.motion.field_of_view)
    bend = None if change.motion is None or change.motion.bend is None else change.motion.bend.displacements.tolist()
    return motion, bend, change.noise, change.channels, change.mirrored


def test_the_same_address_draws_the_same_change():
    assert plain(draw(ALWAYS, FRAME, 3, 17)) == plain(draw(ALWAYS, FRAME, 3, 17))
    assert plain(draw(ALWAYS, FRAME, 3, 17)) != plain(draw(ALWAYS, FRAME, 4, 17))
    assert plain(draw(ALWAYS, FRAME, 3, 17)) != plain(draw(ALWAYS, FRAME, 3, 18))


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_that_is_switched_off_does_not_shift_the_others(kind):
    off = getattr(ALWAYS, kind).model_copy(update={"probability": 0.0, "inverted_probability": 0.0})
    without = ALWAYS.model_copy(update={kind: off})
    kinds = {
        "rotation": lambda c: c.motion and c.motion.degrees,
        "scale": lambda c: c.motion and c.motion.field_of_view,
        "elastic": lambda c: c.motion and c.motion.bend and c.motion.bend.displacements.tolist(),
        "noise": lambda c: c.noise,
        "blur": lambda c: [each.sigma_voxels for each in c.channels],
        "low_resolution": lambda c: [each.zoom for each in c.channels],
        "brightness": lambda c: [each.brightness for each in c.channels],
        "contrast": lambda c: [each.contrast for each in c.channels],
        "gamma": lambda c: [(each.inverted_gamma, each.gamma) for each in c.channels],
    }
    one, two = draw(ALWAYS, FRAME, 0, 5), draw(without, FRAME, 0, 5)
    assert one.mirrored == two.mirrored
    for name, read in kinds.items():
        assert (read(one) == read(two)) == (name != kind), name


def test_values_fill_their_ranges_and_stay_within():
    changes = drawn()
    channels = [channel for change in changes for channel in change.channels]
    assert_fills([a for c in changes for a in c.motion.degrees], -30, 30)
    assert_fills([c.motion.field_of_view for c in changes], 0.7, 1.4)
    assert_fills([c.noise.deviation for c in changes], 0, 0.1)
    assert_fills([s for c in channels for s in c.sigma_voxels], 0.5, 1)
    assert_fills([c.zoom for c in channels], 0.5, 1)
    assert_fills([c.brightness for c in channels], 0.75, 1.25)
    assert_fills([c.contrast for c in channels], 0.75, 1.25)
    assert_fills([c.gamma for c in channels], 0.7, 1.5)
    assert_fills([c.inverted_gamma for c in channels], 0.7, 1.5)
    largest = [np.abs(c.motion.bend.displacements).max() for c in changes]
    assert 0 < min(largest) < 0.5 < 2.5 < max(largest) <= 0.25 * 12


def assert_fills(values, low, high):
    assert low <= min(values) < low + 0.1 * (high - low)
    assert high - 0.1 * (high - low) < max(values) <= high


def test_half_of_the_factors_are_below_one():
    exponents = [channel.gamma for change in drawn(count=600) for channel in change.channels]
    assert np.mean(np.array(exponents) < 1) == pytest.approx(0.5, abs=0.05)
    darker = only("brightness", factor=(0.5, 0.8))
    factors = [channel.brightness for change in drawn(darker) for channel in change.channels]
    assert 0.5 <= min(factors) < max(factors) <= 0.8


def test_kinds_are_as_frequent_as_nnunet_has_them():
    changes = drawn(DEFAULT, count=4000)
    channels = [change.channels for change in changes]
    shares = {
        "motion": (np.mean([c.motion is not None for c in changes]), 1 - 0.8**2),
        "noise": (np.mean([c.noise is not None for c in changes]), 0.1),
        "blur": (np.mean([c[0].sigma_voxels is not None for c in channels]), 0.2 * 0.5),
        "low resolution": (np.mean([c[1].zoom is not None for c in channels]), 0.25 * 0.5),
        "both channels": (np.mean([None not in (c[0].zoom, c[1].zoom) for c in channels]), 0.25 * 0.5**2),
        "brightness": (np.mean([c[0].brightness is not None for c in channels]), 0.15),
        "contrast": (np.mean([c[0].contrast is not None for c in channels]), 0.15),
        "inverted gamma": (np.mean([c[0].inverted_gamma is not None for c in channels]), 0.1),
        "gamma": (np.mean([c[0].gamma is not None for c in channels]), 0.3),
    }
    for kind, (found, expected) in shares.items():
        assert found == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 4000)), kind
    assert all(c.motion is None or c.motion.bend is None for c in changes)
    assert all(c.mirrored == () for c in changes)


def test_each_channel_has_numbers_of_its_own():
    one, two = draw(ALWAYS, FRAME, 0, 0).channels
    assert one.zoom != two.zoom
    assert one.sigma_voxels != two.sigma_voxels
    assert (one.brightness, one.contrast, one.gamma) != (two.brightness, two.contrast, two.gamma)


def test_only_allowed_axes_are_mirrored():
    sideways = ALWAYS.model_copy(update={"mirror_axes": (0, 2)})
    assert {axis for change in drawn(sideways) for axis in change.mirrored} == {0, 2}
    coronal = replace(frame_for((9, 9)), canonical=(0, 2))
    assert {axis for change in drawn(sideways, coronal) for axis in change.mirrored} == {0, 1}
    assert np.mean([0 in change.mirrored for change in drawn(sideways)]) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("frame", [frame_for((9, 9)), frame_for((16, 12, 8), thick=2)])
def test_there_is_one_angle_in_the_plane(frame):
    change = draw(ALWAYS, frame, 0, 0)
    assert len(change.motion.degrees) == 1
    assert len(change.motion.bend.displacements) == 2


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_share_of_the_patches_changes_at_all(share):
    changes = drawn(ALWAYS.model_copy(update={"share": share}))
    whole = [change for change in changes if plain(change) == plain(draw(only("noise", probability=0), FRAME, 0, 0))]
    assert len(whole) / len(changes) == pytest.approx(1 - share, abs=0.1)
