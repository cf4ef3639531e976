"""How training runs. Torch-free, so that a wrong key is answered at once."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from segtrain.core.settings import Settings

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]


EPOCH_SECONDS = 20.0
"""Of training, at least, in an epoch of a budget."""


class TrainingSettings(Settings):
    """Length, optimiser, schedule and precision."""

    epochs: Count = 200
    steps_per_epoch: Count = 250
    budget_minutes: Annotated[float, Field(gt=0)] | None = None
    """Times a few steps, then fixes the number of steps an epoch so that all epochs fit; null uses steps_per_epoch.
    There are fewer epochs where one would have less than 20 seconds, since each ends with a validation."""
    batch_size: Count | None = None
    """Patches a step; null takes the plan's."""
    accumulation: Count = 1
    """Parts in which a batch goes through the network, one after the other: less memory for the same gradient. A loss
    that pools over the batch pools over a part."""
    optimiser: Literal["adamw", "sgd"] = "adamw"
    """adamw: Loshchilov & Hutter 2019. sgd: with Nesterov's momentum, as nnU-Net, whose learning_rate is 1e-2."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-3
    """The peak rate."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    momentum: Share = 0.99
    """Of sgd."""
    warmup_share: Share = 0.05
    """Share of all steps in which the rate climbs to its peak."""
    schedule: Literal["cosine", "poly"] = "cosine"
    """How the rate falls to zero after that; poly: (1 - progress)^0.9, as nnU-Net."""
    ema_decay: Share | None = None
    """Validation and prediction use a running average of the weights, which keeps this much of itself in each step; in
    the first steps less. null: the weights themselves."""
    clip_norm: Annotated[float, Field(gt=0)] | None = 1.0
    """Largest norm of the gradient."""
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """auto: bf16 autocast on CUDA, float32 elsewhere."""
    compile: bool = False
    """Time a few steps with torch.compile and without, and use it where the whole training gains by it. One process."""
    seed: Annotated[int, Field(ge=0)] = 0
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the cases held out, by whole patients, when no fold is asked for."""
    folds: Annotated[int, Field(ge=2)] = 5
    """Folds of the cross-validation that `--fold K` takes one of."""
    validate_every: Count = 1
    """Epochs between two validations on whole cases; the last epoch is always validated."""
    watch: tuple[Literal["tensorboard", "mlflow"], ...] = ()
    """Who else is told of each epoch, beside log.jsonl, metrics.csv and progress.png. Both are extras:
    `pip install 'segtrain[tensorboard]'`."""
    mlflow_uri: Annotated[str, Field(pattern=r"^(databricks|[A-Za-z][A-Za-z0-9+.-]+:.+)")] | None = None
    """Where MLflow keeps the run, as sqlite:///runs/mlflow.db or http://HOST:5000; null: mlflow.db in the run folder,
    without any network."""
    mlflow_experiment: Annotated[str, Field(min_length=1)] = "segtrain"

    @property
    def planned_epochs(self) -> int:
        """Epochs in all: as set, or as many as a budget has time for."""
        if self.budget_minutes is None:
            return self.epochs
        return min(self.epochs, max(1, round(self.budget_minutes * 60 / EPOCH_SECONDS)))

    @model_validator(mode="after")
    def _one_clock(self) -> Self:
        if self.compile and self.budget_minutes is not None:
            raise ValueError("compile and budget_minutes: give one, since compiling takes minutes of its own")
        return self
