"""What a sweep consists of: its runs, the config of each, and who of them is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from segtrain.config.load import Loaded, derived
from segtrain.config.schema import CompareSettings, LossEntry, LossSettings
from segtrain.core.errors import ConfigError, Problem, raise_all
from segtrain.core.files import write_json
from segtrain.core.settings import Settings
from segtrain.core.task import Task
from segtrain.metrics.chosen import chosen_metrics
from segtrain.metrics.registry import Best
from segtrain.recipes.assemble import answer_for, cautions_about
from segtrain.recipes.run_folder import RunFolder, read_record, reading
from segtrain.statistics.verdict import MARGIN


class Meaning(Settings):
    """What a report must know of losses and metrics; kept in run.json, so that no report imports their code."""

    declared: tuple[tuple[str, str], ...]
    """Loss, and how its training differs from the baseline's by more than the loss itself."""
    best: dict[str, Best]
    """Metric -> which values are good ones. The first is the headline."""
    margins: dict[str, float | None] = Field(default_factory=dict)
    """Metric -> the mean difference up to which losses are as good as equal; None: that is not known."""
    cautions: tuple[str, ...] = ()
    """What a user should know of a loss, a sentence each; for almost all there is nothing."""

    def margin(self, metric: str) -> float | None:
        """Of a metric; sweeps of earlier versions did not write it down, and had one for all."""
        return self.margins.get(metric, MARGIN)


@dataclass(frozen=True)
class SweepRun:
    """One fit of a sweep."""

    entry: LossEntry
    fold: int
    seed: int
    sweep: Path

    @property
    def name(self) -> str:
        """How a person calls it."""
        return f"{self.entry.label}, fold {self.fold}, seed {self.seed}"

    @property
    def folder(self) -> RunFolder:
        """runs/LOSS/FOLD/SEED below the sweep."""
        return RunFolder(self.sweep / "runs" / self.entry.label / str(self.fold) / str(self.seed))

    @property
    def is_done(self) -> bool:
        """Whether it ran to its end."""
        return self.folder.is_finished

    @property
    def failure(self) -> str | None:
        """Why it diverged, where it did. The same seed would diverge again, so a failed run is not repeated."""
        file = self.folder.failure
        if not file.is_file():
            return None
        with reading(file):
            return str(read_record(file)["message"])

    @property
    def settled(self) -> str | None:
        """How it ended, where nothing is left to do for it."""
        if self.is_done:
            return "finished before"
        return None if self.failure is None else f"failed before: {self.failure}"

    def rung(self, epoch: int) -> Path:
        """Scores of its held-out cases after that epoch; the file is there once they are known."""
        return self.folder.path / "rungs" / str(epoch) / "cases.csv"

    @property
    def steps_per_epoch(self) -> int | None:
        """As it trains, or trained; None where it did not come so far."""
        record = self.folder.record
        with reading(record):
            steps = read_record(record).get("steps_per_epoch") if record.is_file() else None
            return None if steps is None else int(steps)

    def keep_failure(self, message: str) -> None:
        """Write down that it diverged."""
        write_json(self.folder.failure, {"schema_version": 1, "message": message})


def settings_of(loaded: Loaded) -> CompareSettings:
    """The compare section. ConfigError where there is none."""
    if loaded.config.compare is None:
        hint = "compare: {losses: [dice, dice_ce], baseline: dice_ce}"
        raise ConfigError(Problem("the config does not say which losses to compare", "compare", hint=hint))
    return loaded.config.compare


def runs_of(settings: CompareSettings, sweep: Path) -> list[SweepRun]:
    """Every combination; all losses of a fold and seed come before the next, so that a cut sweep is still fair."""
    return [SweepRun(e, f, s, sweep) for s in settings.seeds for f in range(settings.folds) for e in settings.losses]


def timed_run(runs: Sequence[SweepRun]) -> SweepRun | None:
    """The first run that knows how many steps an epoch has, as those that are begun after it have; None for none."""
    return next((one for one in runs if one.steps_per_epoch is not None), None)


def config_of(loaded: Loaded, one: SweepRun) -> Loaded:
    """The config of one run: its loss, its seed, and what the sweep declares that this loss trains with.

    Folds are drawn with the first seed of the sweep, so that a case is held out in one fold of every seed.
    """
    own = {k: v for k, v in one.entry.training.model_dump().items() if v is not None}
    folds = settings_of(loaded).folds
    training = loaded.config.training.model_copy(update={"folds": folds, "seed": one.seed, **own})
    loss = LossSettings.model_validate({"name": one.entry.name, **one.entry.options})
    config = loaded.config.model_copy(update={"loss": loss, "training": training, "compare": None})
    return derived(loaded, config, "sweep")


def meaning_of(loaded: Loaded) -> Meaning:
    """Ask the losses and metrics themselves. ConfigError where a metric cannot be used."""
    settings = settings_of(loaded)
    metrics = chosen_metrics(loaded.config.evaluation, loaded.folder)
    raise_all(ConfigError, unused_margins(settings, list(metrics)))
    usual: dict[str, float | None] = {name: None if metric.card.unit else MARGIN for name, metric in metrics.items()}
    return Meaning(
        declared=tuple(declared(settings, loaded.config.task, loaded.folder)),
        best={name: metric.card.best for name, metric in metrics.items()},
        margins={**usual, **settings.margins},
        cautions=tuple(cautions_about({entry.label: entry.name for entry in settings.losses}, loaded.folder)),
    )


def unused_margins(settings: CompareSettings, metrics: Sequence[str]) -> Iterator[Problem]:
    """Margins of metrics that are not measured: a typing error would go unnoticed."""
    for name in settings.margins:
        if name not in metrics:
            why = f"the metrics are {', '.join(metrics)}"
            yield Problem(f"{name} is not measured", "compare.margins", why, "name it in evaluation.metrics too")


def meaning_in(record: Path) -> Meaning:
    """What a sweep wrote down of its losses and metrics. DataError where it did not."""
    with reading(record):
        return Meaning.model_validate(read_record(record)["meaning"])


def declared(settings: CompareSettings, task: Task, folder: Path) -> Iterator[tuple[str, str]]:
    """Loss, and how its training differs from the baseline's by more than the loss itself."""
    base = next(entry for entry in settings.losses if entry.label == settings.baseline)
    usual = answer_for(task, base.name, folder)
    for entry in settings.losses:
        found = [f"{key} {value:g}" for key, value in entry.training.model_dump().items() if value is not None]
        answer = answer_for(task, entry.name, folder)
        if answer.activation != usual.activation:
            found.append(f"its network answers with {answer.outputs} {answer.activation} outputs, not {usual.outputs}")
        if found:
            yield entry.label, "; ".join(found)
