"""A training step of the network alone: the package's CPU operations against the plain ones of PyTorch, on one thread.

The hippocampus network (widths 8 to 64, 40x56x40, batch 2), Dice and cross-entropy, AdamW, on a batch that lies there.
Processor time, not wall time, in turns, so that what else runs on the machine takes part in both alike. Then a window
of prediction, and where the time of a step goes.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.commands import table
from segtrain.core.plan import ChannelIntensity, Plan
from segtrain.losses import build_loss
from segtrain.losses.combine import DeepSupervision
from segtrain.models import cpu_operations
from segtrain.models.settings import ModelSettings
from segtrain.models.unet import UNet

PLAN = Plan(
    dims=3,
    spacing_mm=(1, 1, 1),
    patch_size=(40, 56, 40),
    batch_size=2,
    widths=(8, 16, 32, 64),
    strides=((2, 2, 2),) * 3,
    kernels=((3, 3, 3),) * 4,
    convolutions=(1, 2, 2, 2),
    intensity=(ChannelIntensity(channel="T1", rule="zscore"),),
)
TURNS, PROFILED = 15, 8
LAST = torch.channels_last_3d
SHARES = {
    "convolutions": ("conv",),
    "normalisation and activation": ("norm", "relu"),
    "loss": ("softmax", "deepsupervision"),
    "optimiser": ("adam", "optimizer", "linalg", "foreach"),
    "heads": ("bmm", "pointwise"),
    "copies and sums": ("cat", "copy", "add", "fill", "zero"),
}
"""Part of a step -> what the names of its operations hold."""

Step = Callable[[], object]


@contextmanager
def plain() -> Iterator[None]:
    """PyTorch's own operations."""
    kept, cpu_operations.applies = cpu_operations.applies, lambda *_: False
    try:
        yield
    finally:
        cpu_operations.applies = kept


def step_of(layout: torch.memory_format) -> Step:
    """A whole training step of a new network."""
    model = UNet(PLAN, ModelSettings(), outputs=3, seed=0).to(memory_format=layout)
    loss = DeepSupervision(build_loss("dice_ce", "multiclass"), model.levels)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    random = torch.Generator().manual_seed(0)
    images = torch.randn(2, 1, *PLAN.patch_size, generator=random).to(memory_format=layout)
    classes = torch.randint(0, 3, (2, *PLAN.patch_size), generator=random)

    def step() -> None:
        value = loss(model(images), classes)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    return step


def window_of(batch: int) -> Step:
    """Windows predicted at once."""
    model = UNet(PLAN, ModelSettings(), outputs=3, seed=0).to(memory_format=LAST).eval()
    images = torch.randn(batch, 1, *PLAN.patch_size).to(memory_format=LAST)

    def predict() -> object:
        with torch.inference_mode():
            return model(images)

    return predict


def as_plain(step: Step) -> Step:
    def run() -> None:
        with plain():
            step()

    return run


def milliseconds(steps: dict[str, Step]) -> dict[str, float]:
    """Least processor time of each, in turns."""
    found: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(TURNS):
        for name, step in steps.items():
            began = time.process_time()
            step()
            found[name].append(1e3 * (time.process_time() - began))
    return {name: min(times) for name, times in found.items()}


def shares(step: Step) -> list[tuple[str, str]]:
    """Where the time of a step goes."""
    step()
    with profile(activities=[ProfilerActivity.CPU]) as watched:
        for _ in range(PROFILED):
            step()
    spent: Counter[str] = Counter()
    for event in watched.key_averages():
        name = event.key.lower()
        part = next((part for part, words in SHARES.items() if any(word in name for word in words)), "all else")
        spent[part] += event.self_cpu_time_total
    return [(part, f"{100 * time_us / spent.total():.0f} %") for part, time_us in spent.most_common()]


def main() -> None:
    torch.set_num_threads(1)
    found = milliseconds(
        {
            "training step, contiguous, plain": as_plain(step_of(torch.contiguous_format)),
            "training step, channels last, plain": as_plain(step_of(LAST)),
            "training step, channels last": step_of(LAST),
            "prediction of one window, plain": as_plain(window_of(1)),
            "prediction of one window": window_of(1),
            "prediction of two windows, plain": as_plain(window_of(2)),
            "prediction of two windows": window_of(2),
        }
    )
    table(["what", "ms"], [(name, f"{ms:.0f}") for name, ms in found.items()])
    print("\nOf a training step (operations of the profiler, by name):\n")
    table(["part", "share"], shares(step_of(LAST)))


if __name__ == "__main__":
    main()
