"""One case, two cases."""

from __future__ import annotations

import pytest

from segtrain.core.words import count


@pytest.mark.parametrize(("n", "said"), [(0, "0 cases"), (1, "1 case"), (2, "2 cases")])
def test_one_is_no_plural(n, said):
    assert count(n, "case") == said


def test_a_plural_of_its_own():
    assert [count(n, "loss", "losses") for n in (1, 3)] == ["1 loss", "3 losses"]
