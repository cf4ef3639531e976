"""Too little memory, as one error that says what was being done.

Allocators do not agree on what they raise: torch has an error of its own for CUDA (a RuntimeError), a plain
RuntimeError for the CPU and for MPS, NumPy and Python have MemoryError. Torch is told by its messages and not
imported, so that a module without torch can ask too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from segtrain.core.errors import OutOfMemory, Problem

SAID_BY_ALLOCATORS = ("out of memory", "not enough memory", "can't allocate memory", "alloc_failed")
"""CUDA and MPS; DefaultCPUAllocator, which says either of two things; cuBLAS and cuDNN."""


def is_memory_error(error: BaseException) -> bool:
    """Whether an allocation failed, by whatever an allocator raises then."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in said for words in SAID_BY_ALLOCATORS)
    )


@contextmanager
def memory_errors(doing: str, hint: str, *, where: str = "") -> Iterator[None]:
    """Translate a failed allocation into a OutOfMemory: out of memory `doing` something."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_memory_error(error):
            raise
        why = str(error).partition("\n")[0]
        raise OutOfMemory(Problem(f"out of memory {doing}", where, why, hint)) from error
