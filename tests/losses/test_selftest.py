import pytest
import torch
from torch import nn

from segtrain.losses import build_loss, list_losses
from segtrain.losses.registry import supported_modes
from segtrain.losses.selftest import self_test
from tests.losses.fixtures import OUTPUTS


class Mine(nn.Module):
    """A loss of the user's own from a function of logits and target."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, logits, target):
        return self.value(logits, target)


# An answer as undecided as the random one may have no gradient under hausdorff_er: then it is rightly refused.
SHIPPED = [name for name in list_losses() if name != "hausdorff_er"]


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_loss_passes(name, dims):
    for mode in supported_modes(name):
        assert self_test(build_loss(name, mode), mode, OUTPUTS[mode], dims) == []


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_loss_passes_with_a_mask(name):
    for mode in supported_modes(name):
        assert self_test(build_loss(name, mode), mode, OUTPUTS[mode], 3, masked=True) == []


def test_a_loss_that_cannot_take_a_mask_is_refused_where_it_will_be_handed_one():
    (fault,) = self_test(nn.CrossEntropyLoss(), "multiclass", 4, 2, masked=True)
    assert "and a mask (2, 8, 8) torch.bool because task.ignore is set, it raised TypeError" in fault


def test_a_loss_that_takes_a_mask_and_does_not_look_at_it_is_refused():
    class Blind(nn.Module):
        def forward(self, logits, target, mask=None):
            return nn.functional.cross_entropy(logits, target)

    (fault,) = self_test(Blind(), "multiclass", 4, 2, masked=True)
    assert "gradient at voxels that the mask leaves out" in fault
    assert self_test(Blind(), "multiclass", 4, 2) == []


def test_a_sound_loss_of_the_users_own_passes():
    assert self_test(nn.CrossEntropyLoss(), "multiclass", 4, 3) == []


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (lambda x, _: x[:, 99], "it raised IndexError"),
        (lambda _, __: 1.0, "it returned a float, not a tensor"),
        (lambda x, _: x, "it returned shape (2, 1, 8, 8), not one number"),
        (lambda x, _: x.sum() / 0, "its value is not finite"),
        (lambda x, _: x.detach().mean(), "its value has no gradient"),
        (lambda x, y: ((x > 0) == y).float().mean(), "its value has no gradient"),
        (lambda _, __: torch.ones((), requires_grad=True), "its value does not depend on the logits"),
        (lambda x, _: (x - x).sqrt().sum(), "its gradient is not finite"),
        (lambda x, _: (x * 0).sum(), "its gradient is zero everywhere"),
        (lambda x, _: x.detach().requires_grad_().sum(), "its value does not depend on the logits"),
    ],
)
def test_each_fault_is_said_in_plain_words(value, fault):
    (found,) = self_test(Mine(value), "binary", 1, 2)
    assert fault in found


def test_several_faults_of_a_value_are_all_told():
    faults = self_test(Mine(lambda x, _: (x > 0).long()), "binary", 1, 2)
    assert [fault.split(" it")[-1] for fault in faults[:2]] == [
        " returned shape (2, 1, 8, 8), not one number",
        " returned torch.int64, not a floating point number",
    ]
    assert "has no gradient" in faults[2]


def test_a_call_that_fails_is_quoted_with_what_was_passed():
    (fault,) = self_test(Mine(lambda x, _: x[:, 99]), "multiclass", 3, 3)
    assert "logits (2, 3, 8, 8, 8) and target (2, 8, 8, 8) torch.int64" in fault
