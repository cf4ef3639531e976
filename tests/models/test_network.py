"""A network of the user's own is tried on a patch of the plan, and draws its weights by the seed."""

from __future__ import annotations

import pytest
import torch

from segtrain.core.errors import ConfigError
from segtrain.models.network import OwnNetwork
from segtrain.models.registry import build_model
from segtrain.models.settings import ModelSettings
from tests.models import networks


@pytest.fixture
def own(tmp_path):
    """Name -> a network of `mine.py`."""
    networks.write_own(tmp_path)

    def build(name: str, seed: int = 0) -> OwnNetwork:
        settings = ModelSettings(name=f"mine.py:{name}")
        return build_model(networks.plan(), settings, outputs=3, seed=seed, folder=tmp_path)

    return build


def test_one_tensor_is_the_finest_level(own):
    model, image = own("Net"), torch.randn(2, 1, 16, 12, 8)
    assert model.levels == 1
    assert [tuple(level.shape) for level in model(image)] == [(2, 3, 16, 12, 8)]


def test_several_tensors_are_levels_while_training(own):
    model, image = own("Deep"), torch.randn(2, 1, 16, 12, 8)
    assert model.levels == 2
    assert [level.shape[2:] for level in model(image)] == [(16, 12, 8), (8, 6, 4)]
    assert len(model.eval()(image)) == 1


def test_trying_it_leaves_no_trace_in_it(own):
    model = own("Net")
    assert int(model.network.norm.num_batches_tracked) == 0
    assert model.training


def test_its_weights_follow_from_the_seed_alone(own):
    one = own("Net").state_dict()
    torch.manual_seed(99)
    state = torch.random.get_rng_state()
    again, other = own("Net").state_dict(), own("Net", seed=1).state_dict()
    assert torch.equal(torch.random.get_rng_state(), state), "the state of the process is as it was"
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert not torch.equal(one["network.body.weight"], other["network.body.weight"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Wrong", r"answers with \(2, 1, 16, 12, 8\) at level 0, not \(2, 3, 16, 12, 8\)"),
        ("Silent", r"cannot read a patch[\s\S]*answers with NoneType"),
        ("Failing", r"cannot read a patch[\s\S]*RuntimeError: no table"),
        ("no_module", "is not a torch.nn.Module"),
    ],
)
def test_what_is_no_network_is_refused_with_the_reason(own, name, words):
    with pytest.raises(ConfigError, match=words):
        own(name)
