"""`segtrain init`: a folder of scans in, a commented config out. Asks nothing, and says what it guessed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from segtrain.config.load import Loaded, from_python
from segtrain.config.schema import FitConfig
from segtrain.core.case import Case
from segtrain.core.errors import ConfigError, DataError, Problem
from segtrain.core.files import write_text
from segtrain.core.task import Task
from segtrain.data.case_table import write_table
from segtrain.data.cases import sound_cases
from segtrain.data.naming import patient_pattern
from segtrain.data.read import read_volume
from segtrain.data.recognise import recognise
from segtrain.data.recognised import Recognised
from segtrain.data.settings import DataSettings
from segtrain.recipes.init_labels import MaskIds, guess_task, ids_in_masks
from segtrain.recipes.init_text import config_text, from_folder

SHOWN_FAULTS = 3


@dataclass(frozen=True)
class Guess:
    """A data set, as far as looking at it tells."""

    recognised: Recognised
    values: Mapping[str, Any]
    """Keys of `data`, with absolute paths; without `table` where that has to be written."""
    task: Task
    cases: tuple[Case, ...]
    ids: MaskIds
    guesses: tuple[str, ...]
    """What a person should look at, a sentence each."""

    @property
    def patients(self) -> int:
        """How many there are."""
        return len({case.patient for case in self.cases})


def guess(place: Path) -> Guess:
    """Recognise what lies at a place and read some of its masks. DataError where nothing usable is there."""
    place = place.expanduser().resolve()
    recognised = recognise(place)
    with _settings(recognised) as settings:
        scans = sound_cases(settings)
        cases, values, said = scans.cases, dict(recognised.values), list(recognised.guesses)
        if pattern := _patients_in_names(cases):
            values["patient_from"] = pattern
            cases = sound_cases(settings.model_copy(update={"patient_from": pattern})).cases
            visit = next(case.id for case in cases if case.id != case.patient)
            said.append(f"ids such as {visit} end in a visit: what is before it is taken as the patient")
    if channels := _volumes_of_one_file(cases, values):
        values["channels"] = channels
        said.append(f"a scan holds {len(channels)} volumes: taken as channels, whose names you may change")
    ids = ids_in_masks(cases)
    task = guess_task(ids, recognised.declared, recognised.named_in)
    faults = [problem for _, problem in scans.faults] + list(ids.unread)
    if faults:
        shown = "; ".join(problem.what for problem in faults[:SHOWN_FAULTS])
        more = " ..." if len(faults) > SHOWN_FAULTS else ""
        said.append(f"{len(faults)} faults, which `segtrain check` lists: {shown}{more}")
    return Guess(recognised, values, task.task, cases, ids, (*said, *task.sentences))


def write_config(place: Path, out: Path, *, overwrite: bool) -> dict[str, Any]:
    """Write the config of a data set, and beside it a table of its cases where no layout describes them.

    ConfigError where one of these files is there already, unless `overwrite`; DataError as in `guess`.
    """
    _require_free(out, overwrite=overwrite)
    found = guess(place)
    values, folder = dict(found.values), out.expanduser().resolve().parent
    table = None
    if found.recognised.rows:
        table = folder / f"{out.stem}_cases.csv"
        _require_free(table, overwrite=overwrite)
        write_table(table, found.recognised.rows)
        values = {"table": table, **{key: value for key, value in values.items() if key != "layout"}}
    write_text(out.expanduser(), _text(found, values, place, out))
    return {"config": str(out), **({"table": str(table)} if table else {}), **facts(found)}


def facts(found: Guess) -> dict[str, Any]:
    """What was found, in plain values."""
    channels = found.values["channels"]
    return {
        "recognised": found.recognised.words,
        "cases": len(found.cases),
        "patients": found.patients,
        "channels": list(channels),
        "labels": dict(found.task.labels),
        **({"regions": {name: list(of) for name, of in found.task.regions.items()}} if found.task.regions else {}),
        **({} if found.task.ignore is None else {"ignore": found.task.ignore}),
        "masks_read": found.ids.read,
        "masks": found.ids.total,
        "masks_with_label": {str(label): count for label, count in found.ids.masks.items()},
        "guesses": list(found.guesses),
    }


@contextmanager
def as_config(found: Guess) -> Iterator[Loaded]:
    """The config that `init` would write, without writing it; a table that it needs is gone afterwards."""
    with _settings(found.recognised, found.values) as settings:
        yield from_python(FitConfig(data=settings, task=found.task))


@contextmanager
def _settings(recognised: Recognised, values: Mapping[str, Any] | None = None) -> Iterator[DataSettings]:
    """The settings of a data set; where a table has to describe it, with one that is deleted afterwards."""
    values = recognised.values if values is None else values
    if not recognised.rows:
        yield DataSettings.model_validate(values)
        return
    with TemporaryDirectory(prefix="segtrain-") as folder:
        table = Path(folder).resolve() / "cases.csv"
        write_table(table, recognised.rows)
        yield DataSettings.model_validate({**values, "table": table})


def _volumes_of_one_file(cases: Sequence[Case], values: Mapping[str, Any]) -> list[str]:
    """Names for the volumes of a 4D scan, where one name stands for a file of each case; else none."""
    channels = values["channels"]
    if isinstance(channels, Mapping) or len(channels) != 1 or len(cases[0].images) != 1:
        return []
    try:
        count = len(read_volume(cases[0].images).array)
    except DataError:  # `check` names it
        return []
    return [f"channel_{number}" for number in range(count)] if count > 1 else []


def _patients_in_names(cases: Sequence[Case]) -> str | None:
    """A regular expression for the patients, where nothing but the ids may tell them."""
    if any(case.patient != case.id for case in cases):
        return None
    return patient_pattern([case.id for case in cases])


def _text(found: Guess, values: Mapping[str, Any], place: Path, out: Path) -> str:
    folder = out.expanduser().resolve().parent
    data = {key: from_folder(value, folder) if isinstance(value, Path) else value for key, value in values.items()}
    ids = found.ids
    shown = "all" if ids.read == ids.total else f"{ids.read} of"
    heading = [
        f"What `segtrain init` found in {place.resolve().name}: {found.recognised.words}.",
        f"{len(found.cases)} cases of {found.patients} patients; labels from {shown} {ids.total} masks. Look at this:",
        *(f"- {sentence}" for sentence in found.guesses),
        f"Then: segtrain check --config {out.name}",
    ]
    notes = {"task": "name: id in the masks"}
    return config_text(heading, data, found.task, notes)


def _require_free(path: Path, *, overwrite: bool) -> None:
    if path.expanduser().exists() and not overwrite:
        hint = "--overwrite replaces it, -o OTHER.yaml leaves it"
        raise ConfigError(Problem(f"{path} is there already", hint=hint))
