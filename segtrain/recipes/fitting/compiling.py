"""`training.compile`: steps through torch.compile where that pays, which is measured and told.

Compiling takes a minute or more, and what it wins differs: on two CPU cores nothing (docs/benchmarks.md). So a few
steps are timed with and without it, and it is used where the whole training gains more than compiling costs. run.json
keeps the decision: a resumed run computes as it began.
"""

from __future__ import annotations

from collections.abc import Generator

import torch

from segtrain.core.errors import SegtrainError
from segtrain.core.events import Event, Note
from segtrain.recipes.fitting.budget import timed
from segtrain.recipes.fitting.job import Job

ENOUGH_SECONDS = 10.0
"""Of timing on either side, beyond the fewest steps."""


def compile_where_it_pays(job: Job, known: bool | None) -> Generator[Event, None, None]:
    """Let the steps of a job go through torch.compile, where that was `known` to pay or does now; says which."""
    if known is None:
        plain = timed(job, ENOUGH_SECONDS)
        try:
            faster = timed(job, ENOUGH_SECONDS, torch.compile)  # type: ignore[arg-type]
        except SegtrainError:
            raise
        except Exception as error:  # whatever a compiler is missing or trips over, the plain network is there
            why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            yield Note(f"torch.compile does not work here, and is not used ({why})")
            return
        won = (plain.step_seconds - faster.step_seconds) * (job.state.total_steps - job.state.step)
        known = won > faster.start_up_seconds
        verdict = "used" if known else "not used, for the training would not win that back"
        pace = f"{faster.step_seconds:.3g} s a step instead of {plain.step_seconds:.3g} s"
        yield Note(f"torch.compile: {pace}, after {faster.start_up_seconds:.0f} s of compiling: {verdict}")
    if known:
        job.state.compiled = torch.compile(job.state.model)  # type: ignore[assignment]
