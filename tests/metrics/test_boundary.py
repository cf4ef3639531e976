"""Invariances of every boundary metric, and cubes worked out by hand. The judge is in tests/judges."""

import numpy as np
import pytest

from segtrain.core.errors import ConfigError
from segtrain.metrics import score
from tests.phantoms import ellipsoid, grid

NAMES = ("hd", "hd95", "hd95_pooled", "assd", "masd", "nsd")
SPACING = (3.0, 1.0, 1.5)


def masks(seed=0):
    rng = np.random.default_rng(seed)
    on = grid((18, 20, 16))
    rough = [ellipsoid(on, c, (0.3, 0.25, 0.3)) ^ (rng.random(on.shape) < 0.01) for c in ((0.5,) * 3, (0.6, 0.5, 0.4))]
    return [mask.astype(np.uint8) for mask in rough]


def values(prediction, reference, spacing_mm=SPACING, tolerance_mm=2.0, names=NAMES):
    found = score(prediction, reference, spacing_mm, metrics=names, nsd_tolerance_mm=tolerance_mm)
    return {name: found["1"][name].value for name in names}


def cube(start, shape=(10, 10, 10)):
    mask = np.zeros(shape, np.uint8)
    mask[tuple(slice(s, s + 4) for s in start)] = 1
    return mask


def test_a_cube_moved_by_two_voxels_of_3_mm():
    found = values(cube((5, 3, 3)), cube((3, 3, 3)), tolerance_mm=0.5)
    # The faces across the first axis moved by 6 mm. Each is a sixth of the surface, so that HD95 is 6 mm as well.
    assert found["hd"] == 6.0
    assert found["hd95"] == 6.0
    assert found["assd"] == pytest.approx(found["masd"])
    assert 0 < found["assd"] < 6
    assert 0 < found["nsd"] < 1


def test_equal_masks():
    found = values(masks()[0], masks()[0])
    assert found == {"hd": 0, "hd95": 0, "hd95_pooled": 0, "assd": 0, "masd": 0, "nsd": 1}


def test_one_voxel_each_at_opposite_ends():
    a, b = np.zeros((2, 7, 1, 1), np.uint8)
    a[0], b[6] = 1, 1
    found = values(a, b, (2.0, 1.0, 1.0), tolerance_mm=11.9)
    assert found["hd"] == 12
    assert found["hd95_pooled"] == 12
    assert found["nsd"] == 0.5  # the inner faces are 10 mm apart, the outer ones 12


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a[::-1],
        lambda a: a[:, ::-1, ::-1],
        lambda a: np.pad(a, [(0, 3), (5, 0), (2, 2)]),
        np.asfortranarray,
        lambda a: a.astype(np.int32),
    ],
)
def test_flips_padding_and_memory_order_change_nothing(change):
    a, b = masks()
    assert values(change(a), change(b)) == pytest.approx(values(a, b), rel=1e-9)


def test_swapping_the_masks_changes_nothing():
    a, b = masks()
    assert values(a, b) == pytest.approx(values(b, a), rel=1e-9)


def test_axes_change_places_with_their_spacing():
    a, b = masks()
    turned = values(a.transpose(2, 0, 1), b.transpose(2, 0, 1), (SPACING[2], SPACING[0], SPACING[1]))
    assert turned == pytest.approx(values(a, b), rel=1e-9)


def test_twice_the_spacing_is_twice_the_distance():
    a, b = masks()
    once, twice = values(a, b), values(a, b, tuple(2 * s for s in SPACING), tolerance_mm=4.0)
    for name in NAMES:
        assert twice[name] == pytest.approx(once[name] * (1 if name == "nsd" else 2))


def test_other_labels_in_the_image_change_nothing():
    a, b = masks()
    alone = values(a, b)
    a[:3], b[:2, 5:] = np.where(a[:3], 1, 7), np.where(b[:2, 5:], 1, 9)
    assert values(a, b) == pytest.approx(alone, rel=1e-9)


def test_the_pooled_percentile_is_never_above_the_farthest_point():
    found = values(*masks(3))
    assert found["hd95_pooled"] <= found["hd"] * 1.5
    assert found["hd95"] <= found["hd"]


class TestTolerance:
    def test_it_has_no_default(self):
        with pytest.raises(ConfigError, match=r"nsd needs a tolerance[\s\S]*TotalSegmentator 3 mm"):
            score(*masks(), SPACING, metrics=["nsd"])

    def test_each_label_may_have_its_own(self):
        a, b = masks()
        both = [np.concatenate([m, 2 * m]) for m in (a, b)]
        found = score(*both, SPACING, metrics=["nsd"], nsd_tolerance_mm={"1": 1.0, "2": 4.0})
        assert found["1"]["nsd"].value == pytest.approx(values(a, b, tolerance_mm=1.0)["nsd"])
        assert found["2"]["nsd"].value == pytest.approx(values(a, b, tolerance_mm=4.0)["nsd"])

    def test_a_label_without_one_is_named(self):
        with pytest.raises(ConfigError, match="nsd has no tolerance for label 1"):
            score(*masks(), SPACING, metrics=["nsd"], nsd_tolerance_mm={"liver": 1.0})

    @pytest.mark.parametrize("wrong", [0, -1, float("nan"), "far"])
    def test_it_is_a_positive_number(self, wrong):
        with pytest.raises(ConfigError, match="nsd_tolerance_mm"):
            score(*masks(), SPACING, metrics=["nsd"], nsd_tolerance_mm=wrong)


def test_a_line_has_no_surface():
    with pytest.raises(ConfigError, match="two or three axes"):
        score([1, 0], [1, 1], (1,), metrics=["hd95"])
