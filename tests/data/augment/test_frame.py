"""Along which axes a patch may move follows from the plan."""

import pytest

from segtrain.data.augment.frame import frame_of
from tests.plans import small_plan


def test_a_volume_has_the_axes_of_its_plan():
    frame = frame_of(small_plan(channels=2, patch=(16, 12, 8), spacing_mm=(1.0, 1.2, 2.5)))
    assert (frame.size, frame.sides_mm) == ((16, 12, 8), (1.0, 1.2, 2.5))
    assert (frame.canonical, frame.channels) == ((0, 1, 2), 2)
    assert (frame.thick, frame.moving) == (None, (0, 1, 2))


def test_a_slice_has_two_axes():
    frame = frame_of(small_plan(dims=2))
    assert (frame.size, frame.sides_mm, frame.canonical) == ((16, 12), (1.0, 1.2), (0, 1))
    assert (frame.thick, frame.moving) == (None, (0, 1))


@pytest.mark.parametrize(
    ("spacing_mm", "patch", "thick"),
    [
        ((1, 1, 3), (16, 16, 16), None),
        ((1, 1, 3.1), (16, 16, 16), 2),
        ((4, 1, 1), (16, 16, 16), 0),
        ((1, 1, 2.5), (64, 64, 20), 2),
        ((1, 1, 2.5), (60, 60, 20), None),
        ((1, 1, 1), (64, 64, 20), 2),
        ((2.5, 1, 1), (64, 64, 20), None),
    ],
)
def test_slices_are_thick_by_their_voxels_or_by_the_patch(spacing_mm, patch, thick):
    frame = frame_of(small_plan(spacing_mm=spacing_mm, patch=patch))
    assert frame.thick == thick
    assert frame.moving == tuple(axis for axis in range(3) if axis != thick)


def test_an_axis_without_a_common_spacing_has_sides_of_one():
    assert frame_of(small_plan(spacing_mm=(1.0, None, 2.5))).sides_mm == (1.0, 1.0, 2.5)
