"""The embedded data set, with a config that is ready to run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from segtrain.core.errors import ConfigError, Problem
from segtrain.core.files import disk_errors, write_text
from segtrain.data.synthetic import write_demo

CONFIG = """\
# The embedded data set: synthetic scans with a liver, a kidney and small lesions.
# Every key that is left out keeps its default; `segtrain check --config` lists every fault of this file.
data: {images: images, labels: labels, channels: [image], patient_from: '(P\\d+)_'}
task: {labels: {background: 0, liver: 1, kidney: 2, lesion: 3}}
model: {patch_size: [40, 40, 16]}
loss: {name: dice_ce}
patches: {foreground_share: 0.6}
training: {epochs: 6, steps_per_epoch: 30, learning_rate: 1e-2, validate_every: 2}
evaluation: {metrics: [dice, iou]}
compare:
  losses: [dice, dice_ce, {name: tversky, label: tversky_recall, fn_weight: 0.8, fp_weight: 0.2}]
  folds: 2
  seeds: [0]
  baseline: dice_ce
"""

HEADING = CONFIG.partition(":")[0]
"""How the config of a demo begins: no folder without one is ever emptied."""


def write_demo_project(folder: Path, *, overwrite: bool) -> dict[str, Any]:
    """Write scans and `config.yaml` to `folder`; returns what was written."""
    marker = folder / "config.yaml"
    if folder.exists() and any(folder.iterdir()):
        is_demo = marker.is_file() and marker.read_text(encoding="utf-8", errors="replace").startswith(HEADING)
        if not (overwrite and is_demo):
            why = "it is not empty" if is_demo else "it is not empty, and not a demo folder"
            hint = "--overwrite writes the demo anew" if is_demo else "give another folder"
            raise ConfigError(Problem("the demo is not written", str(folder), why, hint))
        with disk_errors(folder):
            shutil.rmtree(folder)
    write_demo(folder)
    write_text(marker, CONFIG)
    cases = len(list((folder / "images").iterdir()))
    tests = len(list((folder / "test" / "images").iterdir()))
    return {"schema_version": 1, "folder": str(folder), "cases": cases, "test_cases": tests, "config": str(marker)}
