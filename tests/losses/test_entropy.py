"""A slope that is written down is the slope of its value."""

import pytest
import torch

from segtrain.losses.entropy import PLAIN, EntropyCost, FocalEntropy

COSTS = [PLAIN, *(FocalEntropy(gamma) for gamma in (0.0, 0.5, 1.0, 2.0, 5.0))]


@pytest.mark.parametrize("cost", COSTS, ids=str)
def test_the_slope_is_that_of_the_value(cost):
    e = torch.linspace(1e-3, 30, 200, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(cost.value(e).sum(), e)
    torch.testing.assert_close(cost.slope(e), slope)


@pytest.mark.parametrize("cost", COSTS, ids=str)
def test_a_certain_answer_costs_nothing_and_its_slope_is_finite(cost):
    e = torch.tensor([0.0, 1e-30, 1e4])
    assert cost.value(e)[0] == 0
    assert torch.isfinite(cost.value(e)).all()
    assert torch.isfinite(cost.slope(e)).all()


def test_equal_parameters_make_equal_costs():
    assert FocalEntropy(2.0) == FocalEntropy(2.0)
    assert len({FocalEntropy(2.0), FocalEntropy(2.0), FocalEntropy(3.0), PLAIN}) == 3
    assert isinstance(PLAIN, EntropyCost)
