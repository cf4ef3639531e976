"""`segtrain check --sheet`: every case with its mask on one sheet, with what is wrong with it."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from segtrain.config.load import Loaded
from segtrain.core.case import Case
from segtrain.core.errors import DataError, Problem
from segtrain.core.events import CaseRead, Event, Note
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap, Volume
from segtrain.core.words import count
from segtrain.data.cases import Scans
from segtrain.execution.workers import Died, each
from segtrain.recipes.dataset import processes_for
from segtrain.recipes.one_case import read_case
from segtrain.recipes.scoring.predict_cases import volumes_ml
from segtrain.reports.contact_sheet import ContactSheet, Tile, picture_of, require_sheet, write_contact_sheet

MOST_LABELS = 4
"""Labels whose volume stands under a picture; more are summed up."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """A case that is wanted on the sheet."""

    case: Case
    channels: tuple[str, ...]
    task: Task


def draw_contact_sheet(
    loaded: Loaded, scans: Scans, problems: Sequence[Problem], path: Path, name: str = ""
) -> Generator[Event, None, None]:
    """Read every case, and write the sheet as `path` ends: .png or .html. Faults stand with the cases they are about.

    A scan whose mask is not there or cannot be used is shown without it; only what cannot be read has no picture.
    `name` is what the data are called, without it as their config's folder. Raises ConfigError and ResourceError.
    """
    config = loaded.config
    cases = [*scans.cases, *(case for case in scans.unsound if case.images)]
    require_sheet(path, len({case.id for case in cases} | {case for case, _ in scans.faults if case}))
    jobs = [Drawing(case, config.data.channel_names, config.task) for case in cases]
    tiles: dict[str, Tile] = {}
    with closing(each(draw_tile, jobs, processes_for(cases, config.data.workers))) as outcomes:
        for outcome in outcomes:
            case = outcome.piece.case.id
            if isinstance(outcome, Died) and outcome.again:
                yield Note(f"case {case}: its process died ({outcome.why}); it is tried again when the rest is done")
                continue
            if isinstance(outcome, Died):
                tiles[case] = Tile(case, (), None, (f"its process died: {outcome.why}",))
            else:
                tiles[case] = outcome.result
            yield CaseRead(case, len(tiles), len(cases))
    tiles |= {case: Tile(case, (), None) for case, _ in scans.faults if case and case not in tiles}
    known = list(dict.fromkeys((*(problem for _, problem in scans.faults), *problems)))
    told = [_with_faults(tile, known) for _, tile in sorted(tiles.items())]
    faulty = sum(bool(tile.faults) for tile in told)
    facts = {
        "cases": str(len(told)),
        "patients": str(len({case.patient for case in cases})),
        "with a fault": str(faulty),
    }
    names = {name: config.task.labels[name] for name in config.task.names[1:]}
    write_contact_sheet(path, ContactSheet(f"All cases of {name or name_of(loaded)}", facts, names, told, known))


def name_of(loaded: Loaded) -> str:
    """What a person calls the data: the config, or its folder where it is called config.yaml as all are."""
    return loaded.folder.resolve().name if loaded.path.stem == "config" else loaded.path.stem


def draw_tile(job: Drawing) -> Tile:
    """One case, in this process or in one of several."""
    case, task = job.case, job.task
    found, faults = _readable(job)
    if found is None:
        return Tile(case.id, (), None, faults)
    image, labels = found
    ids = [task.labels[name] for name in task.names[1:]]
    words = (_size_words(image), *_label_words(labels, task))
    if case.patient != case.id:
        words = (*words, f"patient {case.patient}")
    return Tile(case.id, words, picture_of(image, labels, ids), faults)


def _readable(job: Drawing) -> tuple[tuple[Volume, LabelMap | None] | None, tuple[str, ...]]:
    """The scan with its mask, the scan alone where the mask cannot be used, or nothing; and what is wrong."""
    faults: tuple[str, ...] = ()
    for case in (job.case, replace(job.case, label=None)):
        try:
            image, labels, _ = read_case(case, job.channels, job.task)
        except DataError as error:
            faults = faults or tuple(problem.what for problem in error.problems)
        else:
            return (image, labels), faults
    return None, faults


def _size_words(image: Volume) -> str:
    shape = "×".join(map(str, image.grid.shape))
    spacing = "×".join(f"{side:.3g}" for side in image.grid.spacing_mm)
    return f"{shape} of {spacing} mm"


def _label_words(labels: LabelMap | None, task: Task) -> Iterable[str]:
    """The volume of each label, or of all together where there are many."""
    if labels is None:
        return
    volumes = volumes_ml(labels, task)
    if not any(volumes.values()):
        yield "nothing is drawn"
    elif len(volumes) <= MOST_LABELS:
        yield ", ".join(f"{name} {ml:.3g} ml" if ml else f"no {name}" for name, ml in volumes.items())
    else:
        there = sum(ml > 0 for ml in volumes.values())
        yield f"{there} of {count(len(volumes), 'label')}, {sum(volumes.values()):.3g} ml"


def _with_faults(tile: Tile, problems: Sequence[Problem]) -> Tile:
    """Those about this case, alone or as one of two, beside those that reading it found."""
    own = [problem.what for problem in problems if tile.case in problem.cases]
    return replace(tile, faults=tuple(dict.fromkeys((*tile.faults, *own))))
