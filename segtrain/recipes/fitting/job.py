"""Everything a fit works with: data, plan, split, network, loss, and how far it is."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from segtrain.config.load import Loaded
from segtrain.core.case import Case
from segtrain.core.plan import Plan
from segtrain.data.loader import BatchLoader
from segtrain.data.splits import Fold
from segtrain.data.store import StoredCase
from segtrain.inference.predict import Predictor
from segtrain.recipes.assemble import Answer, TrainingLoss
from segtrain.recipes.fitting.init_from import Start
from segtrain.recipes.run_folder import RunFolder
from segtrain.training.ranks import ALONE, Ranks
from segtrain.training.state import TrainingState


@dataclass(frozen=True, eq=False)
class Job:
    """Everything a fit works with once its data are read; nothing in it changes but `state`."""

    loaded: Loaded
    folder: RunFolder
    plan: Plan
    fold: Fold
    cases: tuple[Case, ...]
    """Those of the fold."""
    stored: dict[str, StoredCase]
    answer: Answer
    loss: TrainingLoss
    loader: BatchLoader
    state: TrainingState
    device: torch.device
    began: float
    """On the clock of time.perf_counter, as if the earlier sessions had gone before without a break."""
    ranks: Ranks = ALONE
    start: Start | None = None
    """Whose weights it began with; None too where it goes on."""

    @property
    def seconds(self) -> float:
        """Time of this session and of the earlier ones."""
        return time.perf_counter() - self.began

    @property
    def predictor(self) -> Predictor:
        """The network as it is now, ready to predict."""
        config = self.loaded.config
        return Predictor(
            self.state.judged, self.plan, config.task, self.answer.activation, config.inference, self.device
        )
