import inspect
import math
from typing import Annotated

import pytest
import torch

from segtrain.core.errors import ConfigError
from segtrain.core.registry import options_of
from segtrain.losses import Loss, build_loss
from segtrain.losses.options import Weight
from tests.losses.fixtures import fixture_m, gradient_of, random_sample

SHARED = {"class_weights", "ignore_label"}


class Plain(Loss):
    """Mean cross-entropy and nothing else."""

    def measure(self, voxels):
        return voxels.cross_entropy.mean()


class Scaled(Plain):
    """One option more."""

    def __init__(self, mode="auto", /, *, scale: Annotated[Weight, "Factor."] = 2.0, **shared):
        super().__init__(mode, **shared)
        self.scale = scale

    def measure(self, voxels):
        return self.scale * super().measure(voxels)


class Lifted(Scaled):
    """Two options more, one of them with another default."""

    def __init__(self, mode="auto", /, *, scale: Annotated[Weight, "Factor."] = 3.0, lift: float = 0.0, **shared):
        super().__init__(mode, scale=scale, **shared)
        self.lift = lift


class Closed(Scaled):
    """Takes no options of the classes above."""

    def __init__(self, mode="auto", /, *, only: int = 1):
        super().__init__(mode)


class OnlyBinary(Plain):
    """For one sigmoid."""

    modes = ("binary",)


def test_a_loss_without_its_own_constructor_has_the_shared_options():
    assert set(options_of(Plain)) == SHARED


def test_options_are_inherited_through_every_level():
    assert set(options_of(Scaled)) == SHARED | {"scale"}
    assert set(options_of(Lifted)) == SHARED | {"scale", "lift"}


def test_the_nearest_class_says_what_the_default_is():
    assert options_of(Scaled)["scale"].default == 2.0
    assert options_of(Lifted)["scale"].default == 3.0


def test_a_class_without_shared_options_closes_the_list():
    assert set(options_of(Closed)) == {"only"}


def test_the_mode_stays_the_only_positional_parameter():
    first = next(iter(inspect.signature(Lifted).parameters.values()))
    assert (first.name, first.kind, first.default) == ("mode", inspect.Parameter.POSITIONAL_ONLY, "auto")


def test_a_mode_that_a_loss_does_not_have_is_refused_when_built():
    with pytest.raises(ConfigError, match=r"OnlyBinary has no mode 'multiclass'\n  why: it is defined for binary"):
        OnlyBinary("multiclass")


def test_a_mode_that_a_loss_does_not_have_is_refused_when_called():
    with pytest.raises(ValueError, match=r"OnlyBinary works on binary targets; .* are multiclass"):
        OnlyBinary()(*fixture_m())


def test_a_mode_given_once_holds_against_the_shapes():
    logits, target = random_sample("multilabel")
    with pytest.raises(ValueError, match="a multiclass target must be"):
        Plain("multiclass")(logits, target)


def test_class_weights_move_with_the_loss_and_are_saved_with_it():
    loss = Plain(class_weights=(1.0, 2.0, 3.0))
    assert loss.to("meta").class_weights.device.type == "meta"
    assert set(loss.state_dict()) == {"class_weights"}
    assert Plain().state_dict() == {}


def test_class_weights_take_the_dtype_of_the_logits():
    voxels_seen = []

    class Watching(Plain):
        """Keeps what it was given."""

        def measure(self, voxels):
            voxels_seen.append(self.weights_of(voxels))
            return super().measure(voxels)

    logits, target = fixture_m()
    Watching(class_weights=(1, 2, 3))(logits, target)
    Watching(class_weights=(1, 2, 3))(logits.half(), target)
    assert [weights.dtype for weights in voxels_seen] == [torch.float64, torch.float32]


@pytest.mark.parametrize("name", ["ce", "focal", "dice", "combo", "generalized_dice", "lovasz_softmax", "dice_ce"])
def test_a_wrong_number_of_class_weights_is_counted(name):
    with pytest.raises(ValueError, match="class_weights has 2 numbers for 3 output channels"):
        build_loss(name, class_weights=[1, 2])(*fixture_m())


def test_autocast_of_the_caller_does_not_reach_the_sums():
    class Product(Plain):
        """A sum that autocast would take in bfloat16."""

        def measure(self, voxels):
            flat = voxels.logits.flatten(1)
            return (flat @ flat.T).sum()

    logits, target = random_sample("multiclass", dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = Product()(logits, target)
    assert inside.dtype == torch.float32
    assert inside == Product()(logits, target)


def test_an_ignored_label_takes_no_part_in_value_and_gradient():
    logits, target = fixture_m()
    marked = target.clone()
    marked[0, 0, 0] = 9
    gradient = gradient_of(Scaled(ignore_label=9), logits, marked)
    assert not gradient[..., 0, 0].any()
    assert gradient[..., 1:].any()


def test_a_loss_is_a_scalar_of_any_spatial_size():
    for space in ((4, 4), (2, 4, 4)):
        assert Plain()(torch.zeros(1, 3, *space), torch.zeros(1, *space).long()).item() == pytest.approx(math.log(3))


def test_tensors_of_another_library_are_measured_as_plain_ones():
    class Foreign(torch.Tensor):
        """As MONAI's MetaTensor, whose `new_empty` has other parameters than torch's."""

        def new_empty(self, *size, **options):
            raise TypeError

    logits, target = random_sample("multiclass")
    weight = torch.rand(target.shape)
    expected = build_loss("dice_ce")(logits, target, target > 0, weight_map=weight)
    foreign = logits.as_subclass(Foreign).requires_grad_()
    rest = (target.as_subclass(Foreign), (target > 0).as_subclass(Foreign))
    value = build_loss("dice_ce")(foreign, *rest, weight_map=weight.as_subclass(Foreign))
    assert type(value) is torch.Tensor
    assert value == expected
    assert torch.autograd.grad(value, foreign)[0].any()
