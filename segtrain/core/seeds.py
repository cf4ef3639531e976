"""Randomness that is addressed, not consumed.

`generator(seed, "patch", 17)` always gives the same stream, whatever was drawn before it. A resumed run,
another loss of a sweep and another number of workers therefore see the same patches and the same weights,
and no generator state has to be saved.
"""

from __future__ import annotations

import hashlib

import numpy as np


def key_of(seed: int, *address: str | int) -> int:
    """A 128-bit key for one place in the tree of random streams."""
    text = "\x1f".join([str(seed), *map(str, address)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def generator(seed: int, *address: str | int) -> np.random.Generator:
    """An independent counter-based generator (Philox 4x64, Salmon et al. 2011) for one address."""
    return np.random.Generator(np.random.Philox(key=key_of(seed, *address)))
