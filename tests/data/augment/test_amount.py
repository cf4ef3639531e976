"""Short trainings change few patches, long ones all."""

import pytest

from segtrain.data.augment.amount import OFTEN, with_share
from segtrain.data.settings import AugmentSettings


def share(patches, scans, patch=(10, 10, 10), **settings):
    return with_share(AugmentSettings(**settings), patches, patch, scans).share


def test_it_grows_with_how_often_a_scan_is_seen_and_ends_at_all():
    assert share(10, [1000]) == pytest.approx(10 / OFTEN)
    assert share(30, [1000] * 3) == pytest.approx(10 / OFTEN)
    assert share(10 * OFTEN, [1000]) == 1


def test_a_patch_that_shows_a_tenth_of_a_scan_counts_as_a_tenth_and_padding_for_nothing():
    assert share(10, [10_000]) == pytest.approx(1 / OFTEN)
    assert share(10, [100]) == pytest.approx(10 / OFTEN)
    assert share(20, [10_000, 100]) == pytest.approx(5.5 / OFTEN)


@pytest.mark.parametrize("fixed", [0.0, 0.4, 1.0])
def test_what_is_set_stays(fixed):
    assert share(10, [1000], share=fixed) == fixed
