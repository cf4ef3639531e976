"""The facts of a data set do not depend on the order or the orientation in which scans come."""

import numpy as np
import pytest

from segtrain.core.grid import Grid
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap, Volume
from segtrain.data.plan.fingerprint import (
    SAMPLES_PER_CASE,
    content_hash,
    fingerprint,
    fingerprint_case,
    samples_per_case,
)
from tests.phantoms import grid, scan

TASK = Task(labels={"background": 0, "organ": 1, "lesion": 4}, ignore=9)


def labelled(**voxels) -> tuple[Volume, LabelMap]:
    """Channel 0 holds the label ids, channel 1 ten times as much; `id=count` voxels in the order of the file."""
    on = grid((10, 10, 2))
    ids = np.zeros(200, np.int16)
    ids[: sum(voxels.values())] = np.repeat([int(i[1:]) for i in voxels], list(voxels.values()))
    array = ids.reshape(on.shape)
    return Volume(np.stack([array, 10 * array]), on), LabelMap(array, on)


def test_intensities_are_those_of_labelled_voxels_without_ignored_ones():
    samples = fingerprint_case("a", *labelled(_1=20, _4=5, _9=30), TASK).foreground_samples
    assert samples.dtype == np.float32
    assert np.sort(samples[0]).tolist() == [1] * 20 + [4] * 5
    assert np.array_equal(samples[1], 10 * samples[0])


@pytest.mark.parametrize("voxels", [{}, {"_9": 30}])
def test_a_case_without_foreground_stands_with_all_its_voxels(voxels):
    found = fingerprint_case("a", *labelled(**voxels), TASK)
    assert found.foreground_samples.shape == (2, 200)


def test_the_smallest_value_is_taken_for_each_channel():
    image, labels = labelled(_1=20)
    image.array[0, -1, -1, -1] = -1000
    assert fingerprint_case("a", image, labels, TASK).minimum == (-1000, 0)


def test_samples_depend_on_the_case_alone():
    image, labels = scan(grid((30, 30, 30)), seed=1)
    full = LabelMap(np.ones_like(labels.array), labels.grid)
    one, again, other = (fingerprint_case(c, image, full, TASK).foreground_samples for c in ("a", "a", "b"))
    assert one.shape == (1, SAMPLES_PER_CASE)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_many_cases_give_fewer_samples_each_so_that_memory_stays_bounded():
    assert [samples_per_case(n) for n in (0, 1, 200, 2_000, 10_000_000)] == [5_000, 5_000, 5_000, 500, 1]
    image, labels = scan(grid((30, 30, 30)), seed=1)
    assert fingerprint_case("a", image, labels, TASK, samples=7).foreground_samples.shape == (1, 7)


def test_spacings_and_sizes_are_those_of_canonical_axes():
    native = grid((24, 20, 12), (1.0, 1.5, 2.5), degrees=90)
    found = fingerprint(["image"], [fingerprint_case("a", *scan(native), TASK)])
    assert found.spacings_mm[0] == pytest.approx([1.5, 1.0, 2.5])
    assert found.sizes_mm[0] == pytest.approx([30, 24, 30])


def test_cases_are_in_the_order_of_their_ids_and_their_samples_together():
    cases = [fingerprint_case(c, *labelled(_1=n), TASK) for c, n in (("b", 3), ("a", 2))]
    found = fingerprint(["T1", "T2"], cases)
    assert [c.case for c in found.cases] == ["a", "b"]
    assert found.channels == ("T1", "T2")
    assert found.samples(1).tolist() == [10] * 5


def test_an_image_is_told_by_its_values_whatever_type_they_have():
    values = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    known = content_hash(values)
    assert content_hash(values.astype(">f8")) == content_hash(np.asfortranarray(values)) == known
    others = (values + 1, values.reshape(4, 3, 5), values[::-1])
    assert len({content_hash(other) for other in others} | {known}) == 4
    assert content_hash(np.full((3, 3, 3), 7)) == ""


def test_every_channel_of_a_case_has_its_own_hash():
    one, two = fingerprint_case("a", *labelled(_1=20), TASK).content
    assert one != two
    assert fingerprint_case("a", *labelled(), TASK).content == ("", "")


def test_the_orientation_of_a_file_does_not_change_its_content():
    image, mask = scan(grid((6, 5, 4)), seed=3)
    step = np.array([[0, -1, 0, 5], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], float)
    turned = Grid((5, 6, 4), image.grid.affine @ step)
    array, labels = (a.swapaxes(-3, -2)[..., :, ::-1, :] for a in (image.array, mask.array))
    other = fingerprint_case("b", Volume(array, turned), LabelMap(labels, turned), TASK)
    assert other.content == fingerprint_case("a", image, mask, TASK).content
