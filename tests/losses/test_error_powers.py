"""The sums are held against autograd in test_one_pass.py; here are the ends of the range."""

import pytest
import torch

from segtrain.losses.chunks import class_chunks
from segtrain.losses.error_powers import add_powers, slopes_of_powers


def chunk_of(p):
    x = torch.zeros(1, *p.shape)
    ((chunk, (_, spare)),) = class_chunks(x, torch.zeros(1, p.shape[1], dtype=torch.int64), None, None, 2)
    return chunk, spare


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0])
def test_right_answers_have_neither_error_nor_slope(power):
    p = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    chunk, spare = chunk_of(p)
    sums = [torch.zeros(1, 2), torch.zeros(1, 2)]
    add_powers(sums, (power,), chunk, p, spare)
    assert not any(part.any() for part in sums)
    ones = [torch.ones(1, 2), torch.ones(1, 2)]
    assert slopes_of_powers(ones, (power,), chunk, p).tolist() == [[0, 0], [0, 0]]


def test_errors_are_split_by_the_truth_and_slopes_point_away_from_it():
    p = torch.tensor([[0.5], [0.25]])
    chunk, spare = chunk_of(p)
    missed, invented = torch.zeros(1, 2), torch.zeros(1, 2)
    add_powers([missed, invented], (2.0,), chunk, p, spare)
    assert (missed.tolist(), invented.tolist()) == ([[0.25, 0]], [[0, 0.0625]])
    weights = [torch.full((1, 2), 3.0), torch.ones(1, 2)]
    assert slopes_of_powers(weights, (2.0,), chunk, p).tolist() == [[-3.0], [0.5]]


def test_without_powers_there_is_no_slope():
    p = torch.tensor([[0.5], [0.5]])
    assert slopes_of_powers([], (), chunk_of(p)[0], p) is None
