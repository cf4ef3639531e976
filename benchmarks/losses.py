"""Losses against their peers': forward and backward, interleaved in one process, and memory beside logits and gradient.

The peer is MONAI. Lovász has no MONAI twin: there it is Berman's published algorithm, one sort a class, as other
libraries run it. Dice with cross-entropy is measured against nnU-Net's too, where that is installed (its losses need
none of its dependencies: `pip install --no-deps nnunetv2`).
"""

import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import torch
from monai.losses import (
    DiceCELoss,
    DiceFocalLoss,
    DiceLoss,
    FocalLoss,
    GeneralizedDiceLoss,
    HausdorffDTLoss,
    SoftclDiceLoss,
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
    "cldice": (0.3, 0.3),
    "hausdorff_dt": (0.1, 0.1),
}
SLOW = ("lovasz_softmax", "cldice", "hausdorff_dt")
HALF = ("dice", "dice_ce", "tversky", "focal")
OPTIONS: dict[str, dict[str, Any]] = {"focal": {"alpha": None}, "dice_focal": {"focal": {"alpha": None}}}
"""What makes ours the loss that the peer has by default."""
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
        "cldice": SoftclDiceLoss(iter_=3, **FOREGROUND),
        "hausdorff_dt": HausdorffDTLoss(**FOREGROUND),
    }


def nnunet() -> Loss | None:
    """Dice and cross-entropy of nnU-Net; None where it is not installed."""
    try:
        from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
        from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
    except ImportError:
        return None
    dice = {"batch_dice": False, "smooth": 1e-5, "do_bg": False, "ddp": False}
    return DC_and_CE_loss(dice, {}, weight_ce=1, weight_dice=1, dice_class=MemoryEfficientSoftDiceLoss)


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
    """Largest memory of torch and numpy beside logits and gradient, in multiples of the logits.

    The two peaks need not meet in time, so their sum is a bound from above.
    """
    x = logits.clone().requires_grad_()
    loss(x, target).backward()
    x.grad = None
    tracemalloc.start()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        loss(x, target).backward()
    _, in_numpy = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    held = peak = 0
    for event in watched.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return (peak + in_numpy) / logits.nbytes - 1


def sample(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Logits and labels, random."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator)
    return logits, torch.randint(0, shape[1], (shape[0], 1, *shape[2:]), generator=generator)


def paired(first: Callable[[], float], second: Callable[[], float], runs: int) -> tuple[str, str, str]:
    """Milliseconds of the two, and the median of their ratios; one pair more warms up."""
    pairs = [(first(), second()) for _ in range(runs + 1)][1:]
    one, other = (f"{statistics.median(times) * 1e3:.0f}" for times in zip(*pairs, strict=True))
    return one, other, f"{statistics.median(a / b for a, b in pairs):.2f}"


def against(name: str, peer: Loss, goal: float, shape: tuple[int, ...]) -> list[object]:
    """A row of the table of peers."""
    logits, target = sample(shape)
    ours = build_loss(name, **OPTIONS.get(name, {}))
    runs = SLOW_RUNS if name in SLOW else RUNS
    times = paired(lambda: seconds(ours, logits, target), lambda: seconds(peer, logits, target), runs)
    memory = [f"{extra_memory(loss, logits, target):.2f}" for loss in (ours, peer)]
    return [name, shape[1], *times, goal, *memory]


def halves(name: str, shape: tuple[int, ...]) -> list[object]:
    """A row of the table of bf16 logits."""
    logits, target = sample(shape)
    half = logits.bfloat16()
    loss = build_loss(name, **OPTIONS.get(name, {}))
    times = paired(lambda: seconds(loss, half, target), lambda: seconds(loss, logits, target), RUNS)
    x = half.clone().requires_grad_()
    value = loss(x, target)
    value.backward()
    apart = abs(value.item() - loss(logits, target).item())
    return [name, shape[1], *times, f"{apart:.1e}", "yes" if torch.isfinite(x.grad).all() else "NO"]


def main() -> None:
    torch.set_num_threads(2)
    others = peers()
    extra_memory(others["dice"], *sample((1, 2, 4, 4, 4)))  # the first profile imports much
    rows = [against(name, others[name], GOALS[name][i], shape) for i, shape in enumerate(SHAPES) for name in GOALS]
    if theirs := nnunet():
        rows += [["dice_ce (nnU-Net)", *against("dice_ce", theirs, 1.0, shape)[1:]] for shape in SHAPES]
    header = ["loss", "classes", "ours (ms)", "peer (ms)", "ratio", "goal", "extra memory ours", "extra memory peer"]
    table(header, rows)
    print(f"\nMedians of {RUNS} ({SLOW_RUNS} for {', '.join(SLOW)}), float32, two threads, logits of {SHAPES}.")
    print("Extra memory is the largest beside logits and gradient, as a multiple of the logits.\n")
    header = ["loss", "classes", "bf16 logits (ms)", "float32 (ms)", "ratio", "values apart", "gradient finite"]
    table(header, [halves(name, shape) for shape in SHAPES for name in HALF])


if __name__ == "__main__":
    main()
