"""What may be said about the network; sizes that no network can have are refused where they are written."""

import pytest
from pydantic import ValidationError

from segtrain.models.settings import SHIPPED, ModelSettings


def test_what_is_left_out_is_left_to_the_plan():
    settings = ModelSettings()
    assert (settings.widths, settings.convolutions, settings.spacing_mm, settings.patch_size) == (None,) * 4


def test_lists_of_a_yaml_become_tuples():
    settings = ModelSettings.model_validate({"widths": [8, 16], "patch_size": [16, 16, 8], "spacing_mm": [1, "2.5", 3]})
    assert (settings.widths, settings.patch_size, settings.spacing_mm) == ((8, 16), (16, 16, 8), (1, 2.5, 3))


@pytest.mark.parametrize(
    "options",
    [
        {"name": 3},
        {"preset": "XL"},
        {"dims": 4},
        {"block": "dense"},
        {"widths": ()},
        {"widths": (8, 0)},
        {"widths": (8, 4097)},
        {"convolutions": (0,)},
        {"spacing_mm": (0, 1, 1)},
        {"spacing_mm": (-1, 1, 1)},
        {"spacing_mm": (float("inf"), 1, 1)},
        {"spacing_mm": (1, 1)},
        {"patch_size": (16, 16)},
        {"patch_size": (16, 16, 0)},
        {"patch_size": (16, 16, 1.5)},
    ],
)
def test_sizes_that_cannot_be_are_refused(options):
    (key,) = options
    with pytest.raises(ValidationError, match=key):
        ModelSettings(**options)


def test_a_name_alone_will_do():
    assert ModelSettings.model_validate("unet") == ModelSettings()


def test_a_residual_encoder_has_a_preset_of_medium_size_unless_another_is_wanted():
    assert [ModelSettings.model_validate(v).preset for v in ("unet", "residual_unet")] == [None, "M"]
    assert ModelSettings(name="residual_unet", preset="L").preset == "L"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"preset": "S"}, "preset belongs to name: residual_unet"),
        ({"name": "mine.py:Net", "preset": "S"}, "preset belongs to name: residual_unet"),
        ({"name": "residual_unet", "block": "residual"}, "block belongs to name: unet"),
    ],
)
def test_keys_of_another_network_are_refused(options, words):
    with pytest.raises(ValidationError, match=words):
        ModelSettings(**options)


@pytest.mark.parametrize("name", SHIPPED)
def test_unknown_keys_of_a_shipped_network_are_refused_all_at_once(name):
    with pytest.raises(ValidationError) as error:
        ModelSettings.model_validate({"name": name, "widhts": [4], "growth": 2})
    found = [(item["type"], item["loc"]) for item in error.value.errors()]
    assert found == [("extra_forbidden", ("widhts",)), ("extra_forbidden", ("growth",))]


def test_a_network_of_ones_own_has_its_options_beside_the_keys():
    settings = ModelSettings.model_validate({"name": "mine.py:Net", "growth": 2, "widths": [4]})
    assert (settings.options, settings.widths) == ({"growth": 2}, (4,))
    assert ModelSettings.model_validate(settings.model_dump(mode="json")) == settings
