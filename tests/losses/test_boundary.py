import pytest
import torch

from segtrain.core.distance import signed_distance_mm
from segtrain.losses import build_loss
from segtrain.losses.boundary import without_border
from segtrain.losses.maps import SIGNED_DISTANCE
from tests.losses.fixtures import certain, double, fixture_s, gradient_of, random_sample

MODES = ["multiclass", "binary", "multilabel"]
ON_DISTANCES = ["boundary", "generalized_surface", "region_wise"]
every_mode = pytest.mark.parametrize("mode", MODES)


def blocks(*, inverted=False):
    """One sample, one sigmoid, 8 x 9, and a certain answer that is moved by a voxel."""
    target = torch.zeros(1, 1, 8, 9, dtype=torch.bool)
    target[..., 2:6, 1:6] = True
    answer = ~target if inverted else target.roll((1, 2), (-2, -1))
    return certain("binary", answer), target


def phi_of(target, shift=True):
    phi = torch.from_numpy(signed_distance_mm(target[0, 0].numpy(), (1.0, 1.0))).double()
    return without_border(phi, (1.0, 1.0)) if shift else phi


def value(name, sample, **options):
    return build_loss(name, **options)(*sample).item()


def test_the_map_of_the_notes():
    _, target = fixture_s()
    phi = phi_of(target)
    assert phi[2].tolist() == [1, 0, -1, 0, 1]
    assert phi[0, 0].item() == pytest.approx(2**0.5)


def test_the_border_of_thick_slices_is_not_moved_beyond_zero():
    assert without_border(double([-5, -1, -0.5, 0, 2]), (5.0, 1.0)).tolist() == [-4, 0, 0, 0, 2]


class TestBoundary:
    @pytest.mark.parametrize("shift", [True, False])
    def test_an_error_costs_its_distance_more_than_the_truth(self, shift):
        logits, target = blocks()
        wrong = (logits > 0) != target
        perfect = value("boundary", (certain("binary", target), target), shift_border=shift)
        phi = phi_of(target, shift)
        assert perfect == pytest.approx(phi.clamp_max(0).sum().item() / 72, abs=1e-9)
        found = value("boundary", (logits, target), shift_border=shift)
        assert found - perfect == pytest.approx(phi.abs()[wrong[0, 0]].sum().item() / 72, abs=1e-9)

    def test_the_perfect_answer_of_the_notes(self):
        _, target = fixture_s()
        assert value("boundary", (certain("binary", target), target)) == pytest.approx(-0.04, abs=1e-9)

    @every_mode
    @pytest.mark.parametrize("shift", [True, False])
    def test_it_grows_with_the_size_of_voxels(self, mode, shift):
        sample = random_sample(mode)
        small, large = (value("boundary", sample, shift_border=shift, spacing_mm=(s,) * 3) for s in (1, 2.5))
        assert large == pytest.approx(2.5 * small, rel=1e-6)

    @every_mode
    def test_normalised_it_does_not(self, mode):
        sample = random_sample(mode)
        small, large = (value("boundary", sample, normalize="max", spacing_mm=(s,) * 3) for s in (1, 2.5))
        assert large == pytest.approx(small, rel=1e-6)
        assert -1 <= small <= 1

    def test_a_border_voxel_has_no_gradient_and_the_others_go_to_their_side(self):
        _, target = blocks()
        gradient = gradient_of(build_loss("boundary"), torch.zeros_like(target, dtype=torch.float64), target)
        assert torch.equal(gradient[0, 0].sign(), phi_of(target).sign())


@pytest.mark.parametrize("name", ["boundary", "generalized_surface"])
@every_mode
def test_an_absent_class_costs_nothing(name, mode):
    logits, target = random_sample(mode)
    empty = torch.zeros_like(target)
    assert value(name, (logits, empty)) == 0
    assert not gradient_of(build_loss(name), logits, empty).any()


def test_an_absent_class_costs_its_mean_probability_region_wise():
    logits, target = random_sample("binary")
    found = value("region_wise", (logits, torch.zeros_like(target)))
    assert found == pytest.approx(logits.sigmoid().mean().item(), rel=1e-12)


@pytest.mark.parametrize("name", ON_DISTANCES)
def test_where_all_is_foreground_more_of_it_costs_no_more(name):
    full = torch.ones(1, 1, 5, 6, dtype=torch.bool)
    gradient = gradient_of(build_loss(name), torch.zeros(1, 1, 5, 6, dtype=torch.float64), full)
    assert (gradient <= 0).all()
    assert gradient.any()


def test_generalized_surface_is_one_for_the_inverse():
    assert value("generalized_surface", blocks(inverted=True)) == pytest.approx(1, abs=1e-9)


def test_generalized_surface_is_the_share_of_squared_distances_that_is_wrong():
    logits, target = blocks()
    squares, wrong = phi_of(target).square(), ((logits > 0) != target)[0, 0]
    expected = (squares[wrong].sum() / squares.sum()).item()
    assert value("generalized_surface", (logits, target)) == pytest.approx(expected, abs=1e-9)


def test_the_perfect_answer_of_the_notes_region_wise():
    _, target = fixture_s()
    assert value("region_wise", (certain("binary", target), target)) == pytest.approx(-0.2, abs=1e-9)


@every_mode
@pytest.mark.parametrize("name", ON_DISTANCES)
def test_the_callers_distances_are_used(name, mode):
    logits, target = random_sample(mode)
    loss = build_loss(name, spacing_mm=(2.0, 1.0, 1.0))
    hot = torch.nn.functional.one_hot(target, 3).movedim(-1, 1).bool() if mode == "multiclass" else target
    maps = torch.stack(
        [torch.from_numpy(signed_distance_mm(mask, (2.0, 1.0, 1.0))) for mask in hot.flatten(0, 1).numpy()]
    ).view(hot.shape)
    assert loss(logits, target, maps={SIGNED_DISTANCE: maps}) == loss(logits, target)
    steeper = torch.where(maps > 0, maps.square(), maps)
    changed = loss(logits, target, maps={SIGNED_DISTANCE: steeper})
    assert (changed == loss(logits, target)) == (name == "region_wise")  # it reads inner distances only
    assert loss.needs == (SIGNED_DISTANCE,)


class TestDiceBoundary:
    @every_mode
    def test_is_mostly_dice_unless_it_is_told_otherwise(self, mode):
        sample = random_sample(mode)
        dice, boundary = value("dice", sample), value("boundary", sample)
        assert value("dice_boundary", sample) == pytest.approx(0.99 * dice + 0.01 * boundary, rel=1e-12)
        found = value("dice_boundary", sample, dice_weight=0.01, boundary_weight=0.99)
        assert found == pytest.approx(0.01 * dice + 0.99 * boundary, rel=1e-12)

    def test_needs_what_its_part_needs(self):
        assert build_loss("dice_boundary").needs == (SIGNED_DISTANCE,)

    def test_options_reach_the_parts(self):
        sample = random_sample("multiclass")
        nested = {"spacing_mm": (1, 2, 3), "shift_border": False}
        found = value("dice_boundary", sample, dice_weight=0, include_background=True, boundary=nested)
        assert found == 0.01 * value("boundary", sample, include_background=True, **nested)
