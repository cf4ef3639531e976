import itertools

import pytest
import torch
import torch.nn.functional as F

from segtrain.losses import build_loss
from segtrain.losses.soft_skeleton import soft_skeleton
from segtrain.losses.topology import harmonic_cost
from segtrain.losses.voxels import Voxels
from tests.losses.fixtures import certain, double, gradient_of, random_sample
from tests.losses.test_optimisation import hard_dice_on_the_way

MODES = ["multiclass", "binary", "multilabel"]
every_mode = pytest.mark.parametrize("mode", MODES)
CLASS_WEIGHTS = {"multiclass": (1.0, 2.0, 3.0), "binary": (2.0,), "multilabel": (1.0, 2.0)}


def value(name, sample, mode="auto", mask=None, **options):
    return build_loss(name, mode, **options)(*sample, mask).item()


def same(number):
    return pytest.approx(number, rel=1e-11)


def tube(gap=0, shift=0, width=3):
    """One sample, one sigmoid: a horizontal tube in the middle of 11 x 30."""
    mask = torch.zeros(1, 1, 11, 30, dtype=torch.bool)
    first = 5 - width // 2 + shift
    mask[..., first : first + width, 2:28] = True
    mask[..., 15 : 15 + gap] = False
    return mask


def answered(mask, truth):
    return certain("binary", mask), truth


class TestClDice:
    def test_two_masks_may_change_places(self):
        masks = [torch.rand(1, 1, 8, 9, generator=torch.Generator().manual_seed(s)) > 0.5 for s in range(2)]
        there, back = (value("cldice", answered(a, b)) for a, b in (masks, masks[::-1]))
        assert there == pytest.approx(back, abs=1e-9)
        assert there > 0.1

    def test_it_is_the_formula_of_the_paper(self):
        logits, target = random_sample("binary", samples=1, space=(5, 6))
        p, g = logits.sigmoid(), target.double()
        of_p, of_g = soft_skeleton(p, 2), soft_skeleton(g, 2)
        precision = ((of_p * g).sum() + 0.5) / (of_p.sum() + 0.5)
        recall = ((of_g * p).sum() + 0.5) / (of_g.sum() + 0.5)
        expected = 1 - 2 * precision * recall / (precision + recall)
        assert value("cldice", (logits, target), iterations=2, smooth=0.5) == same(expected.item())

    def test_a_torn_tube_costs_more_than_a_thin_one(self):
        torn, thin = tube(gap=4), tube(width=1)
        assert (tube() & ~torn).sum() < (tube() & ~thin).sum()
        assert value("cldice", answered(torn, tube())) > 0.05
        assert value("cldice", answered(thin, tube())) < 1e-6
        assert value("dice", answered(torn, tube())) < value("dice", answered(thin, tube()))

    def test_a_longer_gap_costs_more(self):
        costs = [value("cldice", answered(tube(gap=n), tube())) for n in range(8)]
        assert all(later > earlier for earlier, later in itertools.pairwise(costs))

    def test_a_tube_beside_the_truth_costs_all(self):
        assert value("cldice", answered(tube(shift=-3), tube(shift=1)), smooth=0) == pytest.approx(1, abs=1e-6)

    def test_false_tubes_cost_where_the_truth_is_empty(self):
        empty = torch.zeros_like(tube())
        assert value("cldice", answered(tube(), empty)) > 0.9
        assert value("cldice", answered(tube(), empty), absent="skip") == 0

    @every_mode
    def test_classes_and_samples_are_means(self, mode):
        logits, target = random_sample(mode, space=(4, 5))
        each = [value("cldice", (logits[i : i + 1], target[i : i + 1]), mode) for i in range(2)]
        assert value("cldice", (logits, target), mode) == same(sum(each) / 2)

    def test_pooled_over_the_batch_it_is_that_of_one_large_scan(self):
        logits, target = random_sample("multilabel", space=(4, 5))
        gap = [torch.zeros(1, 2, 1, 5)]
        mask = torch.cat([torch.ones(1, 4, 5), *[g[:, 0] for g in gap], torch.ones(1, 4, 5)], 1)
        joined = [torch.cat([t[:1], gap[0].to(t.dtype), t[1:]], 2) for t in (logits, target)]
        expected = value("cldice", joined, "multilabel", mask)
        assert value("cldice", (logits, target), "multilabel", reduce_over="batch") == same(expected)

    def test_flat_sums_weigh_the_classes(self):
        sample = random_sample("multilabel", space=(4, 5))
        costs = {
            w: value("cldice", sample, "multilabel", reduce_over="flat", class_weights=w) for w in [(1, 0), (0, 1)]
        }
        alone = [(sample[0][:, c : c + 1], sample[1][:, c : c + 1]) for c in range(2)]
        for weights, one in zip(costs, alone, strict=True):
            assert costs[weights] == same(value("cldice", one, "binary", reduce_over="batch"))

    @every_mode
    def test_class_weights_weigh_the_mean(self, mode):
        sample = random_sample(mode, space=(4, 5))
        weights = CLASS_WEIGHTS[mode]
        first = mode == "multiclass"
        single = [tuple(float(k == c) for k in range(len(weights))) for c in range(len(weights))][first:]
        costs = [value("cldice", sample, mode, class_weights=one) for one in single]
        expected = sum(w * c for w, c in zip(weights[first:], costs, strict=True)) / sum(weights[first:])
        assert value("cldice", sample, mode, class_weights=weights) == same(expected)

    def test_a_masked_slab_is_as_if_the_scan_ended_there(self):
        logits, target = random_sample("multiclass", space=(5, 4, 7))
        mask = torch.ones(2, 5, 4, 7)
        mask[..., 5:] = 0
        found = value("cldice", (logits, target), mask=mask)
        assert found == same(value("cldice", (logits[..., :5], target[..., :5])))

    def test_soft_truth_has_a_soft_skeleton(self):
        logits, _ = random_sample("multilabel", space=(5, 6))
        truth = logits.sigmoid()
        assert 0 < value("cldice", (logits, truth)) < 0.5


class TestDiceClDice:
    @every_mode
    def test_its_ends_are_its_parts(self, mode):
        sample = random_sample(mode)
        assert value("dice_cldice", sample, mode, cldice_share=0) == value("dice", sample, mode)
        assert value("dice_cldice", sample, mode, cldice_share=1) == value("cldice", sample, mode)

    @every_mode
    def test_it_mixes_its_parts_with_their_options(self, mode):
        sample, weights = random_sample(mode), CLASS_WEIGHTS[mode]
        options = {"smooth": 0.5, "cldice_smooth": 2, "iterations": 1, "class_weights": weights, "absent": "fp_only"}
        shared = {"class_weights": weights, "absent": "fp_only"}
        dice = value("dice", sample, mode, smooth=0.5, **shared)
        cldice = value("cldice", sample, mode, smooth=2, iterations=1, **shared)
        assert value("dice_cldice", sample, mode, cldice_share=0.3, **options) == same(0.7 * dice + 0.3 * cldice)

    @pytest.mark.slow
    def test_it_finds_an_object_that_is_too_thick_for_a_centre_line(self):
        assert hard_dice_on_the_way(build_loss("dice_cldice"), 1, steps=300, every=300)[-1] >= 0.99


class TestCentreLineCrossEntropy:
    def test_it_is_the_formula_of_the_authors(self):
        logits, target = random_sample("multiclass", space=(5, 6))
        entropy = F.cross_entropy(logits, target, reduction="none")
        members = F.one_hot(target, 3).movedim(-1, 1).double()
        lines = soft_skeleton(logits.softmax(1), 3) + soft_skeleton(members, 3)
        expected = (entropy.unsqueeze(1) * lines)[:, 1:].mean()
        assert value("cl_ce", (logits, target)) == same(expected.item())

    def test_a_torn_tube_costs_more_than_a_thin_one(self):
        torn, thin = (answered(mask, tube()) for mask in (tube(gap=4), tube(width=1)))
        assert value("cl_ce", torn) > 10 * value("cl_ce", thin)

    def test_a_weight_map_weighs_voxels(self):
        logits, target = random_sample("binary", space=(5, 6))
        weight = torch.rand(2, 5, 6, generator=torch.Generator().manual_seed(5)).double()
        entropy = F.binary_cross_entropy_with_logits(logits, target.double(), reduction="none")
        lines = soft_skeleton(logits.sigmoid(), 3) + soft_skeleton(target.double(), 3)
        each = (entropy * lines * weight.unsqueeze(1)).flatten(1).sum(1) / weight.flatten(1).sum(1)
        found = build_loss("cl_ce")(logits, target, weight_map=weight)
        assert found.item() == same(each.mean().item())


class TestSkeletonRecall:
    def test_what_lies_in_the_tube_is_all_that_counts(self):
        assert value("skeleton_recall", answered(torch.ones_like(tube()), tube())) < 1e-6
        truth = tube(width=9)
        middle = tube(width=5)
        assert value("skeleton_recall", answered(middle, truth)) < 0.01
        assert value("skeleton_recall", answered(middle, truth), radius=3) > 0.1

    def test_it_is_the_share_of_the_tube_that_is_missed(self):
        logits, skeleton = random_sample("binary", samples=1, space=(6, 7))
        truth = torch.ones_like(skeleton)
        found = build_loss("skeleton_recall", radius=0, smooth=2)(logits, truth, maps={"skeleton": skeleton})
        missed = 1 - (logits.sigmoid()[skeleton].sum() + 2) / (skeleton.sum() + 2)
        assert found.item() == same(missed.item())

    def test_exclusive_classes_score_their_stretch_of_the_common_tube(self):
        classes = torch.zeros(1, 11, 30, dtype=torch.int64)
        classes[tube()[0]] = 1
        classes[..., 15:] *= 2
        logits = certain("multiclass", classes)
        assert value("skeleton_recall", (logits, classes)) < 1e-6
        logits[:, :, :, 15:] = double([30, 0, 0]).view(1, 3, 1, 1)
        assert value("skeleton_recall", (logits, classes)) == pytest.approx(0.5, abs=1e-3)

    def test_an_absent_class_costs_nothing(self):
        assert value("skeleton_recall", answered(tube(), torch.zeros_like(tube()))) == 0

    def test_the_gradient_is_that_of_a_mean_in_the_tube(self):
        logits, target = torch.zeros(1, 1, 11, 30).double(), tube()
        gradient = gradient_of(build_loss("skeleton_recall", smooth=0), logits, target)
        inside = gradient[gradient != 0]
        assert torch.allclose(inside, torch.full_like(inside, -0.25 / len(inside)))


def test_the_harmonic_cost_is_one_minus_the_harmonic_mean():
    errors = double([0.0, 0.25, 0.5, 1.0])
    for first, second in itertools.product(errors, errors):
        p, r = 1 - first, 1 - second
        expected = 1 - 2 * p * r / (p + r) if p + r > 0 else double(1.0)
        assert harmonic_cost(first, second).item() == pytest.approx(expected.item())
    tiny = double([1e-12])
    assert harmonic_cost(tiny, tiny).item() == pytest.approx(1e-12, rel=1e-6)


@pytest.mark.parametrize("name", ["cldice", "skeleton_recall"])
@pytest.mark.parametrize("absent", ["keep", "skip"])
def test_sizes_alone_need_no_pass_over_the_answers(name, absent, monkeypatch):
    monkeypatch.setattr(Voxels, "sums", None)
    logits, target = random_sample("multiclass")
    assert build_loss(name, absent=absent)(logits, target).isfinite()
