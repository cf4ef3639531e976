import pytest
import torch

from segtrain.losses.arithmetic import LINEAR_BELOW, beside, bounded_power, exact, ratio, weighted_mean
from tests.losses.fixtures import double


def slope(function, at):
    x = double(at).requires_grad_()
    (gradient,) = torch.autograd.grad(function(x).sum(), x)
    return gradient


def test_a_ratio_is_the_quotient():
    assert torch.equal(ratio(double([1, 3]), double([2, -4])), double([0.5, -0.75]))


@pytest.mark.parametrize("nothing", [0, 1e-42, 1e-36])
def test_nothing_out_of_nothing_is_nothing_and_its_slope_finite(nothing):
    numerator, denominator = (torch.tensor([float(nothing)]).requires_grad_() for _ in range(2))
    value = ratio(numerator, denominator)
    assert value <= nothing
    for gradient in torch.autograd.grad(value, (numerator, denominator)):
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("exponent", [0.5, 0.75, 1, 4 / 3, 2])
def test_a_power_is_the_power_away_from_zero(exponent):
    base = double([1e-6, 0.2, 1, 3])
    assert torch.allclose(bounded_power(base, exponent), base**exponent, rtol=1e-12)


@pytest.mark.parametrize("exponent", [0.1, 0.75, 1, 2])
def test_a_power_of_zero_is_zero_with_a_finite_slope(exponent):
    assert bounded_power(double([0]), exponent) == 0
    assert torch.isfinite(slope(lambda x: bounded_power(x, exponent), [0, -1e-17])).all()


def test_a_root_is_a_straight_line_near_zero():
    slopes = slope(lambda x: bounded_power(x, 0.5), [0, LINEAR_BELOW / 100, LINEAR_BELOW / 2])
    assert torch.allclose(slopes, slopes[0].expand(3))


def test_the_power_zero_is_one_everywhere():
    assert torch.equal(bounded_power(double([0, 0.5]), 0), double([1, 1]))


def test_a_base_just_below_zero_by_rounding_counts_as_zero():
    assert bounded_power(double([-1e-17]), 2) == 0


def test_a_mean_without_weights_is_the_mean():
    assert weighted_mean(double([[1, 2], [3, 6]]), None) == 3


def test_weights_are_broadcast_and_their_sum_is_the_divisor():
    assert weighted_mean(double([[1, 2], [3, 6]]), double([3, 1])) == (3 + 2 + 9 + 6) / 8
    assert weighted_mean(double([[1, 2], [3, 6]]), torch.tensor([[True], [False]])) == 1.5


def test_weights_that_sum_to_zero_give_a_zero_with_a_zero_slope():
    weights = torch.zeros(2, dtype=torch.bool)
    assert weighted_mean(double([1, 2]), weights) == 0
    assert torch.equal(slope(lambda x: weighted_mean(x, weights), [1, 2]), double([0, 0]))


def test_few_numbers_lie_beside_a_tensor():
    assert beside(torch.zeros(1), [0.5, 2], torch.float64).tolist() == [0.5, 2]
    assert beside(torch.zeros(1, device="meta"), [1], torch.int64).device.type == "meta"


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_sums_of_very_many_values_are_exact_on_every_device_that_can(dtype):
    assert exact(torch.zeros(1, dtype=dtype)) == torch.float64
    assert exact(torch.zeros(1, dtype=dtype, device="meta")) == torch.float64
