"""Cases a second of `segtrain predict`, from files to files, against nnU-Net's predictor: same network, same cases."""

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.commands import ROOT, real_data, segtrain, table
from benchmarks.training import PATCH, WIDTHS, nnunet
from segtrain.recipes.predict import predict

CASES, ROUNDS = 20, 5
"""Cases of a turn, and how often each side has its turn."""

NNUNET_WIDTHS = [32, 64, 128, 256]
"""What nnU-Net itself would take."""


def main() -> None:
    torch.set_num_threads(2)
    scans = real_data("hippocampus")
    if scans is None:
        return
    cases = sorted((scans / "images").glob("*.nii.gz"))[-CASES:]
    rows = [row for widths in (WIDTHS, NNUNET_WIDTHS) for row in compared(scans, cases, widths)]
    table(["widths", "other", "ours (cases/s)", "other (cases/s)", "ours over other"], rows)
    print(f"\nMedians of {ROUNDS} interleaved rounds of {len(cases)} cases, two threads, patch {PATCH}, overlap 0.5.")


def compared(scans: Path, cases: list[Path], widths: list[int]) -> list[list[object]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = ours_on(scans, cases, widths, folder / "segtrain")
        peer = nnunet(scans, folder / "nnunet", widths)
        if peer is None:
            return [[str(widths), "-", f"{len(cases) / seconds(ours):.2f}", "-", "-"]]
        from benchmarks.nnunet_predictor import NnunetPredictor

        theirs = NnunetPredictor(peer, cases, folder / "predicted")
        sides = {"nnU-Net 2.8.1": theirs.in_processes, "nnU-Net 2.8.1, one process": theirs.in_one_process}
        rounds = [[seconds(side) for side in (ours, *sides.values())] for _ in range(ROUNDS + 1)][1:]
        peer.close()
    own = [one[0] for one in rounds]
    return [
        [
            str(widths),
            name,
            f"{len(cases) / statistics.median(own):.2f}",
            f"{len(cases) / statistics.median(one[place] for one in rounds):.2f}",
            f"{statistics.median(one[place] / one[0] for one in rounds):.2f}",
        ]
        for place, name in enumerate(sides, start=1)
    ]


def ours_on(scans: Path, cases: list[Path], widths: list[int], folder: Path) -> Callable[[], None]:
    """A network of one step, and the recipe behind `segtrain predict` on links to the cases."""
    links, run = folder / "in", folder / "run"
    links.mkdir(parents=True)
    for case in cases:
        (links / case.name).symlink_to(case)
    places = (f"data.images={scans / 'images'}", f"data.labels={scans / 'labels'}")
    sizes = (f"model.widths={widths}", f"model.patch_size={PATCH}", "model.convolutions=[2, 2, 2, 2]")
    short = ("training.budget_minutes=null", "training.epochs=1", "training.steps_per_epoch=1")
    few = ("training.validation_share=0.02",)
    segtrain("fit", "--config", ROOT / "configs" / "hippocampus.yaml", *places, *sizes, *short, *few, "--run", run)

    def predicted() -> None:
        with contextlib.closing(predict(run, links, folder / "out", device="cpu", overwrite=True)) as events:
            for _ in events:
                pass

    return predicted


def seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
