"""What every registered network keeps."""

from __future__ import annotations

import pytest
import torch

from segtrain.models.registry import MODELS, build_model
from segtrain.models.settings import SHIPPED, ModelSettings
from tests.models import networks


def network(name, dims=3, outputs=3, seed=0, **options):
    plan = networks.plan(dims, ("c0", "c1"))
    return build_model(plan, ModelSettings(name=name, dims=dims, **options), outputs=outputs, seed=seed)


def test_the_settings_know_all_that_are_shipped():
    assert tuple(MODELS.names()) == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("dims", [2, 3])
def test_it_answers_at_each_level_while_training_and_finest_alone_otherwise(name, dims):
    model = network(name, dims)
    size = (16, 12, 8)[:dims]
    image = torch.randn(2, 2, *size)
    assert [tuple(level.shape) for level in model(image)] == [(2, 3, *size), (2, 3, *(n // 2 for n in size))]
    assert model.levels == 2
    assert [tuple(level.shape) for level in model.eval()(image)] == [(2, 3, *size)]
    assert network(name, dims, deep_supervision=False).levels == 1


@pytest.mark.parametrize("name", SHIPPED)
def test_weights_follow_from_the_seed_and_do_not_depend_on_the_outputs(name):
    one, again, other, more = (
        network(name, outputs=n, seed=s).state_dict() for n, s in ((3, 0), (3, 0), (3, 1), (4, 0))
    )
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)
    answering = set(network(name).output_weights)
    assert {
        key for key in one if one[key].shape != more[key].shape or not torch.equal(one[key], more[key])
    } == answering


@pytest.mark.parametrize("name", SHIPPED)
def test_every_weight_of_the_image_and_of_the_answer_is_named(name):
    model = network(name)
    own = model.state_dict()
    assert model.input_weights
    assert all(own[key].shape[1] == 2 for key in model.input_weights)
    assert model.output_weights
    assert all(own[key].shape[0] == 3 for key in model.output_weights)


@pytest.mark.parametrize("name", SHIPPED)
def test_both_memory_layouts_have_the_same_value(name):
    model, image = network(name), torch.randn(2, 2, 16, 12, 8)
    expected = model(image)[0]
    last = torch.channels_last_3d
    assert torch.allclose(model.to(memory_format=last)(image.to(memory_format=last))[0], expected, atol=1e-5)


@pytest.mark.parametrize("name", SHIPPED)
def test_an_image_that_the_strides_do_not_divide_is_refused(name):
    with pytest.raises(ValueError, match="multiples of"):
        network(name)(torch.randn(1, 2, 15, 12, 8))
