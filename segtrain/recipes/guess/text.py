"""The commented YAML that `init` writes: what was found as keys, the defaults of the rest as comments."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from segtrain.config.schema import LossSettings
from segtrain.core.task import Task
from segtrain.metrics.settings import EvaluationSettings
from segtrain.training.settings import TrainingSettings

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:[./][A-Za-z0-9_./-]*)?|\.{1,2}(?:/[A-Za-z0-9_./-]*)?|/[A-Za-z0-9_./-]*")
"""Texts that are texts in YAML without quotes, other than the words below."""
WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}


def config_text(
    heading: Sequence[str], data: Mapping[str, Any], task: Task, *, model: Mapping[str, Any], folds: int
) -> str:
    """The whole file. `data` has paths as texts; `model` may be empty; `folds` are what a comparison may have."""
    training, loss = TrainingSettings(), LossSettings()
    metrics = ", ".join(EvaluationSettings().metrics)
    lines = [
        *(f"# {' '.join(line.split())}" for line in heading),
        "data:",
        *(f"  {key}: {flow(value)}" for key, value in data.items()),
        "task:  # name: id in the masks",
        *_task_lines(task),
        *([f"model: {flow(model)}"] if model else []),
        "",
        "# The rest has defaults; take the mark away to change them. `segtrain fit --dry-run` says what they lead to.",
        f"# loss: {{name: {loss.name}}}                     # `segtrain losses` lists them",
        f"# training: {{epochs: {training.epochs}, steps_per_epoch: {training.steps_per_epoch}}}   "
        "# or {budget_minutes: 30}",
        f"# evaluation: {{metrics: [{metrics}]}}",
        f"# compare: {{losses: [{loss.name}, dice, tversky, focal], folds: {folds}, baseline: {loss.name}}}",
    ]
    return "\n".join(lines) + "\n"


def flow(value: Any) -> str:
    """A plain value on one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(str(key))}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str):
        is_plain = PLAIN.fullmatch(value) is not None and value.lower() not in WORDS
        return value if is_plain else _quoted(value)
    return json.dumps(value)


def _quoted(text: str) -> str:
    """Between quotes, with signs that YAML does not take as they are written by their number."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(sign if sign.isprintable() else f"\\U{ord(sign):08x}" for sign in quoted)


def from_folder(path: Path, folder: Path) -> str:
    """A path as a config in `folder` names it: relative, where the two have a folder other than the root in common."""
    path, folder = path.resolve(), folder.resolve()
    near = path.parts[:2] == folder.parts[:2]
    return Path(os.path.relpath(path, folder)).as_posix() if near else str(path)


def _task_lines(task: Task) -> Iterator[str]:
    yield "  labels:"
    yield from (f"    {flow(name)}: {label}" for name, label in task.labels.items())
    if task.ignore is not None:
        yield f"  ignore: {task.ignore}  # voxels that count neither in training nor in the scores"
    if task.overlap != Task.model_fields["overlap"].default:
        yield f"  overlap: {task.overlap}  # of a voxel that is in two structures"
    if task.regions:
        yield "  regions:  # from the largest to the smallest"
        yield from (f"    {flow(name)}: {flow(labels)}" for name, labels in task.regions.items())
