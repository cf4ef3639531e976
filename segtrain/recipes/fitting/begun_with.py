"""What a run was begun with: config, fold, code of one's own; written down at first, compared when it goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from segtrain.config.code import code_in
from segtrain.config.dump import flat, read_back, to_yaml
from segtrain.config.load import Loaded
from segtrain.core.errors import ConfigError, Problem
from segtrain.core.files import write_text
from segtrain.core.registry import code_hash
from segtrain.recipes.run_folder import RunFolder, read_record, reading, write_record

WATCHED = ("training.watch", "training.mlflow_uri", "training.mlflow_experiment")
BESIDE_A_SWEEP = (*WATCHED, "data.store", "data.workers", "task.codes")
"""Keys of a config, with all that is below them, that a sweep may go on without, or with others."""
BESIDE_A_FIT = (*BESIDE_A_SWEEP, "compare")
"""The same of a fit, which reads nothing of a sweep."""
SHOWN_CHANGES = 5
"""Keys that differ, of those that are named."""


def keep_config(folder: RunFolder, loaded: Loaded, beside: tuple[str, ...]) -> None:
    """Write the resolved config down. ConfigError where a resumed run was begun with another one.

    What is `beside` it may change.
    """
    if folder.config.is_file():
        changed = list(_changes(_values(_kept(folder), beside), _values(loaded, beside)))
        if changed:
            more = f", and {len(changed) - SHOWN_CHANGES} more" if len(changed) > SHOWN_CHANGES else ""
            why = f"{'; '.join(changed[:SHOWN_CHANGES])}{more}"
            hint = "resume with the config in the run folder, or start another run (model.init_from takes its weights)"
            what = "the config is not the one this run began with"
            raise ConfigError(Problem(what, str(folder.config), why, hint))
    write_text(folder.config, to_yaml(loaded))


def keep_fold(folder: RunFolder, fold: int | None) -> None:
    """Write down which fold is held out. ConfigError where a resumed run was begun with another one."""
    known = read_record(folder.record) if folder.record.is_file() else {}
    if known.get("fold", fold) != fold:
        begun = "without --fold" if known["fold"] is None else f"with --fold {known['fold']}"
        hint = "resume with the same fold, or start another run with --run NAME"
        raise ConfigError(Problem(f"this run began with another fold: {begun}", str(folder.path), hint=hint))
    write_record(folder, {"fold": fold})


def keep_code(folder: RunFolder, loaded: Loaded, groups: tuple[str, ...]) -> tuple[str, ...]:
    """Write down the hash of each file of the user's own that groups of the config name; null for a package.

    Returns the names. ConfigError where a resumed run was begun with other code.
    """
    found = {name: code_hash(name, loaded.folder) for name in code_in(loaded.config, groups).values()}
    with reading(folder.record):
        known = dict(read_record(folder.record).get("code", {})) if folder.record.is_file() else {}
    changed = [name for name, value in found.items() if known.get(name, value) != value]
    if changed:
        what = f"the code is not the one this run began with: {', '.join(changed)}"
        hint = "bring the file back as it was, --overwrite starts anew, --run NAME starts another run"
        raise ConfigError(Problem(what, str(folder.path), hint=hint))
    write_record(folder, {"code": found})
    return tuple(found)


def _kept(folder: RunFolder) -> Loaded:
    """The config that a run began with. ConfigError where it cannot be read."""
    try:
        return read_back(folder.config)
    except ConfigError as error:
        why = "; ".join(f"{problem.where}: {problem.what}" for problem in error.problems[:SHOWN_CHANGES])
        hint = "bring config.yaml back as it was, or start another run with --run NAME"
        raise ConfigError(
            Problem("the config that this run began with cannot be read", str(folder.config), why, hint)
        ) from error


def _values(loaded: Loaded, beside: tuple[str, ...]) -> dict[str, Any]:
    """What decides how a run goes, by key: not who watches it, where cases are prepared, how others call its labels."""
    below = tuple(f"{key}." for key in beside)
    return {key: value for key, value, _ in flat(loaded) if key not in beside and not key.startswith(below)}


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What differs, in words; where it is the order alone, as that of regions, that."""
    for key in dict.fromkeys((*before, *now)):
        old, new = (repr(side[key]) if key in side else "not there" for side in (before, now))
        if old != new:
            yield f"{key} was {old}, is {new}"
    if before == now and list(before) != list(now):
        yield "its keys stand in another order"
