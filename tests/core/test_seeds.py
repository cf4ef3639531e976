"""Randomness is addressed: an address alone decides the stream, today and in the next version."""

import numpy as np
import pytest

from segtrain.core.seeds import generator, key_of


def test_an_address_gives_one_stream_whatever_was_drawn_before():
    first = generator(3, "patch", 17).random(5)
    generator(3, "patch", 16).random(1000)
    assert np.array_equal(generator(3, "patch", 17).random(5), first)


def test_every_part_of_the_address_counts():
    addresses = [(0,), (1,), (0, "a"), (0, "b"), (0, "a", 1), (0, "a", 11), (0, "a", 1, 1), (0, 1, "a"), (0, "a1")]
    assert len({key_of(*a) for a in addresses}) == len(addresses)
    draws = {float(generator(*a).random()) for a in addresses}
    assert len(draws) == len(addresses)


def test_neighbouring_streams_are_not_correlated():
    draws = np.array([generator(0, "sample", i).normal(size=400) for i in range(60)])
    correlation = np.corrcoef(draws) - np.eye(60)
    assert np.abs(correlation).max() < 0.25
    assert abs(draws.mean()) < 0.02


def test_a_key_fits_the_generator():
    assert all(0 <= key_of(seed, "weights") < 2**128 for seed in range(50))


@pytest.mark.parametrize(
    ("address", "key", "integers", "normal"),
    [
        ((0,), 144831499309457368979394674105665208338, [266, 595, 874, 245], -0.8564742255816444),
        ((0, "patch", 17), 214522255751808524906740348288325949794, [936, 763, 725, 275], 0.18651530529630317),
        (
            (2026, "weights", "a.weight"),
            297647949326010495308846781611515040175,
            [625, 402, 745, 923],
            0.49753937728352066,
        ),
    ],
)
def test_the_numbers_of_a_run_of_last_year_are_those_of_today(address, key, integers, normal):
    assert key_of(*address) == key
    assert generator(*address).integers(1000, size=4).tolist() == integers
    assert generator(*address).normal() == pytest.approx(normal, rel=1e-12)
