"""Which slices are drawn, and what that says of their thickness."""

from __future__ import annotations

from pathlib import Path

import pytest

from segtrain.data.masks.slice_steps import drawn_on_thicker, slices_apart


@pytest.mark.parametrize(
    ("drawn", "apart"),
    [
        ((3, 6, 9), 3),
        ((9, 3, 6, 3), 3),
        ((0, 2, 4, 12, 14, 16), 2),  # two pieces
        ((3, 4, 5), 1),
        ((3, 4, 7, 8), 1),
        ((3, 6, 8), 1),
        ((3, 6), 1),  # two small objects
        ((5, 20, 50), 1),  # three small objects
        ((), 1),
    ],
)
def test_slices_that_are_drawn_at_even_distances_were_all_there_were(drawn, apart):
    assert slices_apart(drawn) == apart


def test_both_distances_are_told_and_what_to_do_about_a_sparse_mask():
    problem = drawn_on_thicker(Path("rt.dcm"), "liver", apart_mm=3, step_mm=1)
    assert "3 mm apart, those of the scan 1 mm" in str(problem)
    assert "Fill between slices" in str(problem)
