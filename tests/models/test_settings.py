"""What may be said about the network; sizes that no network can have are refused where they are written."""

import pytest
from pydantic import ValidationError

from segtrain.models.settings import ModelSettings


def test_what_is_left_out_is_left_to_the_plan():
    settings = ModelSettings()
    assert (settings.widths, settings.convolutions, settings.spacing_mm, settings.patch_size) == (None,) * 4


def test_lists_of_a_yaml_become_tuples():
    settings = ModelSettings.model_validate({"widths": [8, 16], "patch_size": [16, 16, 8], "spacing_mm": [1, "2.5", 3]})
    assert (settings.widths, settings.patch_size, settings.spacing_mm) == ((8, 16), (16, 16, 8), (1, 2.5, 3))


@pytest.mark.parametrize(
    "options",
    [
        {"name": "vnet"},
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
