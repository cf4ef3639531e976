"""`segtrain check --fix OUT`: the data set anew, in one plain layout; mended is what nobody can have an opinion on.

Nothing is written over: OUT gets a NIfTI file a scan and a mask (on the grid of the scan, in the smallest integers), a
table of the cases with their patients, a config, and `fixes.csv` with everything that was changed. What puts values
into a scan that nobody measured is done where it is asked for by name (`--repair`). A case that cannot be used as it is
and cannot be mended is left out, by name.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segtrain.config.dump import to_yaml
from segtrain.config.load import Loaded, derived
from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import ConfigError, DataError, Problem
from segtrain.core.events import CaseFailed, CasePrepared, Event, Note
from segtrain.core.files import disk_errors, write_text
from segtrain.core.task import Task
from segtrain.data.cases import sound_cases
from segtrain.data.files.nifti import write_nifti, write_nifti_image
from segtrain.data.layouts.case_table import write_table
from segtrain.data.layouts.listing import FoundCase
from segtrain.data.read_repaired import read_repaired
from segtrain.data.repair.repairs import NO_REPAIR, Repairs
from segtrain.data.repaired_masks import mask_of_repaired
from segtrain.data.settings import DataSettings
from segtrain.execution.workers import Died, each
from segtrain.recipes.dataset import processes_for
from segtrain.recipes.one_case import named, require_channels
from segtrain.reports.tables import write_csv

CONFIG, TABLE, FIXES = "config.yaml", "cases.csv", "fixes.csv"


@dataclass(frozen=True, eq=False)
class Mending:
    """A case that is wanted in the new folder."""

    case: Case
    channels: tuple[str, ...]
    task: Task
    out: Path
    repairs: Repairs


@dataclass(frozen=True, eq=False)
class Mended:
    """What came of it: files, or the problems why there are none."""

    found: FoundCase | None
    changes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def mend(loaded: Loaded, out: Path, repairs: Repairs = NO_REPAIR) -> Generator[Event, None, dict[str, Any]]:
    """Write the mended data set; returns what was changed and who was left out, in plain values.

    Values that nobody measured are put into a scan where `repairs` ask for them, and nowhere else.

    Raises ConfigError where OUT holds anything or lies in the data, DataError where no case can be used, ResourceError.
    """
    config = loaded.config
    require_new_place(out, config.data)
    scans = sound_cases(config.data)
    jobs = [Mending(case, config.data.channel_names, config.task, out, repairs) for case in scans.cases]
    done: dict[str, Mended] = {}
    lost: dict[str, list[Problem]] = {}
    for name, problem in scans.faults:
        lost.setdefault(name, []).append(problem)
    with closing(each(mend_case, jobs, processes_for(scans.cases, config.data.workers))) as outcomes:
        for outcome in outcomes:
            case = outcome.piece.case.id
            if isinstance(outcome, Died):
                if outcome.again:
                    yield Note(f"case {case}: its process died ({outcome.why}); it is tried again")
                    continue
                lost[case] = [Problem("its process died", f"case {case}", outcome.why)]
            elif outcome.result.found is None:
                lost[case] = list(outcome.result.problems)
            else:
                done[case] = outcome.result
                yield CasePrepared(case, len(done), len(jobs))
    for number, (name, problems) in enumerate(sorted(lost.items()), start=1):
        message = "\n".join(line for problem in problems for line in problem.lines())
        yield CaseFailed(name, message, len(done) + number, len(done) + len(lost))
    if not done:
        raise DataError(*(problem for problems in lost.values() for problem in problems))
    _write_about(loaded, out, done, lost)
    return _result(out, done, lost)


def mend_case(job: Mending) -> Mended:
    """One case, in this process or in one of several."""
    case, out = job.case, job.out
    try:
        with named(case):
            repaired = read_repaired(case.images, job.repairs)
            image = repaired.image
            require_channels(case, image, job.channels)
            mask = None
            if case.label is not None:
                mask = mask_of_repaired(case.label, repaired, task=job.task, case=case.id, repairs=job.repairs)
    except DataError as error:
        return Mended(None, problems=error.problems)
    scan, label = out / "images" / f"{case.id}.nii.gz", out / "labels" / f"{case.id}.nii.gz"
    with disk_errors(out):  # not before: where no case can be used, nothing is left behind
        scan.parent.mkdir(parents=True, exist_ok=True)
        label.parent.mkdir(exist_ok=True)
    write_nifti_image(scan, image)
    if mask is not None:
        write_nifti(label, mask.labels)
    found = FoundCase((ScanSource(scan),), None if mask is None else ScanSource(label), case.patient)
    return Mended(found, tuple(dict.fromkeys((*image.notes, *repaired.changes, *(mask.changes if mask else ())))))


def require_new_place(out: Path, data: DataSettings) -> None:
    """ConfigError where a folder holds anything, or lies where cases are looked for: it would be taken for one."""
    for place in (data.images, data.labels, data.root):
        if place is not None and out.resolve().is_relative_to(place.resolve()):
            what, hint = "the mended data would lie among those that they are made of", "name a folder elsewhere"
            raise ConfigError(Problem(what, str(out), f"cases are looked for in {place}", hint))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        hint = "name a new folder: nothing is written over"
        raise ConfigError(Problem("there is something already where the mended data should go", str(out), hint=hint))


def _write_about(loaded: Loaded, out: Path, done: dict[str, Mended], lost: dict[str, list[Problem]]) -> None:
    """Table, config, and what was changed. Code of one's own stays where it is: the config has its whole path."""
    write_table(out / TABLE, {name: one.found for name, one in done.items() if one.found is not None})
    data = loaded.config.data
    plain = DataSettings(
        table=Path(TABLE), channels=data.channel_names, modality=data.modality, workers=data.workers, store=data.store
    )
    write_text(out / CONFIG, to_yaml(derived(loaded, loaded.config.model_copy(update={"data": plain}), "file")))
    rows = [[name, "mended", change] for name, one in sorted(done.items()) for change in one.changes]
    rows += [[name, "left out", problem.what] for name, found in sorted(lost.items()) for problem in found]
    write_csv(out / FIXES, ["case", "what", "why"], rows)


def _result(out: Path, done: dict[str, Mended], lost: dict[str, list[Problem]]) -> dict[str, Any]:
    return {
        "out": str(out),
        "config": str(out / CONFIG),
        "cases": len(done),
        "mended": {name: list(one.changes) for name, one in sorted(done.items()) if one.changes},
        "left_out": {name: [problem.what for problem in found] for name, found in sorted(lost.items())},
    }
