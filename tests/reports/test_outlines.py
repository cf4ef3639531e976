import re

import numpy as np
import pytest
from matplotlib.path import Path

from segtrain.reports.outlines import MOST_LETTERS, outlines, outlines_within


def points_of(path):
    """The closed lines of path data, each as points (N, 2)."""
    lines = []
    for line in re.findall(r"M([^z]*)z", path):
        numbers = [int(n) for n in re.findall(r"-?\d+", line)]
        lines.append(np.cumsum(np.reshape(numbers, (-1, 2)), axis=0))
    return lines


def filled(path, rows, columns):
    """Judge: which middles of pixels lie in an odd number of lines."""
    y, x = np.mgrid[:rows, :columns]
    middles = np.column_stack([2 * x.ravel() + 1, 2 * y.ravel() + 1])
    inside = [Path(points, closed=False).contains_points(middles) for points in points_of(path)]
    return (np.sum(inside, axis=0) % 2 == 1).reshape(rows, columns)


def test_one_pixel_by_hand():
    mask = np.zeros((3, 4), np.uint8)
    mask[1, 2] = 5
    (points,) = points_of(outlines(mask)[5])
    assert {tuple(p) for p in points} == {(5, 2), (4, 3), (5, 4), (6, 3)}


@pytest.mark.parametrize("seed", range(5))
def test_a_line_runs_around_every_pixel_of_its_label_and_no_other(seed):
    labels = np.random.default_rng(seed).integers(0, 3, (9, 12)).astype(np.uint8)
    found = outlines(labels)
    assert set(found) == {1, 2}
    for label, path in found.items():
        assert (filled(path, *labels.shape) == (labels == label)).all()


def test_a_full_picture_and_an_empty_one():
    full = outlines(np.ones((4, 6), np.uint8))
    assert filled(full[1], 4, 6).all()
    assert len(points_of(full[1])[0]) == 8, "straight lines have no points between their ends"
    assert outlines(np.zeros((4, 6), np.uint8)) == {}


def test_path_data_holds_nothing_but_numbers_and_three_letters():
    labels = np.random.default_rng(0).integers(0, 4, (20, 20)).astype(np.uint8)
    assert all(re.fullmatch(r"(M\d+ \d+l-?\d+(?:(?: |(?=-))-?\d+)*z)+", path) for path in outlines(labels).values())


def test_ids_may_be_sparse_and_below_0():
    labels = np.zeros((6, 6), np.int32)
    labels[1:3, 1:3], labels[4:, 4:] = -7, 20_000_000
    found = outlines(labels)
    assert set(found) == {-7, 20_000_000}
    assert found[-7] == outlines((labels == -7).astype(np.uint8))[1]
    assert outlines(np.zeros((3, 3), np.uint8)) == {}


def test_noise_has_no_outline_around_every_pixel():
    rng = np.random.default_rng(0)
    noisy = [(rng.random((128, 128)) < 0.1).astype(np.uint8) for _ in range(40)]
    for picture in noisy:
        picture[40:80, 40:80] = 1
    found, least = outlines_within(noisy)
    assert least > 1
    assert sum(len(path) for slices in found for path in slices.values()) <= MOST_LETTERS
    assert all(1 in slices for slices in found)
    assert outlines_within(noisy[:1])[1] == 1
