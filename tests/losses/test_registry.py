import pytest
import torch
from torch import nn

from segtrain.core.errors import ConfigError, DataError
from segtrain.losses import build_loss, list_losses
from segtrain.losses.registry import supported_modes
from segtrain.losses.selftest import self_test
from tests.losses.fixtures import fixture_b, fixture_m

MINE = '''
from typing import Annotated

from pydantic import Field
from torch import nn
import torch.nn.functional as F

from segtrain.core.errors import DataError
from segtrain.losses import Loss


class Scaled(nn.Module):
    """Cross-entropy times a number."""

    def __init__(self, *, scale: Annotated[float, Field(gt=0)] = 1.0, label: str = ""):
        super().__init__()
        self.scale = scale

    def forward(self, logits, target):
        return self.scale * F.cross_entropy(logits, target)


class Squared(Loss):
    """Mean squared distance of probabilities and truth."""

    modes = ("multiclass", "multilabel")

    def measure(self, voxels):
        return ((voxels.probabilities - voxels.membership.to(voxels.logits.dtype)) ** 2).mean()


class Broken(nn.Module):
    def __init__(self):
        raise RuntimeError("no licence")


class Refusing(nn.Module):
    def __init__(self):
        raise DataError("no atlas")


class Deaf(Loss):
    """Our kind, but its constructor does not take the mode."""

    def __init__(self):
        super().__init__()

    def measure(self, voxels):
        return voxels.cross_entropy.mean()


class Unfinished(Loss):
    """Our kind, but without a measure."""


def scaled(*, scale: float = 2.0):
    return Scaled(scale=scale)


def number(*, of: int = 1):
    return of
'''


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path


def message_of(call, *args, **options):
    with pytest.raises(ConfigError) as caught:
        call(*args, **options)
    return str(caught.value)


def test_the_list_is_sorted_and_without_aliases():
    assert list_losses() == sorted(set(list_losses()))
    assert "jaccard" not in list_losses()


@pytest.mark.parametrize(("alias", "name"), [("jaccard", "iou"), ("dice_bce", "bce_dice")])
def test_an_alias_builds_the_same_loss(alias, name):
    assert build_loss(alias)(*fixture_b()) == build_loss(name)(*fixture_b())


@pytest.mark.parametrize(
    ("typed", "nearest"), [("dise", "'dice'"), ("Dice", "'dice'"), ("tverski", "'tversky'"), ("post-dice", "post/dice")]
)
def test_a_name_nobody_has_is_answered_with_the_nearest(typed, nearest):
    message = message_of(build_loss, typed)
    assert f"no loss is called {typed!r}" in message
    assert nearest in message


def test_a_name_like_no_other_is_answered_with_a_few_of_the_many():
    message = message_of(build_loss, "xyzzy")
    assert f"there are {len([*list_losses(), 'jaccard', 'dice_bce'])} loss names; the nearest: " in message
    assert len(message.partition("the nearest: ")[2].split(", ")) == 5


@pytest.mark.parametrize(
    ("name", "typed", "nearest"), [("tversky", "fn_wieght", "fn_weight"), ("dice", "smoth", "smooth")]
)
def test_an_unknown_option_is_answered_with_the_nearest(name, typed, nearest):
    message = message_of(build_loss, name, **{typed: 1})
    assert f"{typed}: there is no such key" in message
    assert f"'{nearest}'" in message
    assert f"loss {name}" in message


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("tversky", {"fn_weight": -0.1}),
        ("tversky", {"fp_weight": float("nan")}),
        ("tversky", {"fp_weight": float("inf")}),
        ("focal", {"gamma": -1}),
        ("focal", {"alpha": 1.5}),
        ("focal_tversky", {"exponent": 0}),
        ("topk_ce", {"k": 0}),
        ("topk_ce", {"k": 101}),
        ("combo", {"ce_share": 2}),
        ("bce", {"pos_weight": 0}),
        ("ce", {"label_smoothing": 1.5}),
        ("dice", {"smooth": -1}),
        ("dice", {"reduce_over": "image"}),
        ("dice", {"absent": "zero"}),
        ("dice", {"class_weights": [1, -1]}),
        ("generalized_dice", {"weighting": "cubic"}),
        ("lovasz_softmax", {"classes": "some"}),
        ("dice_ce", {"dice": {"smooth": -1}}),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name, options):
    assert next(iter(options)) in message_of(build_loss, name, **options)


def test_every_wrong_option_is_named_at_once():
    with pytest.raises(ConfigError) as caught:
        build_loss("tversky", fn_weight=-1, fp_weight="much", smoth=0)
    assert len(caught.value.problems) == 3


def test_options_written_as_text_or_lists_are_converted():
    assert build_loss("tversky", fn_weight="0.9", fp_weight="0.1").fn_weight == 0.9
    assert build_loss("focal", alpha=[1, 2, 3]).alpha == (1.0, 2.0, 3.0)
    assert build_loss("lovasz_softmax", classes=[0, 2]).classes == (0, 2)


def test_supported_modes_start_with_the_preferred_one():
    assert supported_modes("dice") == ("multiclass", "binary", "multilabel")
    assert supported_modes("bce") == ("binary", "multilabel")
    assert supported_modes("generalized_dice") == ("multiclass", "multilabel")


class TestOfTheUsersOwn:
    def test_a_module_from_a_file_gets_its_options(self, folder):
        loss = build_loss("mine.py:Scaled", "multiclass", folder=folder, scale="3")
        logits, target = fixture_m()
        assert loss(logits, target).item() == pytest.approx(3 * 0.828170, abs=2e-6)
        assert self_test(loss, "multiclass", 3, 2) == []

    def test_a_function_that_returns_a_module_will_do(self, folder):
        assert build_loss("mine.py:scaled", folder=folder, scale=5).scale == 5

    def test_a_loss_of_our_kind_is_given_the_mode_and_the_shared_options(self, folder):
        loss = build_loss("mine.py:Squared", "multiclass", folder=folder, ignore_label=9)
        assert (loss.mode, loss.ignore_label) == ("multiclass", 9)
        assert supported_modes("mine.py:Squared", folder) == ("multiclass", "multilabel")
        assert "has no mode 'binary'" in message_of(build_loss, "mine.py:Squared", "binary", folder=folder)

    def test_a_module_that_does_not_say_is_taken_for_all_modes(self, folder):
        assert set(supported_modes("mine.py:Scaled", folder)) == {"multiclass", "binary", "multilabel"}

    def test_a_class_of_an_installed_package_is_found_too(self):
        assert isinstance(build_loss("torch.nn:CrossEntropyLoss"), nn.CrossEntropyLoss)

    def test_its_options_are_checked_as_ours_are(self, folder):
        unknown = message_of(build_loss, "mine.py:Scaled", folder=folder, scael=2)
        assert "scael: there is no such key" in unknown
        assert "'scale'" in unknown
        assert "must be above 0" in message_of(build_loss, "mine.py:Scaled", folder=folder, scale=0)
        assert "label" in message_of(build_loss, "mine.py:Scaled", folder=folder, label=3)

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("yours.py:Scaled", ["there is no file", "yours.py", "relative to the config file"]),
            ("mine.py:Skaled", ["mine.py has no 'Skaled'"]),
            ("mine.py:Broken", ["could not be built", "RuntimeError: no licence"]),
            ("mine.py:Deaf", ["could not be built", "takes 1 positional argument but 2 were given"]),
            ("mine.py:Unfinished", ["could not be built", "abstract method"]),
            ("mine.py:number", ["is not a torch.nn.Module", "it is a int"]),
            ("no_such_package:Loss", ["could not be imported", "ModuleNotFoundError"]),
        ],
    )
    def test_what_goes_wrong_is_said_with_the_name(self, folder, name, said):
        message = message_of(build_loss, name, folder=folder)
        assert all(part in message for part in [repr(name), *said])

    def test_a_file_that_does_not_run_is_an_error_of_the_config(self, folder):
        (folder / "mine.py").write_text("import torch\nraise ValueError('half written')\n")
        assert "ValueError: half written" in message_of(build_loss, "mine.py:Scaled", folder=folder)

    def test_an_error_of_our_kind_passes_unchanged(self, folder):
        with pytest.raises(DataError, match="no atlas"):
            build_loss("mine.py:Refusing", folder=folder)

    def test_it_gets_a_gradient_through_deep_layers(self, folder):
        loss = build_loss("mine.py:Squared", folder=folder)
        layer = nn.Conv2d(1, 3, 1)
        loss(layer(torch.ones(1, 1, 4, 4)), torch.ones(1, 4, 4).long()).backward()
        assert layer.weight.grad.any()
