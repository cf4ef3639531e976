"""Components go by size, become background, and stand for their labels or regions."""

import numpy as np
import pytest

from segtrain.core.errors import ConfigError
from segtrain.core.grid import Grid
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.inference.postprocess import postprocessed, require_known
from segtrain.inference.settings import PostprocessSettings

ON = Grid((10, 4, 3), np.diag([1.0, 2.0, 3.0, 1.0]))
"""Voxels of 6 mm3."""
TASK = Task(labels={"background": 0, "liver": 4, "cyst": 2})
REGIONS = TASK.model_copy(update={"regions": {"all": ("liver", "cyst"), "cyst": ("cyst",)}})


def mask(**runs):
    """Runs of voxels along the first axis: liver=[(0, 3), (5, 6)]."""
    array = np.zeros(ON.shape, np.uint8)
    for name, places in runs.items():
        for first, stop in places:
            array[first:stop, 1, 1] = TASK.labels[name]
    return LabelMap(array, ON)


def cleaned(found, task=TASK, **settings):
    return postprocessed(found, task, PostprocessSettings(**settings)).array


def test_only_the_largest_component_of_a_label_stays():
    found = mask(liver=[(0, 2), (3, 6)], cyst=[(7, 8)])
    assert np.array_equal(cleaned(found, keep_largest=("liver",)), mask(liver=[(3, 6)], cyst=[(7, 8)]).array)


def test_of_two_of_one_size_the_first_stays():
    found = mask(liver=[(0, 2), (4, 6)])
    assert np.array_equal(cleaned(found, keep_largest=("liver",)), mask(liver=[(0, 2)]).array)


def test_voxels_are_connected_by_corners():
    found = mask(liver=[(0, 2)])
    found.array[2, 2, 2] = 4
    assert np.array_equal(cleaned(found, keep_largest=("liver",)), found.array)


@pytest.mark.parametrize(("least_mm3", "kept"), [(12, [(0, 2), (4, 7)]), (12.1, [(4, 7)]), (18.1, [])])
def test_components_below_a_volume_go(least_mm3, kept):
    found = mask(liver=[(0, 2), (4, 7)])
    assert np.array_equal(cleaned(found, min_volume_mm3={"liver": least_mm3}), mask(liver=kept).array)


def test_what_goes_becomes_background_and_no_other_label_moves():
    found = mask(liver=[(0, 4), (6, 7)], cyst=[(4, 5), (7, 8)])
    after = cleaned(found, keep_largest=("liver", "cyst"), min_volume_mm3={"cyst": 100})
    assert np.array_equal(after, mask(liver=[(0, 4)]).array)


def test_a_region_goes_with_all_its_labels():
    found = mask(liver=[(0, 2), (6, 8)], cyst=[(2, 4), (8, 9)])
    after = cleaned(found, REGIONS, keep_largest=("all",))
    assert np.array_equal(after, mask(liver=[(0, 2)], cyst=[(2, 4)]).array)


def test_nothing_asked_for_changes_nothing_and_copies_nothing():
    found = mask(liver=[(0, 2)])
    assert postprocessed(found, TASK, PostprocessSettings()) is found


def test_the_mask_that_is_given_is_not_changed():
    found = mask(liver=[(0, 2), (3, 4)])
    before = found.array.copy()
    cleaned(found, keep_largest=("liver",))
    assert np.array_equal(found.array, before)


def test_an_empty_label_is_no_error():
    assert not cleaned(mask(), keep_largest=("liver",), min_volume_mm3={"cyst": 5}).any()


def test_every_unknown_label_is_named_with_the_nearest():
    settings = PostprocessSettings(keep_largest=("livr",), min_volume_mm3={"spleen": 3})
    with pytest.raises(ConfigError) as error:
        require_known(settings, TASK)
    assert [problem.where.rpartition(".")[2] for problem in error.value.problems] == ["keep_largest", "min_volume_mm3"]
    assert "'liver'" in error.value.problems[0].hint


def test_the_background_cannot_be_post_processed():
    with pytest.raises(ConfigError, match="background"):
        require_known(PostprocessSettings(keep_largest=("background",)), TASK)
