"""Tiny studies on the disk, and ways to run a recipe to where a test wants it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from segtrain.config.load import Loaded, load_config
from segtrain.core.events import Event, Finished, StepEnded
from segtrain.core.volume import LabelMap
from segtrain.data.files.nifti import write_nifti, write_nifti_image
from tests import phantoms

T = TypeVar("T")

SHAPE = (16, 16, 12)

CASES = ("P0_a", "P0_b", "P1_a", "P2_a", "P3_a")
"""Two scans of one patient, one of three others."""

CONFIG = """\
data: {images: images, labels: labels, channels: [T1], patient_from: '(P\\d+)_'}
task: {labels: {background: 0, organ: 1}}
model: {widths: [4, 8], patch_size: [16, 8, 8]}
loss: {name: dice_ce}
training: {epochs: 2, steps_per_epoch: 3, batch_size: 1, learning_rate: 1e-2, folds: 2}
inference: {overlap: 0}
"""

BROKEN_LOSS = """\
from torch import nn

class Breaks(nn.Module):
    '''Sound on the cube of the self-test, no number on a training patch.'''

    def forward(self, logits, target, mask=None):
        value = logits.square().mean()
        return value if logits[0, 0].numel() == 512 else value * float("nan")

class Vector(nn.Module):
    '''One number a sample, which the self-test refuses.'''

    def forward(self, logits, target, mask=None):
        return logits.square().flatten(1).mean(1)
"""

DEADLY_LOSS = """\
import os, signal
from pathlib import Path
import torch
from segtrain.execution.child import slot

HERE = Path(__file__).parent

class Deadly(torch.nn.Module):
    '''Ends the process of a run until a file `alive` lies beside it; not where the sweep itself tries it.'''

    def forward(self, logits, target):
        if slot() is not None and not (HERE / "alive").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return torch.nn.functional.cross_entropy(logits, target.long())
"""

OWN_METRIC = """\
from dataclasses import replace
from segtrain.metrics.overlap import Dice

class Missed(Dice):
    card = replace(Dice.card, name="missed", best="lower")

    def measure(self, pair):
        return 1 - super().measure(pair)
"""

CANARY = "raise SystemExit('foreign code was imported')\n"


def write_case(root: Path, name: str, seed: int = 0, label: int = 1) -> None:
    """`images/NAME.nii.gz` and `labels/NAME.nii.gz` of one ellipsoid, whose id is `label`."""
    image, mask = phantoms.scan(phantoms.grid(SHAPE), seed=seed)
    write_nifti_image(root / "images" / f"{name}.nii.gz", image)
    write_nifti(root / "labels" / f"{name}.nii.gz", LabelMap(mask.array * np.uint8(label), mask.grid))


def write_study(root: Path, text: str = CONFIG, cases: Sequence[str] = CASES) -> Path:
    """A folder of scans with their masks and `config.yaml`, whose path is returned."""
    for seed, name in enumerate(cases):
        write_case(root, name, seed)
    config = root / "config.yaml"
    config.write_text(text, encoding="utf-8")
    return config


def load(folder: Path, *overrides: str, text: str | None = None) -> Loaded:
    """The config in `folder`; `text` is put there first."""
    path = folder / "config.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    return load_config(path, overrides)


def result_of(work: Generator[Event, None, T]) -> T:
    """What a generator of events returns."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def finished(events: Iterable[Event]) -> Finished:
    """The last event."""
    *_, last = events
    assert isinstance(last, Finished)
    return last


def close_at(events: Generator[Event, None, None], wanted: Callable[[Event], bool]) -> Event:
    """Take events until one is wanted, then break off as an interrupted command does."""
    found = next(event for event in events if wanted(event))
    events.close()
    return found


def step(number: int) -> Callable[[Event], bool]:
    """Whether an event ends that step."""
    return lambda event: isinstance(event, StepEnded) and event.step == number
