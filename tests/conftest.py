"""The collector of cycles is kept off what lives as long as the run: 20,000 tests, and torch. A look at all costs a
second, and without this a tenth of the run would be spent on looks.
"""

from __future__ import annotations

import gc

RARELY = (20_000, 20, 20)
"""Python's own is (700, 10, 10); what tests leave behind is small."""


def pytest_collection():
    """Nothing that is collected is garbage."""
    gc.disable()


def pytest_collection_finish():
    """What there is now stays; what tests make is looked at, but not as often."""
    gc.freeze()
    gc.set_threshold(*RARELY)
    gc.enable()
