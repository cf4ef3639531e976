"""A name becomes a network: a shipped one, or one of the user's own with its options checked."""

from __future__ import annotations

import pytest

from segtrain.core.errors import ConfigError
from segtrain.models.network import OwnNetwork
from segtrain.models.registry import build_model, find_model
from segtrain.models.residual_unet import ResidualUNet
from segtrain.models.settings import ModelSettings
from segtrain.models.unet import UNet
from tests.models import networks


def built(folder, **settings):
    return build_model(networks.plan(), ModelSettings(**settings), outputs=2, seed=0, folder=folder)


@pytest.mark.parametrize(("name", "kind"), [("unet", UNet), ("residual_unet", ResidualUNet)])
def test_a_shipped_network_is_found_by_its_name(tmp_path, name, kind):
    assert type(built(tmp_path, name=name)) is kind


def test_a_misspelt_name_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match=r"no model is called 'unett'[\s\S]*did you mean 'unet'"):
        built(tmp_path, name="unett")


def test_a_network_of_ones_own_gets_its_options(tmp_path):
    networks.write_own(tmp_path)
    model = built(tmp_path, name="mine.py:Net", kernel=5)
    assert isinstance(model, OwnNetwork)
    assert model.network.body.kernel_size == (5, 5, 5)


def test_every_wrong_option_of_a_network_of_ones_own_is_named_before_it_is_built(tmp_path):
    networks.write_own(tmp_path)
    with pytest.raises(ConfigError) as error:
        find_model(ModelSettings(name="mine.py:Net", kernel="wide", growth=2), tmp_path)
    assert [problem.what.partition(":")[0] for problem in error.value.problems] == ["kernel", "growth"]


def test_a_function_will_do_and_its_options_without_default_are_asked_for(tmp_path):
    networks.write_own(tmp_path)
    assert isinstance(built(tmp_path, name="mine.py:make", depth=1), OwnNetwork)
    with pytest.raises(ConfigError, match="depth"):
        built(tmp_path, name="mine.py:make")
