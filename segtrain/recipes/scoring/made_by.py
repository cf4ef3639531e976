"""What drew the masks of a folder, so that an interrupted prediction is gone on with by the same networks alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from segtrain.core.case import Case
from segtrain.core.errors import ConfigError, DataError, Problem
from segtrain.core.events import Note
from segtrain.core.files import disk_errors, write_json
from segtrain.data.sources import state_of
from segtrain.data.write import SUFFIXES, MaskWriter
from segtrain.inference.predict import Ensemble
from segtrain.recipes.run_folder import RunFolder, read_record
from segtrain.recipes.scoring.predict_cases import Manner
from segtrain.recipes.scoring.results_folder import (
    MADE_BY,
    OUTPUTS,
    PREDICTIONS,
    PROBABILITIES,
    TABLES,
    open_results,
    sources_of,
    written_masks,
)

READ_BACK = ("nii.gz", "nii")
"""Formats of masks that can be kept, because they can be read and checked."""

WITHOUT_EFFECT = {"memory_mib", "batch_size"}
"""Settings that change no voxel."""


def drawn_by(runs: Sequence[Path], manner: Manner | None) -> Manner:
    """The manner, with the runs as what draws the masks."""
    return replace(manner or Manner(), model=" + ".join(RunFolder(run).name for run in runs))


def begin(
    out: Path, runs: Sequence[Path], ensemble: Ensemble, cases: Sequence[Case], manner: Manner, *, overwrite: bool
) -> Iterator[Note]:
    """Make `out` ready for the masks of the cases, and write down what draws them.

    ConfigError where it holds results, unless `overwrite` deletes them or the manner goes on with them: then it is one
    where they were made by other weights or settings, or are of other cases.
    """
    if manner.resume and overwrite:
        raise ConfigError(Problem("--resume and --overwrite exclude each other"))
    if manner.resume and manner.format not in READ_BACK:
        hint = f"--format {' or '.join(READ_BACK)}, or --overwrite"
        raise ConfigError(Problem(f"masks of the format {manner.format} are not read back", "--resume", hint=hint))
    MaskWriter(manner.format, ensemble.task, manner.model).require(cases)
    made_by = _made_by(runs, ensemble, cases, manner)
    if manner.resume and (written_masks(out) or (out / MADE_BY).is_file()):
        before = _made_before(out, made_by)
        there = _kept(out, cases, SUFFIXES[manner.format])
        yield Note(f"{there} of {len(cases)} masks are there; those that are whole and of the same scan are kept")
        _take_away(out, cases, before, made_by)
    else:
        open_results(out, sources_of(cases), overwrite=overwrite)
    write_json(out / MADE_BY, made_by)
    if manner.probabilities:
        about = {"schema_version": 1, "activation": ensemble.members[0].activation, "outputs": ensemble.output_names}
        write_json(out / PROBABILITIES / OUTPUTS, about)


def _made_by(runs: Sequence[Path], ensemble: Ensemble, cases: Sequence[Case], manner: Manner) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "runs": [str(run.resolve()) for run in runs],
        "weights_sha256": [member.weights_sha256 for member in ensemble.members],
        "inference": [member.settings.model_dump(mode="json") for member in ensemble.members],
        "format": manner.format,
        "scans": {case.id: _state(case) for case in cases},
    }


def _state(case: Case) -> str:
    """What the file system says of the scan; nothing where it cannot be read, which costs the case later."""
    try:
        return state_of(case)
    except DataError:
        return ""


def _made_before(out: Path, made_by: dict[str, Any]) -> dict[str, Any]:
    """What drew the masks. ConfigError where that were other weights or settings, or nobody knows which."""
    hint = "--overwrite begins anew, --out DIR takes another folder"
    try:
        before = read_record(out / MADE_BY)
        changed = [name for name, value in _decisive(made_by).items() if _decisive(before).get(name) != value]
    except (DataError, LookupError, TypeError, AttributeError) as error:
        what = "nobody knows what drew the masks that are there"
        raise ConfigError(Problem(what, str(out / MADE_BY), "the file is missing or damaged", hint)) from error
    if changed:
        what = f"the masks that are there were drawn with other {', '.join(changed)}"
        raise ConfigError(Problem(what, str(out), hint=hint))
    return before


def _take_away(out: Path, cases: Sequence[Case], before: dict[str, Any], made_by: dict[str, Any]) -> None:
    """Delete masks of other scans under the same name, and the tables and the report of what the folder held."""
    scans = before.get("scans", {})
    changed = [case.id for case in cases if scans.get(case.id) != made_by["scans"][case.id]]
    masks = [out / PREDICTIONS / f"{case}{SUFFIXES[made_by['format']]}" for case in changed]
    with disk_errors(out):
        for path in (*masks, *(out / name for name in TABLES)):
            path.unlink(missing_ok=True)


def _decisive(made_by: dict[str, Any]) -> dict[str, Any]:
    """What decides how a mask looks, by how a person calls it."""
    settings = [{key: value for key, value in one.items() if key not in WITHOUT_EFFECT} for one in made_by["inference"]]
    return {"weights": made_by["weights_sha256"], "settings of inference": settings, "format": made_by["format"]}


def _kept(out: Path, cases: Sequence[Case], suffix: str) -> int:
    """How many of the cases have a mask. ConfigError where there are masks of others: they would stay unnoticed."""
    found = {path.name.removesuffix(suffix): path.name for path in written_masks(out)}
    strange = sorted(found.keys() - {case.id for case in cases})
    if strange:
        why = f"as {found[strange[0]]}"
        hint = "take the folder of scans that the earlier command took, or another folder with --out"
        raise ConfigError(Problem("there are masks of cases that are not among the scans", str(out), why, hint))
    return len(found)
