import pytest
import torch
import torch.nn.functional as F

from segtrain.losses.voxels import Reading, read
from tests.losses.fixtures import double, fixture_m, random_sample


def voxels_of(logits, target, mask=None, mode="auto", ignore_label=None):
    return read(logits, target, mask, Reading(mode, ignore_label))


@pytest.mark.parametrize(
    ("given", "computed"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_sums_are_in_float32_at_least(given, computed):
    logits, target = random_sample("multiclass", dtype=given)
    voxels = voxels_of(logits, target)
    assert voxels.logits.dtype == voxels.probabilities.dtype == voxels.count.dtype == computed


def test_probabilities_are_softmax_over_classes_and_sigmoid_over_labels():
    logits, target = random_sample("multiclass")
    assert torch.allclose(voxels_of(logits, target).probabilities, logits.softmax(1).flatten(2))
    logits, target = random_sample("multilabel")
    assert torch.allclose(voxels_of(logits, target).probabilities, logits.sigmoid().flatten(2))


def test_log_probabilities_are_exact_where_probabilities_round_to_zero():
    voxels = voxels_of(double([[[[-1000.0, 3]]]]), torch.tensor([[[1, 0]]]))
    assert voxels.probabilities[0, 0, 0] == 0
    assert voxels.log_probabilities[0, 0, 0] == -1000
    assert voxels.cross_entropy[0, 0, 0] == 1000


def test_cross_entropy_is_torchs():
    logits, target = random_sample("multiclass")
    expected = F.cross_entropy(logits, target, reduction="none").flatten(1)
    assert torch.allclose(voxels_of(logits, target).cross_entropy, expected)
    logits, target = random_sample("multilabel")
    expected = F.binary_cross_entropy_with_logits(logits, target.double(), reduction="none").flatten(2)
    assert torch.allclose(voxels_of(logits, target).cross_entropy, expected)


def test_membership_is_one_hot_and_false_where_ignored():
    logits, target = fixture_m()
    mask = torch.tensor([[[True, True], [True, False]]])
    membership = voxels_of(logits, target, mask).membership
    assert membership.int().tolist() == [[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]]


def test_every_form_of_mask_is_understood():
    logits, target = random_sample("multiclass")
    mask = torch.rand(2, 3, 4, 2, generator=torch.Generator().manual_seed(0)) > 0.5
    expected = mask.flatten(1)
    for form in (mask, mask.unsqueeze(1), mask.float(), mask.to(torch.uint8)):
        assert torch.equal(voxels_of(logits, target, form).valid, expected)


def test_without_mask_and_ignore_label_every_voxel_counts():
    voxels = voxels_of(*random_sample("binary"))
    assert voxels.valid is None
    assert torch.equal(voxels.count, double([[24], [24]]))


def test_mask_and_ignore_label_both_take_voxels_out():
    logits, target = fixture_m()
    mask = torch.tensor([[[True, True], [True, False]]])
    voxels = voxels_of(logits, target, mask, ignore_label=2)
    assert voxels.valid.tolist() == [[True, True, False, False]]
    assert voxels.count.item() == 2


def test_a_voxel_ignored_in_one_label_is_ignored_in_all():
    target = torch.tensor([[[[0, 1]], [[255, 1]]]], dtype=torch.float64)
    voxels = voxels_of(torch.zeros(1, 2, 1, 2), target, ignore_label=255)
    assert voxels.valid.tolist() == [[False, True]]


@pytest.mark.parametrize("mode", ["multiclass", "binary", "multilabel"])
@pytest.mark.parametrize("garbage", [torch.nan, torch.inf, -torch.inf])
def test_garbage_under_the_mask_never_gets_in(mode, garbage):
    logits, target = random_sample(mode)
    mask = torch.rand(2, 3, 4, 2, generator=torch.Generator().manual_seed(1)) > 0.5
    voxels = voxels_of(logits.masked_fill(~mask.unsqueeze(1), garbage), target, mask, mode)
    clean = voxels_of(logits, target, mask, mode)
    assert torch.equal(voxels.logits, clean.logits)
    assert torch.isfinite(voxels.cross_entropy).all()


def test_weights_are_those_of_the_true_class_and_zero_where_ignored():
    logits, target = fixture_m()
    mask = torch.tensor([[[True, True], [True, False]]])
    weights = double([1, 2, 3])
    assert voxels_of(logits, target).weights(None) is None
    assert voxels_of(logits, target).weights(weights).tolist() == [[1, 2, 3, 2]]
    assert voxels_of(logits, target, mask).weights(weights).tolist() == [[1, 2, 3, 0]]
    assert voxels_of(logits, target, mask).weights(None).tolist() == [[1, 1, 1, 0]]


def test_weights_of_labels_hold_for_members_and_others_alike():
    logits, target = random_sample("multilabel")
    assert voxels_of(logits, target).weights(double([1, 2])).tolist() == [[[1], [2]]]
