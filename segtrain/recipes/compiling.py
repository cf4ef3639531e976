"""`training.compile`: steps through torch.compile where that pays, which is measured and told.

Compiling takes a minute or more, and what it wins differs: on two CPU cores nothing (docs/benchmarks.md). So a few
steps are timed with and without it, and it is used where the whole training gains more than compiling costs. run.json
keeps the decision: a resumed run computes as it began.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Generator
from contextlib import closing

import torch

from segtrain.core.events import Event, Note
from segtrain.recipes.budget import MOST_TIMED, START_UP, seconds_per_step
from segtrain.recipes.job import Job, new_state
from segtrain.training.loop import train

ENOUGH_SECONDS = 10.0
"""Of timing on either side, beyond the fewest steps."""


def compile_where_it_pays(job: Job, known: bool | None) -> Generator[Event, None, None]:
    """Let the steps of a job go through torch.compile, where that was `known` to pay or does now; says which."""
    if known is None:
        plain, _ = _timed(job, compiled=False)
        try:
            faster, spent = _timed(job, compiled=True)
        except Exception as error:  # whatever a compiler is missing or trips over, the plain network is there
            why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            yield Note(f"torch.compile does not work here, and is not used ({why})")
            return
        known = (plain - faster) * (job.state.total_steps - job.state.step) > spent
        verdict = "used" if known else "not used, for the training would not win that back"
        pace = f"{faster:.3g} s a step instead of {plain:.3g} s"
        yield Note(f"torch.compile: {pace}, after {spent:.0f} s of compiling: {verdict}")
    if known:
        job.state.compiled = torch.compile(job.state.model)  # type: ignore[assignment]


def _timed(job: Job, *, compiled: bool) -> tuple[float, float]:
    """Seconds a step of a copy of the network, and seconds of the start-up."""
    settings = job.loaded.config.training
    model = copy.deepcopy(job.state.model)
    most = START_UP + MOST_TIMED
    trial = new_state(model, settings, most + 1)
    if compiled:
        trial.compiled = torch.compile(model)  # type: ignore[assignment]
    began = time.perf_counter()
    with closing(job.loader.batches(0, most)) as batches:
        pace = seconds_per_step(train(trial, batches, job.loss, settings, job.device), trial, ENOUGH_SECONDS, bool)
    return pace, max(0.0, time.perf_counter() - began - pace * trial.step)
