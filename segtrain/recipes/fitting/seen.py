"""Cases that are scored by a network which they trained: their scores are too good, and a reader must know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from segtrain.core.case import Case
from segtrain.core.errors import SegtrainError
from segtrain.core.task import Task
from segtrain.data.sources import source_hash
from segtrain.data.splits import Splits
from segtrain.data.store import prepared_key
from segtrain.recipes.fitting.decide import read_plan
from segtrain.recipes.run_folder import RunFolder, read_record

SHOWN = 3


def tell_seen(runs: Sequence[RunFolder], cases: Sequence[Case], task: Task) -> Iterator[str]:
    """Sentences where scans with their masks took part in the training of these runs, or others have such a name."""
    copies = copies_of_training(runs, cases, task)
    if copies:
        shown = [case if case == known else f"{case}, which is {known}" for case, known in sorted(copies.items())]
        names = f"{'; '.join(shown[:SHOWN])}{' ...' if len(shown) > SHOWN else ''}"
        yield f"{len(copies)} of {len(cases)} cases trained this run ({names}): their scores are too good"
    others = [case.id for case in cases if case.id not in copies]
    yield from seen_in_training([run.splits for run in runs], others, "this run")


def copies_of_training(runs: Iterable[RunFolder], cases: Sequence[Case], task: Task) -> dict[str, str]:
    """Case -> the training case of a run whose files are the same, byte for byte, under whatever name.

    A run whose records cannot be read tells nothing.
    """
    found: dict[str, str] = {}
    sources: dict[str, str] = {}
    for case in cases:
        with suppress(SegtrainError):  # a scan that cannot be read fails later, by its name
            sources[case.id] = source_hash(case)
    for run in runs:
        with suppress(SegtrainError, OSError):
            plan, data = read_plan(run.plan), read_record(run.record).get("data", {})
            known = {data[name]: name for fold in Splits.read(run.splits).folds for name in fold.train if name in data}
            keys = {case: prepared_key(case, source, plan, task) for case, source in sources.items()}
            found |= {case: known[key] for case, key in keys.items() if key in known}
    return found


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
