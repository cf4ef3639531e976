"""`model.init_from`: a fit that starts from the weights of another run, also with other labels or channels.

Weights fit one network, so the network follows the old run: its kind wherever the config leaves it open, and the whole
plan but for what is set (`data.plan.planning.following_plan`). What was kept is told once and written to run.json, with
the sha256 of the weights. A resumed fit goes on with its own checkpoint and does not look here again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

from segtrain.config.dump import read_back
from segtrain.config.load import Loaded, derived
from segtrain.config.schema import FitConfig
from segtrain.core.errors import CheckpointError, ConfigError, Problem, raise_all
from segtrain.core.plan import Plan
from segtrain.core.registry import is_code
from segtrain.core.task import Activation, Task
from segtrain.data.plan.planning import PlanWishes
from segtrain.models.network import Network
from segtrain.models.settings import ModelSettings
from segtrain.models.transfer import Names, Part, transfer
from segtrain.recipes.assemble import Answer, make_model, wishes_of
from segtrain.recipes.convert import Converted
from segtrain.recipes.run_folder import RunFolder
from segtrain.recipes.trained import best_checkpoint
from segtrain.training import checkpoint

FOLLOWING = ("name", "preset", "dims", "block", "deep_supervision")
"""What a network is, beside its plan."""

MUST_BE_EQUAL = ("name", "dims", "block")
"""Where a config says something else, the weights do not fit."""


@dataclass(frozen=True, eq=False)
class Source:
    """A checkpoint to start from."""

    path: Path
    settings: ModelSettings
    plan: Plan
    task: Task
    activation: Activation
    sha256: str
    """Of the weights."""
    step: int

    @classmethod
    def at(cls, path: Path) -> Source:
        """Of a run's folder (its best checkpoint), a checkpoint's folder or its file of weights.

        CheckpointError where there is none, or none of segtrain.
        """
        found = _checkpoint_at(path)
        about = checkpoint.read_about(found)
        try:
            if about["activation"] not in get_args(Activation):
                raise ValueError(f"activation: {about['activation']}")
            return cls(
                path=found,
                settings=ModelSettings.model_validate(about["model"]),
                plan=Plan.model_validate(about["plan"]),
                task=Task.model_validate(about["task"]),
                activation=about["activation"],
                sha256=str(about["sha256"][checkpoint.MODEL]),
                step=int(about["step"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            why = f"{type(error).__name__}: {error}"
            raise CheckpointError(Problem("this is no checkpoint of segtrain", str(found), why)) from error

    @property
    def splits(self) -> Path:
        """Who trained it, where it still lies in its run."""
        return self.path.parent.parent / "splits.json"

    @property
    def record(self) -> dict[str, Any]:
        """What run.json says of it."""
        return {"path": str(self.path), "sha256": self.sha256, "step": self.step}

    def weights(self) -> dict[str, Tensor]:
        """Its tensors by name."""
        try:
            tensors: dict[str, Tensor] = load_tensors((self.path / checkpoint.MODEL).read_bytes())
        except (OSError, SafetensorError) as error:
            raise CheckpointError(Problem("the weights cannot be read", str(self.path), str(error))) from error
        return tensors


@dataclass(frozen=True, eq=False)
class Start:
    """What a network starts from."""

    source: Source | Converted
    parts: tuple[Part, ...]

    @property
    def told(self) -> str:
        """The table, in words."""
        wide = max(len(part.name) for part in self.parts)
        lines = [f"starts from the weights of {self.source.path} (sha256 {self.source.sha256[:12]})"]
        for part in self.parts:
            note = f"; {part.note}" if part.note else ""
            lines.append(f"  {part.name:<{wide}}  {part.kept} of {part.tensors} tensors kept{note}")
        return "\n".join(lines)

    @property
    def record(self) -> dict[str, Any]:
        """What run.json says of it."""
        return {**self.source.record, "parts": [asdict(part) for part in self.parts]}


def followed(loaded: Loaded, begun: Path | None = None) -> Loaded:
    """The config, with the kind of network of `model.init_from` wherever it says nothing of that itself.

    `begun`: the config that a run was begun with, which knows; its source may be gone by now. Raises CheckpointError
    where there is no such checkpoint, ConfigError where the config wants another network.
    """
    settings = loaded.config.model
    open_keys = [name for name in FOLLOWING if loaded.origins[f"model.{name}"] == "default"]
    if settings.init_from is None or not open_keys:  # a run's own config has them all, and may outlive its source
        return loaded
    if begun is not None and begun.is_file():
        found = read_back(begun).config.model
    elif Converted.at(settings.init_from) is not None:
        _require_own(settings)
        return loaded
    else:
        source = Source.at(settings.init_from)
        raise_all(ConfigError, _other_networks(loaded, source))
        found = source.settings
    changes = {name: getattr(found, name) for name in open_keys}
    config = loaded.config.model_copy(update={"model": settings.model_copy(update=changes)})
    return derived(loaded, config, "init_from")


def wishes_from(config: FitConfig) -> PlanWishes:
    """What the config fixes of the plan, and the plan that it follows."""
    wishes = wishes_of(config)
    if config.model.init_from is None or Converted.at(config.model.init_from) is not None:
        return wishes
    return replace(wishes, follows=Source.at(config.model.init_from).plan)


def start(config: FitConfig, plan: Plan, answer: Answer, model: Network) -> Start | None:
    """Fill the network from `model.init_from`; None where there is none.

    CheckpointError, with the tensors, where the weights do not fit.
    """
    if config.model.init_from is None:
        return None
    converted = Converted.at(config.model.init_from)
    if converted is not None:
        _require_own(config.model)
        return Start(converted, transfer(model, converted.weights(), Names((), ()), Names((), ())))
    source = Source.at(config.model.init_from)
    channels = Names(source.plan.channels, plan.channels)
    # A row that answers under softmax says how a class compares with the others, under sigmoid whether it is there.
    known = source.task.output_names(source.activation) if source.activation == answer.activation else ()
    outputs = Names(known, config.task.output_names(answer.activation))
    return Start(source, transfer(model, source.weights(), channels, outputs))


def try_network(config: FitConfig, plan: Plan, answer: Answer) -> None:
    """Build a network of one's own, or fill one from `model.init_from`, as a fit would: before scans are prepared.

    Raises as `make_model` and `start`.
    """
    if config.model.init_from is not None or is_code(config.model.name):
        start(config, plan, answer, make_model(plan, config.model, answer, config.training.seed))


def _require_own(settings: ModelSettings) -> None:
    """ConfigError where weights of another program should start a network of segtrain: their names are others."""
    if not is_code(settings.name):
        why = "they have the names of another program's network"
        hint = "model.name: net.py:Net, a network of your own with these names"
        what = f"converted weights do not start the network {settings.name}"
        raise ConfigError(Problem(what, "model.init_from", why, hint))


def _checkpoint_at(path: Path) -> Path:
    hint = "give the folder of a run, a checkpoint in it, or its model.safetensors"
    if path.suffix in {".pt", ".pth", ".pkl", ".ckpt", ".bin"}:
        why = "it may hold a pickle, which can run code and is never read"
        hint = f"segtrain convert {path.name} --trust --to DIR takes its tensors out, if you trust it"
        raise CheckpointError(Problem("this cannot be a start", str(path), why, hint))
    if path.is_file() and path.name == checkpoint.MODEL:
        path = path.parent
    if (path / checkpoint.ABOUT).is_file():
        return path
    if RunFolder(path).record.is_file():
        return best_checkpoint(RunFolder(path))
    what = "this is neither a run nor a checkpoint" if path.exists() else "there is no such run or checkpoint"
    raise CheckpointError(Problem(what, f"model.init_from: {path}", hint=hint))


def _other_networks(loaded: Loaded, source: Source) -> Iterator[Problem]:
    """What the config says of the network that is not so in the source; code of somebody's is never followed."""
    own, old = loaded.config.model, source.settings
    if is_code(old.name) and not is_code(own.name):
        hint = f"write model.name yourself, if you trust it: {old.name}"
        yield Problem("the network of model.init_from is somebody's own code", "model.name", hint=hint)
        return
    for name in MUST_BE_EQUAL:
        wished, there = getattr(own, name), getattr(old, name)
        both_code = name == "name" and is_code(own.name)
        if loaded.origins[f"model.{name}"] != "default" and wished != there and not both_code:
            what = f"model.{name} is {wished}, the network of model.init_from has {there}"
            hint = f"leave model.{name} out: it follows; or leave model.init_from out and start anew"
            yield Problem(what, f"model.{name}", "its weights would not fit", hint)
