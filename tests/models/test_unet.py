"""The network fits its plan, whatever the dimension and block."""

import pytest
import torch

from segtrain.core.plan import Plan
from segtrain.models.settings import ModelSettings
from segtrain.models.unet import UNet, count_parameters
from tests.models import networks


def plan(dims=3, channels=1, stages=3):
    return networks.plan(dims, tuple(f"c{i}" for i in range(channels)), stages)


@pytest.mark.parametrize("block", ["plain", "residual"])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("channels", "outputs"), [(1, 1), (3, 5)])
def test_finest_logits_have_the_size_of_the_image(block, dims, channels, outputs):
    model = UNet(plan(dims, channels), ModelSettings(dims=dims, block=block), outputs=outputs, seed=0)
    size = (16, 12, 8)[:dims]
    logits = model(torch.randn(2, channels, *size))
    assert [tuple(level.shape) for level in logits] == [
        (2, outputs, *size),
        (2, outputs, *(n // 2 for n in size)),
    ]


def test_prediction_answers_with_the_finest_logits_alone():
    model = UNet(plan(), ModelSettings(), outputs=2, seed=0).eval()
    assert len(model(torch.randn(1, 1, 16, 12, 8))) == 1


def test_a_network_of_one_stage_works():
    model = UNet(plan(stages=1), ModelSettings(), outputs=2, seed=0)
    assert model(torch.randn(1, 1, 5, 3, 2))[0].shape == (1, 2, 5, 3, 2)


def test_every_parameter_gets_a_gradient():
    model = UNet(plan(), ModelSettings(block="residual"), outputs=3, seed=0)
    sum(level.square().mean() for level in model(torch.randn(2, 1, 16, 12, 8))).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


def test_equal_seeds_give_equal_weights_and_other_seeds_do_not():
    first, again, other = (UNet(plan(), ModelSettings(), outputs=2, seed=s).state_dict() for s in (3, 3, 4))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["encoder.0.0.0.weight"], other["encoder.0.0.0.weight"])


def test_networks_with_other_outputs_share_all_weights_but_the_heads():
    three, two = (UNet(plan(), ModelSettings(), outputs=n, seed=0).state_dict() for n in (3, 2))
    assert {k for k in three if three[k].shape != two[k].shape or not torch.equal(three[k], two[k])} == {
        "heads.0.weight",
        "heads.0.bias",
        "heads.1.weight",
        "heads.1.bias",
    }


def test_a_size_that_the_strides_do_not_divide_is_refused_with_both_sizes():
    model = UNet(plan(), ModelSettings(), outputs=2, seed=0)
    with pytest.raises(ValueError, match=r"multiples of \(4, 4, 4\), not \(16, 12, 7\)"):
        model(torch.randn(1, 1, 16, 12, 7))


def test_channels_last_keeps_its_layout_and_its_values():
    model = UNet(plan(), ModelSettings(), outputs=2, seed=0)
    image = torch.randn(2, 1, 16, 12, 8)
    expected = model(image)[0]
    last = model.to(memory_format=torch.channels_last_3d)(image.to(memory_format=torch.channels_last_3d))[0]
    assert torch.allclose(expected, last, atol=1e-5)


def test_parameters_are_counted():
    model = UNet(plan(stages=1), ModelSettings(), outputs=2, seed=0)
    assert count_parameters(model) == 4 * 1 + 2 * 4 + 4 * 2 + 2


def test_fewer_convolutions_on_the_way_up_are_possible():
    whole, lean = (
        UNet(Plan(**{**dict(plan()), "decoder_convolutions": units}), ModelSettings(), outputs=2, seed=0)
        for units in (None, (1, 1))
    )
    assert [len(stage) for stage in whole.decoder] == [1, 2]
    assert [len(stage) for stage in lean.decoder] == [1, 1]


@pytest.mark.parametrize(
    ("block", "names"),
    [("plain", ("encoder.0.0.0.weight",)), ("residual", ("encoder.0.0.first.0.weight", "encoder.0.0.side.0.weight"))],
)
def test_it_says_which_weights_read_the_image_and_which_answer(block, names):
    model = UNet(plan(channels=3), ModelSettings(block=block), outputs=5, seed=0)
    assert model.input_weights == names
    assert {model.get_parameter(name).shape[1] for name in names} == {3}
    answering = {name for name, p in model.named_parameters() if p.shape[0] == 5}
    assert set(model.output_weights) == answering
