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
from segtrain.core.files import real_path, write_text
from segtrain.core.task import Task
from segtrain.core.volume import Volume
from segtrain.core.words import count
from segtrain.data.cases import sound_cases
from segtrain.data.layouts.case_table import write_table
from segtrain.data.layouts.naming import patient_pattern
from segtrain.data.read import read_volume
from segtrain.data.recognise.place import recognise
from segtrain.data.recognise.recognised import Recognised
from segtrain.data.settings import DataSettings
from segtrain.data.splits import split_share
from segtrain.models.settings import ModelSettings
from segtrain.recipes.guess.flat import flat_scans
from segtrain.recipes.guess.labels import guess_task
from segtrain.recipes.guess.masks import MaskIds, ids_in_masks
from segtrain.recipes.guess.text import config_text, from_folder
from segtrain.training.settings import TrainingSettings

SHOWN_FAULTS = 3
FEW_PATIENTS = 4
"""So many or fewer are told how they are divided."""


@dataclass(frozen=True)
class Guess:
    """A data set, as far as looking at it tells."""

    recognised: Recognised
    values: Mapping[str, Any]
    """Keys of `data`, with absolute paths; without `table` where that has to be written."""
    task: Task
    model: Mapping[str, Any]
    """Keys of `model` that the scans ask for."""
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
    place = real_path(place)
    recognised = recognise(place)
    with _settings(recognised) as settings:
        scans = sound_cases(settings)
        cases, values, said = scans.cases, dict(recognised.values), list(recognised.guesses)
        if pattern := _patients_in_names(cases):
            values["patient_from"] = pattern
            cases = sound_cases(settings.model_copy(update={"patient_from": pattern})).cases
            visit = next(case.id for case in cases if case.id != case.patient)
            said.append(f"ids such as {visit} end in a visit: what is before it is taken as the patient")
    first = _first_scan(cases)
    if first and (channels := _volumes_of_one_file(first, cases, values)):
        values["channels"] = channels
        said.append(f"a scan holds {len(channels)} volumes: taken as channels, whose names you may change")
    flat = flat_scans(cases)
    model = {"dims": 2} if flat.all_are else {}
    said += flat.said()
    said += _few_patients(cases)
    ids = ids_in_masks(cases)
    task = guess_task(ids, recognised.declared, recognised.named_in)
    faults = [problem for _, problem in scans.faults] + list(ids.unread)
    if faults:
        shown = "; ".join(problem.what for problem in faults[:SHOWN_FAULTS])
        more = " ..." if len(faults) > SHOWN_FAULTS else ""
        said.append(f"{count(len(faults), 'fault')}, which `segtrain check` lists: {shown}{more}")
    return Guess(recognised, values, task.task, model, cases, ids, (*said, *task.sentences))


def write_config(place: Path, out: Path, *, overwrite: bool) -> dict[str, Any]:
    """Write the config of a data set, and beside it a table of its cases where no layout describes them.

    ConfigError where one of these files is there already, unless `overwrite`; DataError as in `guess`, and for cases of
    one patient, which no config can train.
    """
    _require_free(out, overwrite=overwrite)
    found = guess(place)
    _require_patients(found, place)
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
        **({"overlap": found.task.overlap} if "overlap" in found.task.model_fields_set else {}),
        **({"model": dict(found.model)} if found.model else {}),
        "masks_read": found.ids.read,
        "masks": found.ids.total,
        "masks_with_label": {str(label): masks for label, masks in found.ids.masks.items()},
        "guesses": list(found.guesses),
    }


@contextmanager
def as_config(found: Guess) -> Iterator[Loaded]:
    """The config that `init` would write, without writing it; a table that it needs is gone afterwards."""
    with _settings(found.recognised, found.values) as settings:
        yield from_python(FitConfig(data=settings, task=found.task, model=ModelSettings.model_validate(found.model)))


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


def _first_scan(cases: Sequence[Case]) -> Volume | None:
    """None where it cannot be read, which `check` tells."""
    try:
        return read_volume(cases[0].images)
    except DataError:
        return None


def _volumes_of_one_file(first: Volume, cases: Sequence[Case], values: Mapping[str, Any]) -> list[str]:
    """Names for the volumes of a 4D scan, where one name stands for a file of each case; else none."""
    channels = values["channels"]
    if isinstance(channels, Mapping) or len(channels) != 1 or len(cases[0].images) != 1 or len(first.array) == 1:
        return []
    return [f"channel_{number}" for number in range(len(first.array))]


def _few_patients(cases: Sequence[Case]) -> list[str]:
    """Who trains and who judges, where there are few patients."""
    patients = len({case.patient for case in cases})
    if not 1 < patients <= FEW_PATIENTS:
        return []
    training = TrainingSettings()
    (fold,) = split_share(cases, training.validation_share, training.seed).folds
    trained = f"{len(fold.train)} of {count(len(cases), 'case')}"
    held_out = f"is judged by {len(fold.validation)}"
    held_out += " (another training.seed draws anew)" if len(fold.train) < len(fold.validation) else ""
    each = f"`fit --fold all training.folds={patients}` holds out each patient once"
    return [f"{count(patients, 'patient')} only: `fit` trains on {trained} and {held_out}; {each}"]


def _require_patients(found: Guess, place: Path) -> None:
    if found.patients > 1:
        return
    why = f"{count(len(found.cases), 'case')} of one patient: whom a network was trained on cannot judge it"
    hint = "add scans of another patient"
    if len(found.cases) > 1:
        hint += "; if these are of several, a table with a column patient says so, or data.patient_from in a config"
    raise DataError(Problem("too few patients to train on", str(place), why, hint))


def _patients_in_names(cases: Sequence[Case]) -> str | None:
    """A regular expression for the patients, where nothing but the ids may tell them."""
    if any(case.patient != case.id for case in cases):
        return None
    return patient_pattern([case.id for case in cases])


def _text(found: Guess, values: Mapping[str, Any], place: Path, out: Path) -> str:
    folder = out.expanduser().resolve().parent
    data = {key: from_folder(value, folder) if isinstance(value, Path) else value for key, value in values.items()}
    ids = found.ids
    masks = count(ids.total, "mask") if ids.read == ids.total else f"{ids.read} of {ids.total} masks"
    heading = [
        f"What `segtrain init` found in {place.resolve().name}: {found.recognised.words}.",
        f"{count(len(found.cases), 'case')} of {count(found.patients, 'patient')}; labels from {masks}. Look at this:",
        *(f"- {sentence}" for sentence in found.guesses),
        f"Then: segtrain check --config {out.name}",
    ]
    folds = min(found.patients, TrainingSettings().folds)
    return config_text(heading, data, found.task, model=found.model, folds=folds)


def _require_free(path: Path, *, overwrite: bool) -> None:
    if path.expanduser().exists() and not overwrite:
        hint = "--overwrite replaces it, -o OTHER.yaml leaves it"
        raise ConfigError(Problem(f"{path} is there already", hint=hint))
