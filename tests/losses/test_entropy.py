"""A slope that is written down is the slope of its value."""

import pytest
import torch

from segtrain.losses.entropy import (
    PLAIN,
    Certainty,
    EntropyCost,
    FocalEntropy,
    GeneralizedEntropy,
    PolyEntropy,
    PowerEntropy,
    ReducedFocalEntropy,
    SymmetricEntropy,
    WrongEntropy,
)

COSTS = [
    PLAIN,
    *(FocalEntropy(gamma) for gamma in (0.0, 0.5, 1.0, 2.0, 5.0)),
    *(WrongEntropy(gamma) for gamma in (0.5, 1.0, 2.0)),
    *(ReducedFocalEntropy(gamma, threshold) for gamma, threshold in ((2.0, 0.5), (0.5, 0.2), (3.0, 0.9))),
    *(PolyEntropy(gamma, epsilon) for gamma, epsilon in ((0.0, 1.0), (0.0, -1.0), (2.0, 1.0), (1.5, 3.0))),
    *(GeneralizedEntropy(q) for q in (1e-9, 0.3, 0.7, 1.0)),
    SymmetricEntropy(0.1, 4.0),
    *(PowerEntropy(exponent) for exponent in (0.3, 0.5, 1.0, 2.0)),
]


@pytest.mark.parametrize("cost", COSTS, ids=str)
def test_the_slope_is_that_of_the_value(cost):
    e = torch.linspace(1e-3, 30, 200, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(cost.value(Certainty.of(e)).sum(), e)
    torch.testing.assert_close(cost.slope(Certainty.of(e)), slope)


@pytest.mark.parametrize("cost", COSTS, ids=str)
def test_a_certain_answer_costs_nothing_and_its_slope_is_finite(cost):
    e = torch.tensor([0.0, 1e-30, 1e4])
    assert cost.value(Certainty.of(e))[0] == 0
    assert torch.isfinite(cost.value(Certainty.of(e))).all()
    assert torch.isfinite(cost.slope(Certainty.of(e))).all()


def test_a_factor_to_the_power_zero_is_one_and_flat():
    e = torch.tensor([0.0, 1.0, 9.0])
    assert WrongEntropy(0.0).value(Certainty.of(e)).tolist() == [1, 1, 1]
    assert not WrongEntropy(0.0).slope(Certainty.of(e)).any()


def test_towards_zero_generalized_entropy_is_cross_entropy_to_the_last_digits():
    e = torch.tensor([1e-9, 0.1, 1.0, 20.0], dtype=torch.float64)
    torch.testing.assert_close(GeneralizedEntropy(1e-12).value(Certainty.of(e)), e, rtol=1e-10, atol=0)


@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_reduced_focal_is_continuous_where_its_threshold_is_a_half_only(gamma):
    at = torch.tensor([0.5 - 1e-9, 0.5 + 1e-9], dtype=torch.float64)
    below, above = ReducedFocalEntropy(gamma, 0.5).value(Certainty.of(-at.log()))
    assert below.item() == pytest.approx(above.item(), rel=1e-6)
    below, above = ReducedFocalEntropy(gamma, 0.25).value(Certainty.of(-(at / 2).log()))
    assert above > 2 * below


def test_equal_parameters_make_equal_costs():
    assert FocalEntropy(2.0) == FocalEntropy(2.0)
    assert len({FocalEntropy(2.0), FocalEntropy(2.0), FocalEntropy(3.0), PLAIN}) == 3
    assert isinstance(PLAIN, EntropyCost)
