"""A run or a checkpoint on the disk -> a Predictor."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter

from segtrain.config.at_prediction import inference_with
from segtrain.config.code import code_in
from segtrain.config.load import load_config
from segtrain.config.schema import FitConfig
from segtrain.core.errors import CheckpointError, Problem
from segtrain.core.plan import Plan
from segtrain.core.registry import is_code
from segtrain.core.task import Activation, Task
from segtrain.inference.postprocess import require_known
from segtrain.inference.predict import Ensemble, Predictor
from segtrain.inference.settings import InferenceSettings
from segtrain.losses.voxels import Mode
from segtrain.models.settings import ModelSettings
from segtrain.recipes.assemble import Answer, make_model
from segtrain.recipes.run_folder import RunFolder
from segtrain.training import checkpoint
from segtrain.training.devices import find_device, on_device

ACTIVATION: TypeAdapter[Activation] = TypeAdapter(Activation)
FOLD = re.compile(r"fold_(0|[1-9]\d*)")


def load_predictor(run: Path, *, device: str, allow_code: bool, overrides: Sequence[str] = ()) -> Predictor:
    """The best checkpoint of a run, ready to predict; raises as `predictor_of`, and CheckpointError without one."""
    folder = RunFolder(run)
    folder.require_run()
    return predictor_of(best_checkpoint(folder), device=device, allow_code=allow_code, overrides=overrides)


def predictor_of(found: Path, *, device: str, allow_code: bool, overrides: Sequence[str] = ()) -> Predictor:
    """A checkpoint, ready to predict, with the settings that `overrides` (`inference.*`) change.

    Raises CheckpointError where it is damaged, or where it names code and `allow_code` is off; ConfigError for a wrong
    override.
    """
    about = checkpoint.read_about(found)
    try:
        loss = str(about["loss"]["name"])
        plan, task = Plan.model_validate(about["plan"]), Task.model_validate(about["task"])
        settings = ModelSettings.model_validate(about["model"])
        inference = InferenceSettings.model_validate(about["inference"])
        activation, outputs = ACTIVATION.validate_python(about["activation"]), int(about["outputs"])
        weights = str(about["sha256"][checkpoint.MODEL])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(Problem("the checkpoint is not one of this segtrain", str(found), str(error))) from error
    _refuse_code([loss, settings.name], found, allow_code=allow_code)
    inference = inference_with(inference, overrides)
    require_known(inference.postprocess, task)
    target = find_device(device)
    mode: Mode = "multiclass" if activation == "softmax" else "multilabel"
    model = make_model(plan, settings, Answer(mode, activation, outputs), seed=0)
    checkpoint.load_model(found, model)
    return Predictor(on_device(model, target), plan, task, activation, inference, target, weights)


def load_ensemble(runs: Sequence[Path], *, device: str, allow_code: bool, overrides: Sequence[str] = ()) -> Ensemble:
    """The networks of all runs; where one is the folder of `fit --fold all`, those of its folds.

    CheckpointError and ConfigError as `load_predictor`, of any run, and where they do not answer alike.
    """
    found = [each for run in runs for each in runs_in(run)]
    members = [load_predictor(each, device=device, allow_code=allow_code, overrides=overrides) for each in found]
    if len({(m.task.model_dump_json(exclude={"codes"}), m.plan.channels, m.activation) for m in members}) > 1:
        what = "the runs are of different tasks, channels or kinds of loss, and cannot be averaged"
        raise CheckpointError(Problem(what, ", ".join(map(str, runs)), hint="predict with each by itself"))
    return Ensemble(tuple(_with_codes(member, found[0]) for member in members))


def _with_codes(member: Predictor, run: Path) -> Predictor:
    """What its labels are is what config.yaml of the run says now: nothing was trained with it."""
    codes = load_config(RunFolder(run).config).config.task.codes
    return replace(member, task=member.task.model_copy(update={"codes": codes}))


def runs_in(run: Path) -> list[Path]:
    """The run itself, or the runs of its folds, in order."""
    folds = fold_runs(run)
    return [run] if RunFolder(run).record.is_file() or not folds else folds


def fold_runs(folder: Path) -> list[Path]:
    """The runs that `fit --fold all` left in a folder, in order; a copy of one under another name is none."""
    found = {int(match[1]): path for path in folder.glob("fold_*") if (match := FOLD.fullmatch(path.name))}
    return [path for _, path in sorted(found.items()) if RunFolder(path).record.is_file()]


def trained_config(run: Path, *, allow_code: bool) -> FitConfig:
    """The config of a run, or of the first of its folds.

    CheckpointError where its loss or a metric is code and `allow_code` is off.
    """
    path = RunFolder(runs_in(run)[0]).config
    config = load_config(path).config
    _refuse_code(code_in(config, ("loss", "evaluation")).values(), path, allow_code=allow_code)
    return config


def best_checkpoint(folder: RunFolder) -> Path:
    """The best checkpoint, or the last one where no validation found a best. CheckpointError where there is none."""
    return checkpoint.find(folder.best) or last_checkpoint(folder)


def last_checkpoint(folder: RunFolder) -> Path:
    """The weights as they are now, whatever was best. CheckpointError where there are none."""
    found = checkpoint.find(folder.last)
    if found is None:
        hint = "segtrain fit --resume goes on with the run"
        raise CheckpointError(Problem("the run has no checkpoint yet", str(folder.path), "no epoch was finished", hint))
    return found


def _refuse_code(names: Iterable[str], path: Path, *, allow_code: bool) -> None:
    """What somebody's run names is imported only by those who trust it."""
    code = [name for name in names if is_code(name)]
    if code and not allow_code:
        why = f"it names {', '.join(code)}, which is somebody's own code"
        hint = "--allow-code, if you trust where the run came from"
        raise CheckpointError(Problem("the run names code", str(path), why, hint))
