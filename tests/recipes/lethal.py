"""Preparation that costs its process its life; a worker imports it by its name, and little else."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from segtrain.recipes.one_case import Preparation, Worked, make_prepared


def at_p1(job: Preparation) -> Worked[Path]:
    """Case P1_a kills the process that prepares it."""
    if job.case.id == "P1_a":
        os.kill(os.getpid(), signal.SIGKILL)
    return make_prepared(job)


def at_p1_once(job: Preparation) -> Worked[Path]:
    """Case P1_a is prepared at the second try."""
    mark = job.store.parent / "tried"
    if job.case.id != "P1_a" or mark.exists():
        return make_prepared(job)
    mark.touch()
    return at_p1(job)
