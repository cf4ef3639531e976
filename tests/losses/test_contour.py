import pytest
import torch

from segtrain.losses import build_loss
from segtrain.losses.contour import border_voxels, dilated, soft_border
from tests.losses.fixtures import certain, double, fixture_s, gradient_of, random_sample


def mask_of(*rows):
    return torch.tensor([[[[mark == "#" for mark in row] for row in rows]]])


def value(name, sample, **options):
    return build_loss(name, **options)(*sample).item()


class TestBorderVoxels:
    def test_have_a_face_neighbour_outside(self):
        inside = mask_of("......", ".####.", ".####.", ".####.", "......")
        assert torch.equal(border_voxels(inside, None), mask_of("......", ".####.", ".#..#.", ".####.", "......"))

    def test_the_edge_of_the_array_is_outside_but_an_ignored_voxel_is_not(self):
        full = torch.ones(1, 1, 3, 3, dtype=torch.bool)
        assert torch.equal(border_voxels(full, None), mask_of("###", "#.#", "###"))
        hole = mask_of("#####", "#####", "##.##", "#####", "#####")
        inner = border_voxels(hole, hole)[..., 1:4, 1:4]
        assert not inner.any()
        assert border_voxels(hole, None)[..., 1:4, 1:4].sum() == 4

    def test_an_axis_of_one_voxel_has_no_neighbours(self):
        inside = mask_of(".###.", ".###.", ".###.", ".....")
        assert torch.equal(border_voxels(inside.unsqueeze(2), None).squeeze(2), border_voxels(inside, None))


class TestMorphology:
    def test_the_border_is_what_an_erosion_takes(self):
        values = double([[[[0, 0.2, 1, 1, 1, 1]]]])
        assert torch.allclose(soft_border(values, None), double([[[[0, 0.2, 0.8, 0, 0, 0]]]]))

    def test_an_ignored_voxel_erodes_nothing_and_has_no_border(self):
        values, valid = double([[[[0.3, 1, 1, 1]]]]), torch.tensor([[[[False, True, True, True]]]])
        assert not soft_border(values, valid).any()

    @pytest.mark.parametrize("space", [(7, 6), (5, 7, 6)])
    def test_dilation_goes_as_far_as_asked_along_each_axis(self, space):
        values = torch.zeros(1, 1, *space)
        values[(..., *[size // 2 for size in space])] = 1
        radii = (1, 9, 2)[-len(space) :]
        reached = [2 * radius + 1 if radius < 9 else size for radius, size in zip(radii, space, strict=True)]
        reached[-1] = 5
        assert dilated(values, radii).sum() == torch.tensor(reached).prod()


class TestBoundaryDoU:
    def test_the_part_of_the_notes_is_below_zero_unless_there_is_a_floor(self):
        logits, target = fixture_s()
        p, g = logits.sigmoid(), target.double()
        union, shared = (p**2).sum() + g.sum(), (p * g).sum()
        for floor, part in ((None, 1 - 16 / 9), (0.0, 0.0), (-0.5, -0.5)):
            expected = (union - 2 * shared) / (union - (1 + part) * shared)
            assert value("boundary_dou", (logits, target), smooth=0, floor=floor) == pytest.approx(expected.item())

    def test_a_large_object_reaches_the_cap(self):
        target = torch.zeros(1, 1, 60, 60, dtype=torch.bool)
        target[..., 2:58, 2:58] = True
        logits = torch.randn(1, 1, 60, 60, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        uncapped = value("boundary_dou", (logits, target), cap=1)
        assert value("boundary_dou", (logits, target)) < uncapped
        assert value("boundary_dou", (logits, target)) == value("boundary_dou", (logits, target), floor=0.8)

    def test_with_part_zero_it_is_the_jaccard_form_of_squared_dice(self):
        sample = random_sample("binary", samples=1)
        found = value("boundary_dou", sample, cap=0, floor=0, smooth=0)
        dice = value("dice_squared", sample, smooth=0)
        assert found == pytest.approx(2 * dice / (1 + dice), rel=1e-12)

    def test_an_absent_class_costs_one_where_anything_is_found(self):
        logits, target = random_sample("binary")
        assert value("boundary_dou", (logits, torch.zeros_like(target))) == pytest.approx(1, abs=1e-4)


class TestActiveContour:
    def test_a_hard_answer_costs_its_steps_and_the_wrong_voxels(self):
        answer, truth = mask_of("....", ".##.", "...."), mask_of("....", ".#..", "....")
        # Forward: down and right of (1, 2) count at one voxel, which makes 1 step less and sqrt(2) more.
        steps = [1, 1, 1, 2**0.5, 1]
        found = value("active_contour", (certain("binary", answer), truth))
        assert found == pytest.approx((sum(steps) + 1 + 7e-4) / 12, abs=1e-6)

    def test_without_region_it_is_the_length_alone(self):
        flat = torch.zeros(1, 1, 4, 5, dtype=torch.float64)
        assert value("active_contour", (flat, flat > 0), region_weight=0) == pytest.approx(1e-4)
        assert value("active_contour", (flat, flat > 0), region_weight=3) == pytest.approx(1.5 + 1e-4)

    def test_a_step_along_a_long_side_is_less_steep(self):
        logits, truth = certain("binary", mask_of("##..", "##..")), mask_of("##..", "##..")
        long, even = (value("active_contour", (logits, truth), spacing_mm=s) for s in ((1, 4), (3, 3)))
        assert even == pytest.approx(2 * (1 + 3e-4) / 8, abs=1e-6)
        assert long == pytest.approx(2 * (0.25 + 3e-4) / 8, abs=1e-6)

    def test_there_is_no_step_to_an_ignored_voxel(self):
        logits, truth = certain("binary", mask_of("##..")), mask_of("##..")
        found = build_loss("active_contour")(logits, truth, torch.tensor([[[True, True, False, True]]])).item()
        assert found == pytest.approx(1e-4, rel=1e-6)


class TestSurfaceDice:
    def moved(self, by, size=24):
        truth = torch.zeros(1, 1, size, size, dtype=torch.bool)
        truth[..., 6:14, 6:14] = True
        return certain("binary", truth.roll(by, -1)), truth

    def test_a_border_costs_more_the_further_it_lies_off(self):
        values = [value("surface_dice_dilation", self.moved(by), tolerance_mm=2) for by in range(5)]
        assert values == sorted(set(values))
        assert values[0] == pytest.approx(0, abs=1e-9)

    def test_a_wider_tolerance_costs_less(self):
        values = [value("surface_dice_dilation", self.moved(2), tolerance_mm=t) for t in (1, 2, 4)]
        assert values == sorted(set(values), reverse=True)

    def test_the_tolerance_is_in_mm(self):
        sample = self.moved(2)
        voxels = value("surface_dice_dilation", sample, tolerance_mm=3)
        assert value("surface_dice_dilation", sample, tolerance_mm=1.5, spacing_mm=(0.5, 0.5)) == voxels
        assert value("surface_dice_dilation", sample, tolerance_mm=1.4, spacing_mm=(0.5, 0.5)) == voxels
        assert value("surface_dice_dilation", sample, tolerance_mm=1.4, spacing_mm=(0.5, 9.0)) > voxels

    def test_by_itself_it_takes_a_little_more_than_a_voxel(self):
        sample = self.moved(2)
        found = value("surface_dice_dilation", sample, spacing_mm=(1.0, 2.0))
        assert found == value("surface_dice_dilation", sample, tolerance_mm=2.5, spacing_mm=(1.0, 2.0))

    def test_a_mask_and_its_inverse_have_nearly_one_border(self):
        _, truth = self.moved(0)
        assert value("surface_dice_dilation", (certain("binary", ~truth), truth), tolerance_mm=3) < 0.3

    def test_an_undecided_answer_is_moved(self):
        _, truth = self.moved(0)
        flat = torch.randn(truth.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.1
        assert gradient_of(build_loss("surface_dice_dilation"), flat, truth).any()
