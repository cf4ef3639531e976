"""Losses against MONAI's: forward and backward, interleaved in one process, and the memory beside logits and gradient.

Lovász has no MONAI twin: there the peer is Berman's published algorithm, one sort a class, as other libraries run it.
"""

import statistics
import time
from collections.abc import Callable

import torch
from monai.losses import (
    DiceCELoss,
    DiceFocalLoss,
    DiceLoss,
    FocalLoss,
    GeneralizedDiceLoss,
    HausdorffDTLoss,
    TverskyLoss,
)
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks.commands import table
from segtrain.losses import build_loss

Loss = Callable[[Tensor, Tensor], Tensor]

RUNS = 15
SLOW_RUNS = 3
SHAPES = ((2, 4, 96, 96, 96), (1, 14, 96, 96, 96))
GOALS = {
    "dice": (0.9, 0.5),
    "generalized_dice": (0.9, 0.5),
    "dice_ce": (0.55, 0.3),
    "tversky": (0.5, 0.4),
    "focal": (0.5, 0.4),
    "dice_focal": (0.3, 0.25),
    "lovasz_softmax": (0.3, 0.3),
    "hausdorff_dt": (0.1, 0.1),
}
SLOW = ("lovasz_softmax", "hausdorff_dt")
SMOOTH = {"smooth_nr": 1e-5, "smooth_dr": 1e-5}
FOREGROUND = {"softmax": True, "to_onehot_y": True, "include_background": False}


def peers() -> dict[str, Loss]:
    """The same losses elsewhere."""
    return {
        "dice": DiceLoss(**FOREGROUND, **SMOOTH),
        "generalized_dice": GeneralizedDiceLoss(softmax=True, to_onehot_y=True),
        "dice_ce": DiceCELoss(**FOREGROUND, **SMOOTH),
        "tversky": TverskyLoss(**FOREGROUND, **SMOOTH, alpha=0.3, beta=0.7),
        "focal": FocalLoss(use_softmax=True, to_onehot_y=True),
        "dice_focal": DiceFocalLoss(**FOREGROUND, **SMOOTH),
        "lovasz_softmax": lovasz_as_published,
        "hausdorff_dt": HausdorffDTLoss(**FOREGROUND),
    }


def lovasz_as_published(logits: Tensor, target: Tensor) -> Tensor:
    """Berman 2018, Alg. 1: errors of each class sorted, dotted with the differences of the Jaccard index."""
    classes = logits.shape[1]
    probabilities = logits.softmax(1).movedim(1, -1).reshape(-1, classes)
    labels = target.flatten()
    values = []
    for label in range(classes):
        truth = (labels == label).float()
        errors, order = torch.sort((truth - probabilities[:, label]).abs(), descending=True)
        found = truth[order]
        jaccard = 1 - (found.sum() - found.cumsum(0)) / (found.sum() + (1 - found).cumsum(0))
        jaccard[1:] = jaccard[1:] - jaccard[:-1].clone()
        values.append(torch.dot(errors, jaccard))
    return torch.stack(values).mean()


def seconds(loss: Loss, logits: Tensor, target: Tensor) -> float:
    """One forward and backward."""
    x = logits.clone().requires_grad_()
    started = time.perf_counter()
    loss(x, target).backward()
    return time.perf_counter() - started


def extra_memory(loss: Loss, logits: Tensor, target: Tensor) -> float:
    """Largest memory of torch beside logits and gradient, in multiples of the logits."""
    x = logits.clone().requires_grad_()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        loss(x, target).backward()
    held = peak = 0
    for event in watched.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return peak / logits.nbytes - 1


def compare(name: str, peer: Loss, shape: tuple[int, ...]) -> list[object]:
    """A row of the table."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator)
    target = torch.randint(0, shape[1], (shape[0], 1, *shape[2:]), generator=generator)
    ours = build_loss(name, **({"alpha": None} if name in ("focal",) else {}))
    runs = 1 + (SLOW_RUNS if name in SLOW else RUNS)
    pairs = [(seconds(ours, logits, target), seconds(peer, logits, target)) for _ in range(runs)][1:]
    ratio = statistics.median(a / b for a, b in pairs)
    milliseconds = [f"{statistics.median(times) * 1e3:.0f}" for times in zip(*pairs, strict=True)]
    memory = [f"{extra_memory(loss, logits, target):.2f}" for loss in (ours, peer)]
    goal = GOALS[name][SHAPES.index(shape)]
    return [name, shape[1], *milliseconds, f"{ratio:.2f}", goal, *memory]


def main() -> None:
    torch.set_num_threads(2)
    others = peers()
    rows = [compare(name, others[name], shape) for shape in SHAPES for name in GOALS]
    header = ["loss", "classes", "ours (ms)", "peer (ms)", "ratio", "goal", "extra memory ours", "extra memory peer"]
    table(header, rows)
    print(f"\nMedians of {RUNS} ({SLOW_RUNS} for {', '.join(SLOW)}), float32, two threads, logits of {SHAPES}.")
    print("Extra memory is torch's largest beside logits and gradient, as a multiple of the logits.")


if __name__ == "__main__":
    main()
