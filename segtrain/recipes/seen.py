"""Cases that are scored by a network which they trained: their scores are too good, and a reader must know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from segtrain.core.errors import SegtrainError
from segtrain.data.splits import Splits

SHOWN = 3


def seen_in_training(splits: Iterable[Path], cases: Sequence[str], network: str) -> Iterator[str]:
    """A sentence where some of `cases` have the name of one that trained; a run without a readable split tells nothing.

    `splits` are the files of the runs behind `network`.
    """
    seen = sorted(_trained_by(splits) & set(cases))
    if seen:
        names = f"{', '.join(seen[:SHOWN])}{' ...' if len(seen) > SHOWN else ''}"
        yield (
            f"{len(seen)} of {len(cases)} cases have the name of one that trained {network} ({names}): if they are the "
            "same scans, their scores are too good"
        )


def _trained_by(splits: Iterable[Path]) -> set[str]:
    try:
        return {case for path in splits if path.is_file() for fold in Splits.read(path).folds for case in fold.train}
    except SegtrainError:
        return set()
