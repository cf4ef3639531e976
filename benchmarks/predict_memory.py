"""Memory of predicting large scans with 100 classes on the CPU, whose logits alone would be 31 and 84 GB.

From a file to a mask, through the recipe of `segtrain predict`, with a tiny network that was never trained.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.commands import ROOT, table

CLASSES = 100
SHAPES = ((512, 512, 300), (800, 512, 512))
WINDOW = (64, 64, 64)
GOAL_GB = 3.0


def predict_here(folder: Path) -> None:
    """In a process of its own: predict a scan, and print the seconds and the most memory that was held."""
    import torch

    import segtrain.cli.app  # noqa: F401 - what the command imports too
    from segtrain.core.case import Case, ScanSource
    from segtrain.core.machine import peak_ram_bytes
    from segtrain.inference.predict import Ensemble
    from segtrain.metrics.settings import EvaluationSettings
    from segtrain.recipes.scoring.predict_cases import Manner, predict_cases

    torch.set_num_threads(2)
    case = Case("large", "large", (ScanSource(folder / "large.nii.gz"),))
    before = peak_ram_bytes() or 0
    began = time.perf_counter()
    for event in predict_cases(Ensemble((untrained(),)), [case], folder / "out", EvaluationSettings(), Manner()):
        print(type(event).__name__, getattr(event, "text", ""), getattr(event, "message", ""), file=sys.stderr)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "before_bytes": before, "peak_bytes": peak_ram_bytes()}))


def untrained():  # type: ignore[no-untyped-def]
    """A network of two stages with an output for each class."""
    import torch

    from segtrain.core.plan import ChannelIntensity, Plan
    from segtrain.core.task import Task
    from segtrain.inference.predict import Predictor
    from segtrain.inference.settings import InferenceSettings
    from segtrain.models.settings import ModelSettings
    from segtrain.recipes.assemble import Answer, make_model

    plan = Plan(
        dims=3,
        spacing_mm=(0.8, 0.8, 1.0),
        patch_size=WINDOW,
        batch_size=2,
        widths=(4, 8),
        strides=((2, 2, 2),),
        kernels=((3, 3, 3),) * 2,
        convolutions=(1, 1),
        intensity=(ChannelIntensity(channel="CT", rule="ct", lower=-1000, upper=1000, mean=0, std=300),),
    )
    task = Task(labels={"background": 0, **{f"organ_{i}": i for i in range(1, CLASSES)}})
    model = make_model(plan, ModelSettings(), Answer("multiclass", "softmax", CLASSES), seed=0)
    return Predictor(model, plan, task, "softmax", InferenceSettings(), torch.device("cpu"))


def write_scan(shape: tuple[int, int, int], path: Path) -> None:
    from segtrain.core.grid import Grid
    from segtrain.core.volume import Volume
    from segtrain.data.files.nifti import write_nifti_image

    rng = np.random.default_rng(0)
    coarse = rng.normal(0, 300, [n // 4 for n in shape]).astype(np.int16)
    voxels = coarse.repeat(4, 0).repeat(4, 1).repeat(4, 2)
    write_nifti_image(path, Volume(voxels[None], Grid(shape, np.diag([0.8, 0.8, 1.0, 1.0]))))


def main() -> None:
    rows = []
    for shape in SHAPES:
        with tempfile.TemporaryDirectory() as name:
            write_scan(shape, Path(name) / "large.nii.gz")
            command = [sys.executable, "-m", "benchmarks.predict_memory", name]
            done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        logits = 4 * CLASSES * int(np.prod(shape, dtype=np.int64)) / 1e9
        peak = found["peak_bytes"] / 1e9
        rows.append(["x".join(map(str, shape)), f"{logits:.0f}", f"{peak:.2f}", f"{found['seconds']:.0f}"])
        print(f"{rows[-1]}: done", file=sys.stderr, flush=True)
    table(["voxels", "all logits (GB)", "peak memory (GB)", "seconds"], rows)
    print(f"\n{CLASSES} classes, windows of {WINDOW}, two threads. Goal: {GOAL_GB:g} GB for the first.")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        predict_here(Path(sys.argv[1]))
    else:
        main()
