"""Progress of a recipe that is called from Python: tqdm bars on a terminal or in a notebook, nothing elsewhere."""

from __future__ import annotations

from typing import Any

from tqdm.auto import tqdm

from segtrain.core.events import CaseFailed, CasePrepared, CaseScored, Event, Finished, RunEnded, StepEnded, Validated


class Bars:
    """Called with every event; one bar for each kind of work."""

    def __init__(self) -> None:
        self._bars: dict[str, Any] = {}

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case CasePrepared(_, done, total):
                self._move("preparing", done, total)
            case StepEnded(step, total, _):
                self._move("training", step, total)
            case Validated(_, mean, _):
                known = {name: f"{value:.3f}" for name, value in mean.items() if value is not None}
                self._bars["training"].set_postfix(known)
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

    def _move(self, name: str, done: int, total: int) -> None:
        known = self._bars.get(name)
        if known is not None and done < known.n:  # the next run of a sweep begins
            known.close()
            known = None
        bar = tqdm(total=total, desc=name, disable=None) if known is None else known
        self._bars[name] = bar
        bar.update(done - bar.n)
