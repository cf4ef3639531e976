"""Which cases a trial takes, and how what it measures is multiplied."""

from __future__ import annotations

import math

import pytest

from segtrain.data.splits import Fold
from segtrain.recipes.fitting.trial import Work, few_of
from tests.plans import small_plan
from tests.recipes.projects import load


class TestWork:
    @pytest.fixture
    def work(self, study):
        sizes = {"a": 10, "b": 30, "c": 20, "d": 40, "e": 50}
        shapes = {name: (n, n, n) for name, n in sizes.items()}
        return Work(load(study), small_plan(patch=(16, 16, 16)), Fold(("a", "b", "c"), ("d", "e")), (), shapes)

    def test_the_cases_that_are_tried_are_of_median_size_and_the_largest(self, work):
        assert few_of(work) == Fold(train=("c", "b"), validation=("e",))

    def test_voxels_of_some_cases_and_of_all(self, work):
        assert work.voxels("a", "c") == 1000 + 8000
        assert work.voxels() == sum(n**3 for n in (10, 20, 30, 40, 50))

    def test_windows_without_overlap_are_as_many_as_cover_the_scan(self, work):
        for shape in ((10, 10, 10), (16, 17, 33), (40, 50, 16)):
            assert work.windows(shape) == math.prod(max(1, math.ceil(n / 16)) for n in shape)
