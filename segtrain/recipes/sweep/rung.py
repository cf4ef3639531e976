"""One run of a sweep up to a rung: trained to the end of an epoch, stopped there, its held-out cases scored.

The fit is that of the whole length, with its schedule, and is closed while it waits at its checkpoint. It goes on from
there later as if it had not stopped, so that a loss which is not dropped ends with the weights it would have had.

What is scored is what the run would be judged by if it ended there: the best of the epochs that were validated so far,
or else the last one; the running average of the weights where there is one; whole cases on their own grids.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

from segtrain.core.case import Case
from segtrain.core.events import CheckpointSaved, EpochEnded, Event
from segtrain.inference.predict import Ensemble
from segtrain.metrics.settings import EvaluationSettings
from segtrain.recipes.lock import locked
from segtrain.recipes.run_folder import RunFolder
from segtrain.recipes.scoring.predict_cases import predict_cases
from segtrain.recipes.scoring.results_folder import PREDICTIONS
from segtrain.recipes.trained import last_checkpoint, predictor_of
from segtrain.reports.tables import write_cases_csv
from segtrain.training import checkpoint


def stopped_after(events: Generator[Event, None, None], epoch: int) -> Generator[Event, None, None]:
    """The events of a fit until the checkpoint of an epoch is on the disk; there the fit is closed."""
    ended = False
    with closing(events):
        for event in events:
            yield event
            ended = ended or (isinstance(event, EpochEnded) and event.epoch == epoch)
            if ended and isinstance(event, CheckpointSaved) and event.name == "last":
                return


def epochs_done(folder: RunFolder) -> float:
    """How far a run has come: whole epochs, and the part of one. CheckpointError where no copy of one is whole."""
    found = checkpoint.find(folder.last)
    if found is None:
        return 0.0
    about = checkpoint.read_about(found)
    return float(about["step"]) / float(about["steps_per_epoch"])


def score_rung(
    folder: RunFolder, cases: list[Case], evaluation: EvaluationSettings, out: Path, device: str
) -> Generator[Event, None, tuple[tuple[str, str], ...]]:
    """Predict the held-out cases with a run as it is, and write their scores by the headline metric to the file `out`.

    The masks are not kept. Returns the cases that failed, with the reason; then there is no file, since a loss is not
    judged by some of its cases.
    """
    headline = evaluation.model_copy(update={"metrics": evaluation.metrics[:1]})
    with locked(folder.path) as lock:
        kept = last_checkpoint(folder)
        network = predictor_of(kept, device=device, allow_code=True)  # the sweep names the code itself
        predicted = predict_cases(Ensemble((network,)), cases, out.parent, headline)
        outcome = yield from lock.guarded(predicted)
        shutil.rmtree(out.parent / PREDICTIONS, ignore_errors=True)
        if not outcome.failed:
            write_cases_csv(out, outcome.scores)  # the last: it says that all is done
    return outcome.failed
