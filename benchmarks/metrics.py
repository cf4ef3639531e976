"""Dice, IoU, HD95, ASSD and NSD of one pair of masks: ours beside its peers', in turns.

The peers are DeepMind's surface-distance, MONAI, and, where it is installed (`pip install --no-deps exacta==0.0.1a5`),
exacta, which is written in C++ and is asked for the same surfaces. Ours is called as `segtrain.metrics.score`.
"""

import statistics
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from benchmarks.commands import table
from segtrain.metrics import score

Mask = NDArray[np.uint8]
Spacing = tuple[float, ...]
Scorer = Callable[[Mask, Mask, Spacing], Any]

NAMES = ("dice", "iou", "hd95", "assd", "nsd")
TOLERANCE_MM = 2.0
TURNS = 5
GOALS = {"surface-distance": 0.2, "exacta": 0.5}


def organ(shape: tuple[int, ...], spacing_mm: Spacing, seed: int) -> NDArray[np.bool_]:
    """A blob of about two litres with a smoothly uneven wall."""
    noise = np.random.default_rng(seed).normal(size=[max(2, n // 16) for n in shape])
    wall = ndimage.zoom(noise, [n / m for n, m in zip(shape, noise.shape, strict=True)], order=1)
    axes = [(np.arange(n) - n / 2) * s for n, s in zip(shape, spacing_mm, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    inside: NDArray[np.bool_] = (x / 95) ** 2 + (y / 75) ** 2 + (z / 80) ** 2 + 0.06 * wall < 1
    return inside


def one_organ(*, island: bool) -> tuple[Mask, Mask, Spacing]:
    """A CT with one organ; the prediction differs along the whole wall, and may have a false positive in a corner."""
    shape, spacing_mm = (512, 512, 200), (0.8, 0.8, 2.5)
    prediction, reference = (organ(shape, spacing_mm, seed).astype(np.uint8) for seed in (1, 2))
    if island:
        prediction[20:23, 30:33, 5:7] = 1
    return prediction, reference, spacing_mm


def brain() -> tuple[Mask, Mask, Spacing]:
    """139 labels that fill a head; the prediction's borders lie a voxel or two beside."""
    shape, rng = (162, 214, 167), np.random.default_rng(0)
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    centre = np.array(shape) / 2
    head = np.square((places - centre) / (0.92 * centre)).sum(axis=-1) < 1
    voxels = np.argwhere(head)
    _, nearest = cKDTree(voxels[rng.choice(len(voxels), 139, replace=False)]).query(voxels)
    reference = np.zeros(shape, np.uint8)
    reference[head] = nearest + 1
    coarse = [1.2 * rng.normal(size=(10, 12, 10)) for _ in shape]
    moved = [ndimage.zoom(c, [n / m for n, m in zip(shape, c.shape, strict=True)], order=1) for c in coarse]
    index = [np.clip(np.rint(places[..., a] + moved[a]).astype(int), 0, shape[a] - 1) for a in range(3)]
    return reference[tuple(index)], reference, (1.0, 1.0, 1.0)


def ours(prediction: Mask, reference: Mask, spacing_mm: Spacing) -> list[float]:
    found = score(prediction, reference, spacing_mm, metrics=NAMES, nsd_tolerance_mm=TOLERANCE_MM)
    return [found["1"][name].value or 0.0 for name in NAMES]


def surface_distances(prediction: Mask, reference: Mask, spacing_mm: Spacing) -> list[float]:
    import surface_distance

    first: list[float] = []
    for label in range(1, int(reference.max()) + 1):
        p, r = prediction == label, reference == label
        found = surface_distance.compute_surface_distances(r, p, spacing_mm)
        both, areas = np.count_nonzero(p & r), (found["surfel_areas_gt"].sum(), found["surfel_areas_pred"].sum())
        total = np.count_nonzero(p) + np.count_nonzero(r)
        directed = surface_distance.compute_average_surface_distance(found)
        values = [
            2 * both / total,
            both / (total - both),
            surface_distance.compute_robust_hausdorff(found, 95),
            np.dot(directed, areas) / sum(areas),
            surface_distance.compute_surface_dice_at_tolerance(found, TOLERANCE_MM),
        ]
        first = first or [float(value) for value in values]
    return first


def monai(prediction: Mask, reference: Mask, spacing_mm: Spacing) -> list[float]:
    """Its default surfaces are voxels; NSD is asked for with subvoxels, where its value is ours."""
    from monai import metrics

    p, r = (torch.from_numpy(m)[None, None].float() for m in (prediction, reference))
    values = [
        metrics.compute_dice(p, r),
        metrics.compute_iou(p, r),
        metrics.compute_hausdorff_distance(p, r, percentile=95, spacing=spacing_mm),
        metrics.compute_average_surface_distance(p, r, symmetric=True, spacing=spacing_mm),
        metrics.compute_surface_dice(p, r, [TOLERANCE_MM], spacing=spacing_mm, use_subvoxels=True),
    ]
    return [value.item() for value in values]


def exacta(prediction: Mask, reference: Mask, spacing_mm: Spacing) -> list[float]:
    from exacta import functional

    p, r = (torch.from_numpy(m)[None].long() for m in (prediction, reference))
    options: dict[str, Any] = {"num_classes": int(reference.max()) + 1, "include_background": False}
    at: dict[str, Any] = {**options, "spacing": spacing_mm, "surface": "surfels"}
    values = [
        functional.dice(p, r, **options),
        functional.iou(p, r, **options),
        functional.hd95(p, r, **at),
        functional.assd(p, r, **at),
        functional.nsd(p, r, tolerance=TOLERANCE_MM, **at),
    ]
    return [value.reshape(-1)[0].item() for value in values]


def compare(pair: tuple[Mask, Mask, Spacing], scorers: dict[str, Scorer]) -> list[list[object]]:
    """A row for each scorer: seconds, and ours as a share of its."""
    seconds: dict[str, list[float]] = {name: [] for name in scorers}
    values: dict[str, list[float]] = {}
    for _ in range(TURNS):
        for name, scorer in scorers.items():
            started = time.perf_counter()
            values[name] = scorer(*pair)
            seconds[name].append(time.perf_counter() - started)
    rows: list[list[object]] = []
    for name, found in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(seconds["ours"], found, strict=True))
        goal = f"{GOALS[name]}" if name in GOALS else ""
        numbers = ", ".join(f"{value:.4f}" for value in values[name])
        rows.append([name, statistics.median(found), "" if name == "ours" else f"{ratio:.2f}", goal, numbers])
    return rows


def main() -> None:
    warnings.simplefilter("ignore")  # surface-distance asks SciPy by an old name, MONAI warns of itself
    scorers: dict[str, Scorer] = {"ours": ours, "surface-distance": surface_distances, "MONAI": monai}
    if find_spec("exacta") is None:
        print("exacta is left out: it is not installed\n")
    else:
        scorers["exacta"] = exacta
    header = ("", "seconds (median)", "ours / its", "goal", ", ".join(NAMES))
    for island in (False, True):
        print(f"one organ, 512x512x200, 0.8x0.8x2.5 mm{', with a false positive in a corner' if island else ''}\n")
        table(header, compare(one_organ(island=island), scorers))
        print()
    print("139 labels, 162x214x167, 1 mm (values: of the first label)\n")
    many = {name: scorer for name, scorer in scorers.items() if name != "MONAI"}
    table(header, compare(brain(), many))


if __name__ == "__main__":
    main()
