"""`segtrain export`: the network of a run, and in words for a program what stands between a scan and a mask."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from segtrain.core.errors import ConfigError, Problem, raise_all
from segtrain.core.files import disk_errors, whole_file, write_json
from segtrain.inference.predict import Predictor
from segtrain.recipes.export_network import BATCHES, FILES, SEED, Agreement, Form, require_packages, write_network
from segtrain.recipes.export_rules import answer_rules, network_rules, scan_rules, versions, window_rules
from segtrain.recipes.run_folder import RunFolder
from segtrain.recipes.trained import best_checkpoint, load_ensemble, runs_in
from segtrain.training import checkpoint

RULES = "model.json"
SCHEMA_VERSION = 1


def export(run: Path, form: Form, out: Path, *, allow_code: bool = False, overwrite: bool = False) -> dict[str, Any]:
    """Write `model.onnx` or `model.pt`, and `model.json`, into `out`; of the folds of a run, into a folder each.

    A file is compared with its network before it is moved into place; with `overwrite` over an earlier one. Gives what
    `--json` prints. Raises ConfigError where a package is missing, where a network cannot be exported, or where there
    is one already; CheckFailed where a file does not answer as its network does; CheckpointError as `load_ensemble`.
    """
    require_packages(form)
    members = load_ensemble([run], device="cpu", allow_code=allow_code).members
    places = {each: out if each == run else out / each.name for each in runs_in(run)}
    if not overwrite:
        raise_all(ConfigError, map(_there_already, _exported_in(places.values())))
    models = [_export_one(each, place, form, own) for (each, place), own in zip(places.items(), members, strict=True)]
    return {"schema_version": 1, "out": str(out), "form": form, "models": models}


def _export_one(run: Path, out: Path, form: Form, predictor: Predictor) -> dict[str, Any]:
    path = out / FILES[form]
    with whole_file(path) as temporary:
        agreement = write_network(temporary, predictor.model, predictor.plan, form)
        digest = _sha256(temporary)
    _drop_others(path)
    rules = _rules(RunFolder(run), predictor, agreement)
    file = {"form": form, "file": path.name, "sha256": digest}
    write_json(out / RULES, {"schema_version": SCHEMA_VERSION, "network": {**file, **rules.pop("network")}, **rules})
    return {"run": str(run), "network": str(path), "rules": str(out / RULES), "check": rules["check"]}


def _rules(folder: RunFolder, predictor: Predictor, agreement: Agreement) -> dict[str, Any]:
    """All of model.json but what is known of the file alone."""
    plan, task, activation, settings = predictor.plan, predictor.task, predictor.activation, predictor.settings
    kept = best_checkpoint(folder)
    about = checkpoint.read_about(kept)
    return {
        "network": network_rules(plan, task.output_names(activation)),
        "scan": scan_rules(plan),
        "window": window_rules(plan, settings),
        "answer": answer_rules(task, activation),
        "postprocess": settings.postprocess.model_dump(mode="json"),
        "made_from": {
            "run": folder.name,
            "checkpoint": kept.name,
            "checkpoint_sha256": about["sha256"][checkpoint.MODEL],
            "step": about["step"],
            "plan_hash": plan.hash,
            "versions": versions(),
        },
        "check": {"batches": list(BATCHES), "seed": SEED, **asdict(agreement), "allowed": agreement.allowed},
    }


def _exported_in(folders: Iterable[Path]) -> Iterator[Path]:
    yield from (path for out in folders for name in (*FILES.values(), RULES) if (path := out / name).is_file())


def _there_already(path: Path) -> Problem:
    hint = "--overwrite replaces it, --out DIR takes another folder"
    return Problem("an exported network lies there already", str(path), hint=hint)


def _drop_others(path: Path) -> None:
    """Delete what was exported there in another form: `model.json` is about one file."""
    with disk_errors(path):
        for name in {*FILES.values()} - {path.name}:
            path.with_name(name).unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
