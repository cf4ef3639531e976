import pytest
import torch

from segtrain.losses.checks import check_weight_map, resolve_mode
from segtrain.losses.voxels import Extras, Reading, read


def voxels_of(logits, target, **how):
    return read(logits, target, None, Reading(**how))


def zeros(*shape, dtype=torch.float32):
    return torch.zeros(shape, dtype=dtype)


@pytest.mark.parametrize(
    ("outputs", "target", "mode"),
    [
        (1, zeros(2, 1, 4, 4, dtype=torch.int64), "binary"),
        (1, zeros(2, 4, 4, dtype=torch.uint8), "binary"),
        (1, zeros(2, 4, 4), "binary"),
        (3, zeros(2, 4, 4, dtype=torch.int64), "multiclass"),
        (3, zeros(2, 1, 4, 4, dtype=torch.uint8), "multiclass"),
        (3, zeros(2, 3, 4, 4, dtype=torch.bool), "multilabel"),
        (3, zeros(2, 3, 4, 4), "multilabel"),
    ],
)
def test_the_mode_follows_from_shapes_and_dtype(outputs, target, mode):
    assert resolve_mode(zeros(2, outputs, 4, 4), target) == mode


def test_a_one_hot_target_of_integers_could_be_either_and_is_refused():
    with pytest.raises(ValueError, match=r"ambiguous.*logits \(2, 3, 4, 5\).*class indices \(2, 4, 5\)"):
        resolve_mode(zeros(2, 3, 4, 5), zeros(2, 3, 4, 5, dtype=torch.int64))


@pytest.mark.parametrize(
    ("logits", "target", "mode", "message"),
    [
        (zeros(2, 3, 4), zeros(2, 4).long(), "auto", "two or three spatial axes"),
        (zeros(2, 3, 4, 4).long(), zeros(2, 4, 4).long(), "auto", "must be floating point"),
        (zeros(0, 3, 4, 4), zeros(0, 4, 4).long(), "auto", "no voxels"),
        (zeros(2, 3, 4, 4), zeros(2, 4, 4).long(), "binary", "binary does not go with 3 output channels"),
        (zeros(2, 1, 4, 4), zeros(2, 4, 4).long(), "multiclass", "multiclass does not go with 1 output channels"),
        (zeros(2, 3, 4, 5), zeros(2, 5, 4).long(), "auto", r"must be \(2, 4, 5\) or \(2, 1, 4, 5\)"),
        (zeros(2, 3, 4, 4), zeros(2, 4, 4), "multiclass", "holds integers, not torch.float32"),
        (zeros(2, 3, 4, 4), zeros(2, 4, 4).long(), "multilabel", r"a multilabel target must be \(2, 3, 4, 4\)"),
        (zeros(2, 3, 4, 4), zeros(2, 4, 4).long() + 3, "auto", r"holds class 3, but there are 3 classes \(0 to 2\)"),
        (zeros(2, 3, 4, 4), zeros(2, 4, 4).long() - 1, "auto", "holds class -1"),
        (zeros(2, 1, 4, 4), zeros(2, 4, 4).long() + 255, "auto", "holds 255, but membership lies in 0 to 1"),
        (zeros(2, 1, 4, 4), zeros(2, 4, 4) - 0.5, "auto", "holds -0.5"),
        (zeros(2, 1, 4, 4), zeros(2, 4, 4) + torch.nan, "auto", "holds nan"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(logits, target, mode, message):
    with pytest.raises(ValueError, match=message):
        voxels_of(logits, target, mode=mode)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (torch.full((2, 3, 4, 4), 1 / 3), None),
        (torch.full((2, 3, 4, 4), 0.3), "sum to 0.9, not 1"),
        (zeros(2, 3, 4, 4).bool(), r"a multiclass target must be \(2, 4, 4\)"),
        (torch.full((2, 3, 4, 4), 1.5), "holds 1.5, but membership lies in 0 to 1"),
        (zeros(2, 2, 4, 4), r"a multiclass target must be \(2, 4, 4\)"),
    ],
)
def test_exclusive_classes_share_voxels_only_where_a_loss_knows_that(target, message):
    if message is None:
        assert voxels_of(zeros(2, 3, 4, 4), target, mode="multiclass", shared=True).is_soft
    else:
        with pytest.raises(ValueError, match=message):
            voxels_of(zeros(2, 3, 4, 4), target, mode="multiclass", shared=True)
    with pytest.raises(ValueError, match="a multiclass target must be"):
        voxels_of(zeros(2, 3, 4, 4), target, mode="multiclass")


def test_no_voxel_weighs_less_than_nothing():
    logits, target = zeros(2, 3, 4, 4), zeros(2, 4, 4).long()
    with pytest.raises(ValueError, match="weight_map holds -1, but a voxel weighs 0 or more"):
        read(logits, target, None, Reading(), Extras(weight_map=zeros(2, 4, 4) - 1))
    for fine in (zeros(2, 16), zeros(2, 16) > 0, zeros(2, 16).to("meta"), zeros(2, 16) + torch.nan):
        check_weight_map(fine, None)
    check_weight_map(zeros(2, 16) - 1, zeros(2, 16) > 0)
