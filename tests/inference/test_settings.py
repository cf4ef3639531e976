import pytest
from pydantic import ValidationError

from segtrain.inference.settings import InferenceSettings


@pytest.mark.parametrize(("key", "value"), [("overlap", 1), ("overlap", -0.1), ("batch_size", 0), ("mirroring", True)])
def test_a_window_that_cannot_slide_is_refused_by_its_key(key, value):
    with pytest.raises(ValidationError, match=key):
        InferenceSettings(**{key: value})


@pytest.mark.parametrize("overlap", [0, 0.5, 0.99])
def test_every_other_overlap_is_possible(overlap):
    assert InferenceSettings(overlap=overlap).overlap == overlap
