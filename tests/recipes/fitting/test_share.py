"""What each rank does is a share: together all of it, nothing twice."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from segtrain.core.errors import ConfigError
from segtrain.core.task import Task
from segtrain.losses import build_loss
from segtrain.models.settings import ModelSettings
from segtrain.models.unet import UNet
from segtrain.recipes.assemble import Answer, training_loss
from segtrain.recipes.fitting.share import collected, dealt, share_of, spread, unused_parameters
from segtrain.training.ranks import ALONE
from segtrain.training.settings import TrainingSettings
from tests.plans import small_plan

SETTINGS = TrainingSettings()


def ranks(size):
    """Every rank of a group that never meets."""
    return [SimpleNamespace(rank=rank, size=size) for rank in range(size)]


@pytest.mark.parametrize(("batch", "size"), [(4, 1), (4, 2), (12, 3), (2, 2)])
def test_shares_of_a_batch_are_equal_in_order_and_together_all_of_it(batch, size):
    shares = [share_of(batch, SETTINGS, one) for one in ranks(size)]
    assert [place for share in shares for place in share] == list(range(batch))
    assert {len(share) for share in shares} == {batch // size}


@pytest.mark.parametrize(
    ("batch", "size", "larger", "fewer"), [(3, 2, 4, 1), (2, 4, 4, 2), (9, 4, 12, 3), (12, 8, 16, 6)]
)
def test_a_batch_that_cannot_be_shared_says_what_could(batch, size, larger, fewer):
    with pytest.raises(ConfigError, match=f"a batch of {batch} cannot be shared equally by {size} processes") as error:
        share_of(batch, SETTINGS, ranks(size)[0])
    assert f"set training.batch_size={larger}, or let torchrun start {fewer} in all" in str(error.value)


@pytest.mark.parametrize(("batch", "size", "parts", "multiple"), [(3, 1, 2, 2), (4, 2, 4, 8)])
def test_a_share_without_equal_parts_says_which_batches_have_them(batch, size, parts, multiple):
    settings = SETTINGS.model_copy(update={"accumulation": parts})
    with pytest.raises(
        ConfigError, match=rf"of {batch // size} has no {parts} equal parts[\s\S]*multiple of {multiple}"
    ):
        share_of(batch, settings, ranks(size)[-1])


@pytest.mark.parametrize("count", range(6))
@pytest.mark.parametrize("size", [1, 2, 4])
def test_what_is_dealt_comes_back_in_order(count, size):
    things = [f"case {number}" for number in range(count)]
    hands = [dealt(things, one) for one in ranks(size)]
    assert collected(hands) == things
    assert max(map(len, hands)) - min(map(len, hands)) <= 1


@pytest.mark.parametrize("widths", [(4,), (4, 6), (4, 6, 8), (4, 6, 8, 8)])
@pytest.mark.parametrize("dims", [2, 3])
def test_only_a_head_that_the_loss_does_not_look_at_is_unused(widths, dims):
    plan = small_plan(dims=dims, widths=widths, patch=(16, 16, 16), channels=2)
    model = UNet(plan, ModelSettings(), outputs=2, seed=0)
    task = Task(labels={"background": 0, "organ": 1})
    loss = training_loss(build_loss("ce", "multiclass"), model, plan, task, Answer("multiclass", "softmax", 2))
    unused = unused_parameters(model, loss, channels=2)
    images = torch.randn(2, 2, *loss.stages[0].size)
    loss(model(images), (images[:, 0] > 0).long()).backward()
    assert [id(p) for p in unused] == [id(p) for p in model.parameters() if p.grad is None]
    assert len(unused) == (2 if len(widths) > 2 else 0)
    assert all(p.requires_grad and p.device.type == "cpu" for p in model.parameters())


def test_one_process_trains_the_model_itself():
    assert spread(nn.Linear(1, 1), None, 1, ALONE) is None
