import pytest
import torch
import torch.nn.functional as F

from segtrain.core.errors import ConfigError
from segtrain.losses import build_loss
from segtrain.losses.confusion import confusion
from segtrain.losses.voxels import Reading, read
from tests.losses.fixtures import certain, fixture_m, gradient_of, random_sample

DISTANCES = ((0.0, 1.0, 1.0), (1.0, 0.0, 0.5), (1.0, 0.2, 0.0))


def value(sample, mode="auto", mask=None, **options):
    return build_loss("generalized_wasserstein_dice", mode, **options)(*sample, mask).item()


def same(number):
    return pytest.approx(number, rel=1e-11)


def test_rows_are_the_truth_and_columns_the_answer():
    answer, target = torch.tensor([[[0, 0, 1, 2]]]), torch.tensor([[[0, 1, 1, 2]]])
    voxels = read(certain("multiclass", answer), target, None, Reading())
    assert confusion(voxels).round().tolist() == [[[1, 0, 0], [1, 1, 0], [0, 0, 1]]]


def test_ignored_voxels_are_in_no_cell():
    logits, target = fixture_m()
    mask = torch.tensor([[[True, True], [True, False]]])
    found = confusion(read(logits, target, mask, Reading()))
    assert found.sum((0, 2)).tolist() == pytest.approx([1, 1, 1])


def test_with_two_classes_it_is_the_dice_of_the_foreground():
    logits = random_sample("multilabel")[0]
    target = random_sample("multilabel", seed=1)[1][:, 0].long()
    expected = build_loss("dice", smooth=0.5)(logits, target).item()
    assert value((logits, target), smooth=0.5) == same(expected)
    assert value((logits, target), distances=[[0, 3], [3, 0]], smooth=0.5) == same(expected)


def test_it_is_its_equation():
    logits, target = random_sample("multiclass", samples=1)
    p = logits.softmax(1)
    matrix = torch.tensor(DISTANCES, dtype=torch.float64)
    wrong = (matrix[target].movedim(-1, 1) * p).sum(1)
    hits = (1 - wrong)[target > 0].sum()
    expected = 1 - 2 * hits / (2 * hits + wrong.sum())
    assert value((logits, target), distances=DISTANCES, smooth=0) == pytest.approx(expected.item(), rel=1e-6)


def test_only_the_ratios_of_the_distances_matter():
    sample = random_sample("multiclass")
    larger = [[5 * d for d in row] for row in DISTANCES]
    assert value(sample, distances=larger) == pytest.approx(value(sample, distances=DISTANCES), rel=1e-6)


def test_a_confusion_costs_what_its_distance_says():
    target = torch.tensor([[[0, 0, 1, 1, 2, 2]]])
    one_for_two, two_for_one = target.clone(), target.clone()
    one_for_two[..., 4], two_for_one[..., 2] = 1, 2
    costs = [value((certain("multiclass", a), target), distances=DISTANCES) for a in (one_for_two, two_for_one)]
    assert costs[0] < costs[1] < value((certain("multiclass", one_for_two), target))


@pytest.mark.parametrize("distances", [None, DISTANCES])
class TestOfABatch:
    def test_it_is_the_mean_of_the_samples(self, distances):
        logits, target = random_sample("multiclass")
        alone = [value((logits[i : i + 1], target[i : i + 1]), distances=distances) for i in range(2)]
        assert value((logits, target), distances=distances) == same(sum(alone) / 2)

    def test_pooled_it_is_that_of_one_large_sample(self, distances):
        logits, target = random_sample("multiclass")
        large = tuple(torch.cat(list(t), -1).unsqueeze(0) for t in (logits, target))
        pooled = value((logits, target), distances=distances, reduce_over="batch")
        assert pooled == same(value(large, distances=distances))

    def test_a_sample_without_a_valid_voxel_leaves_the_mean(self, distances):
        logits, target = random_sample("multiclass")
        mask = torch.ones(2, 3, 4, 2)
        mask[1] = 0
        alone = value((logits[:1], target[:1]), distances=distances)
        assert value((logits, target), mask=mask, distances=distances) == same(alone)

    @pytest.mark.parametrize("weights", [None, (1.0, 2.0, 3.0)])
    def test_a_mask_leaves_the_loss_of_the_other_voxels(self, distances, weights):
        logits, target = random_sample("multiclass", samples=1, space=(4, 6))
        mask = torch.rand(1, 4, 6, generator=torch.Generator().manual_seed(3)) > 0.3
        kept = tuple(t.flatten(-2)[..., mask.flatten()].unsqueeze(-2) for t in (logits, target))
        options = {"distances": distances, "class_weights": weights}
        assert value((logits, target), mask=mask, **options) == same(value(kept, **options))


def test_class_weights_are_voxels_seen_as_often():
    logits, target = random_sample("multiclass", samples=1, space=(1, 24))
    twice = torch.where(target.flatten() == 1, 2, 1)
    repeated = tuple(t.repeat_interleave(twice, -1) for t in (logits, target))
    assert value((logits, target), class_weights=(1, 2, 1)) == same(value(repeated))


def test_its_gradient_is_that_of_its_value():
    logits, target = random_sample("multiclass", space=(2, 3))
    loss = build_loss("generalized_wasserstein_dice", distances=DISTANCES, class_weights=(1, 2, 3))
    assert torch.autograd.gradcheck(lambda x: loss(x, target), (logits.requires_grad_(),), eps=1e-6, atol=1e-5)


def test_a_scan_of_background_pulls_away_what_was_invented():
    logits, target = fixture_m()
    gradient = gradient_of(build_loss("generalized_wasserstein_dice", smooth=1), logits, torch.zeros_like(target))
    assert (gradient[:, 0] < 0).all()
    assert F.softmax(logits, 1)[:, 1:].sum() > 1


@pytest.mark.parametrize("distances", [[[0, 1]], [[0, 1], [1, 2]], [[0, 0], [0, 0]], [], [[0, -1], [1, 0]]])
def test_a_matrix_that_is_none_is_refused(distances):
    with pytest.raises(ConfigError, match="distances"):
        build_loss("generalized_wasserstein_dice", distances=distances)


def test_a_matrix_for_another_number_of_classes_is_refused():
    with pytest.raises(ValueError, match="distances is for 2 classes, but there are 3 channels"):
        value(fixture_m(), distances=[[0, 1], [1, 0]])


def test_the_matrix_moves_with_the_loss():
    loss = build_loss("generalized_wasserstein_dice", distances=DISTANCES).to("meta")
    assert loss.distances.device.type == "meta"
