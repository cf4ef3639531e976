from segtrain.losses.asked import NOTHING, Asked, all_of
from segtrain.losses.entropy import PLAIN, FocalEntropy


def test_what_two_parts_ask_for_is_made_once():
    first = Asked((PLAIN,), powers=(2.0,))
    second = Asked((FocalEntropy(2.0), PLAIN), overlap=True, powers=(1.5, 2.0))
    assert first | second == Asked((PLAIN, FocalEntropy(2.0)), True, (2.0, 1.5))
    assert all_of([first, second, first]) == first | second


def test_nothing_adds_nothing():
    assert Asked() == NOTHING == all_of([])
    assert Asked((PLAIN,)) | NOTHING == Asked((PLAIN,))
