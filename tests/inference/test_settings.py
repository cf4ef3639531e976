import pytest
from pydantic import ValidationError

from segtrain.inference.settings import InferenceSettings


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("overlap", 1),
        ("overlap", -0.1),
        ("batch_size", 0),
        ("mirroring", True),
        ("mirror_axes", [3]),
        ("memory_mib", 0),
        ("postprocess", {"min_volume_mm3": {"liver": -1}}),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_key(key, value):
    with pytest.raises(ValidationError, match=key):
        InferenceSettings(**{key: value})


@pytest.mark.parametrize("overlap", [0, 0.5, 0.99])
def test_every_other_overlap_is_possible(overlap):
    assert InferenceSettings(overlap=overlap).overlap == overlap


def test_every_label_of_the_post_processing_is_told():
    found = InferenceSettings(postprocess={"keep_largest": ["liver"], "min_volume_mm3": {"cyst": 5}}).postprocess
    assert found.names == ("liver", "cyst")
