"""What is decided from the data before anything is trained: who trains and who judges, then the plan.

**The split comes first.** All cases are read and checked in one pass, and the training cases alone make the plan: the
bounds, means and sizes in it have not seen a case that judges. Each decision is a file, read where it was made before.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import torch

from segtrain.config.load import Loaded
from segtrain.core.case import Case
from segtrain.core.errors import ConfigError, DataError, Problem, raise_all
from segtrain.core.events import Event
from segtrain.core.files import write_json
from segtrain.core.plan import Plan
from segtrain.core.words import count
from segtrain.data.leaks import leaks_in
from segtrain.data.plan.fingerprint import CaseFingerprint, fingerprint
from segtrain.data.plan.planning import make_plan
from segtrain.data.splits import Fold, Splits, check_covers, split_folds, split_share
from segtrain.recipes.assemble import device_class
from segtrain.recipes.dataset import fingerprint_all, prepare_all
from segtrain.recipes.fitting.init_from import wishes_from
from segtrain.recipes.run_folder import RunFolder, read_record, reading
from segtrain.training.memory import size_bytes


def draw_split(loaded: Loaded, cases: Sequence[Case], fold: int | None, given: Splits | None = None) -> Splits:
    """The one division of a fit: a share held out, or a fold of the cross-validation (of `given`, in a sweep).

    Raises DataError for too few patients, ConfigError for a fold that is not there.
    """
    settings = loaded.config.training
    if fold is None:
        return split_share(cases, settings.validation_share, settings.seed)
    every = given or split_folds(cases, settings.folds, settings.seed)
    if not 0 <= fold < len(every.folds):
        hint = "folds count from 0; training.folds sets their number"
        raise ConfigError(Problem(f"there is no fold {fold} of {len(every.folds)}", "--fold", hint=hint))
    return Splits((every.folds[fold],), every.seed)


def keep_splits(path: Path, cases: Sequence[Case], drawn: Splits) -> Splits:
    """What was divided before, read from its file, or else `drawn`, written down.

    DataError where the file is not about these cases, or has another number of folds.
    """
    if not path.is_file():
        drawn.write(path)
        return drawn
    splits = Splits.read(path)
    check_covers(splits, cases)
    if len(splits.folds) != len(drawn.folds):
        why = f"it has {count(len(splits.folds), 'fold')}, not {len(drawn.folds)}"
        hint = "restore the file from a copy, or start a new run"
        raise DataError(Problem("a split is not the one of this run", str(path), why, hint))
    return splits


def decide_plans(
    loaded: Loaded,
    folds: Mapping[Path, Fold],
    cases: Sequence[Case],
    device: torch.device,
    store: Path | None = None,
) -> Generator[Event, None, list[Plan]]:
    """The plan of each fold, kept in its file; the facts of the cases in `store`, where one is given.

    Raises one DataError with the faults of all cases, or with every image that trains and judges.
    """
    config = loaded.config
    if not all(path.is_file() for path in folds):
        names, workers = config.data.channel_names, config.data.workers
        records = yield from fingerprint_all(cases, names, config.task, store=store, workers=workers)
        raise_all(DataError, leaks_in(folds.values(), records, cases))
        for path, fold in folds.items():
            if not path.is_file():
                write_json(path, plan_from(loaded, records, fold, device).model_dump(mode="json"))
    return [read_plan(path) for path in folds]


def store_of(loaded: Loaded, folder: RunFolder) -> Path:
    """Where what is made of the cases is kept: with the run, or where the config says, for other runs too."""
    return loaded.config.data.store or folder.store


def prepare_cases(
    loaded: Loaded, cases: Sequence[Case], plan: Plan, store: Path
) -> Generator[Event, None, dict[str, Path]]:
    """Case id -> its file, in the store now. Raises one DataError with the faults of all cases."""
    config = loaded.config
    return (yield from prepare_all(cases, plan, config.task, store, workers=config.data.workers))


def plan_from(loaded: Loaded, records: Mapping[str, CaseFingerprint], fold: Fold, device: torch.device) -> Plan:
    """The plan that follows from the training cases of a fold."""
    config = loaded.config
    data = fingerprint(config.data.channel_names, [records[case] for case in fold.train])
    return make_plan(data, config.data, wishes_from(config), device_class(device, size_bytes(device)))


def read_plan(path: Path) -> Plan:
    """A plan that was made before, or written by hand. DataError where it is none."""
    with reading(path):
        return Plan.model_validate(read_record(path))


def require_same_data(record: Path, data: Mapping[str, str]) -> None:
    """DataError where a scan or a mask is another one than when the run began; `data`: case -> hash."""
    with reading(record):
        known = dict(read_record(record).get("data", {}))
    changed = [case for case, found in data.items() if known.get(case, found) != found]
    if changed:
        what = "scans or masks are not the ones this run began with"
        hint = "bring them back as they were, or start another run with --run NAME"
        raise DataError(Problem(what, str(record.parent), f"cases {', '.join(changed)}", hint))
