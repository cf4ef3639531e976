"""What a 255, or an id that one mask alone holds, is taken for; nothing is taken without a word."""

from __future__ import annotations

import pytest

from segtrain.recipes.guess.masks import MaskIds
from segtrain.recipes.guess.odd_ids import odd_ids


def masks(counts, *, read=40, alone=None, first=None):
    return MaskIds(counts, read, read, alone=alone or {}, first=first or {})


@pytest.mark.parametrize("labels", [[1], [1, 2], [1, 2, 4]])
def test_255_beside_ids_that_count_from_1_is_ignored_and_its_case_is_named(labels):
    found = odd_ids(masks({0: 40, **dict.fromkeys(labels, 30), 255: 2}, first={255: "P7"}), {})
    assert (found.ignore, found.left_out) == (255, frozenset())
    assert found.sentences[0].startswith("255 occurs in 2 of 40 masks (case P7), beside other labels")


@pytest.mark.parametrize("labels", [[127], [85, 170], [-1], []])
def test_255_beside_grey_levels_or_alone_is_a_label(labels):
    found = odd_ids(masks({0: 40, **dict.fromkeys(labels, 30), 255: 30}), {})
    assert (found.ignore, found.left_out, found.sentences) == (None, frozenset(), ())


def test_255_that_has_a_name_is_a_label():
    assert odd_ids(masks({0: 40, 1: 40, 255: 1}), {255: "lesion"}).ignore is None


def test_a_mask_of_nothing_but_255_is_neither_ignored_nor_a_label():
    found = odd_ids(masks({0: 40, 1: 39, 255: 1}, alone={1: 39, 255: 1}, first={255: "P7"}), {})
    assert (found.ignore, found.left_out) == (None, {255})
    assert "the foreground (1 elsewhere) or voxels that nobody judged? Nothing was guessed" in found.sentences[0]
    swapped = odd_ids(masks({0: 40, 1: 1, 255: 39}, alone={1: 1, 255: 39}, first={1: "P3"}), {})
    assert swapped.left_out == {1}
    assert "1 occurs in 1 of 40 masks (case P3)" in swapped.sentences[0]
    several = odd_ids(masks({0: 40, 1: 39, 2: 39, 255: 1}, alone={255: 1}), {})
    assert "a label or voxels" in several.sentences[0]


def test_an_id_of_one_mask_among_many_is_told_and_stays_a_label():
    found = odd_ids(masks({0: 40, 1: 40, 3: 1}, first={3: "P9"}), {})
    assert found.sentences == ("in one of 40 masks only, a rare label or a mistake: 3 (case P9)",)
    assert odd_ids(masks({0: 4, 1: 4, 3: 1}, read=4), {}).sentences == ()
