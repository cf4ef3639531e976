"""Progress of a recipe that is called from Python: tqdm bars on a terminal or in a notebook, nothing elsewhere."""

from __future__ import annotations

from typing import Any

from tqdm.auto import tqdm

from segtrain.core.events import (
    CaseFailed,
    CasePrepared,
    CaseRead,
    CaseScored,
    EpochEnded,
    Event,
    Finished,
    RunEnded,
    StepEnded,
    Validated,
)


class Bars:
    """Called with every event; one bar for each kind of work."""

    def __init__(self) -> None:
        self._bars: dict[str, Any] = {}
        self._told: dict[str, str] = {}

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case CaseRead(_, done, total):
                self._move("reading", done, total)
            case CasePrepared(_, done, total):
                self._move("preparing", done, total)
            case StepEnded(step, total, _):
                self._move("training", step, total)
            case EpochEnded():
                self._tell(epoch=f"{event.epoch}/{event.epochs}", loss=f"{event.train_loss:.3f}")
            case Validated():
                self._tell(**{name: f"{value:.3f}" for name, value in event.mean.items() if value is not None})
            case CaseScored(_, done, total) | CaseFailed(_, _, done, total):
                self._move("scoring", done, total)
            case RunEnded(_, done, total):
                self._move("runs", done, total)
            case Finished():
                self.close()

    def close(self) -> None:
        """Leave the bars as they are."""
        for bar in self._bars.values():
            bar.close()
        self._bars.clear()

    def _tell(self, **known: str) -> None:
        """Behind the bar of the steps; a run that goes on at the end of an epoch has none yet."""
        self._told |= known
        if "training" in self._bars:
            self._bars["training"].set_postfix(self._told)

    def _move(self, name: str, done: int, total: int) -> None:
        known = self._bars.get(name)
        if known is not None and done < known.n:  # the next run of a sweep begins
            known.close()
            known = None
            self._told.clear()
        bar = tqdm(total=total, desc=name, disable=None) if known is None else known
        self._bars[name] = bar
        bar.update(done - bar.n)
