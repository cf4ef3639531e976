"""CPU time of a patch on one thread: cut and augmented, by segtrain and by nnU-Net's own pipeline.

nnU-Net's side is timed where batchgeneratorsv2 can be imported: a patch cut with room for turns, as nnUNetDataLoader
cuts it, and the transforms of nnUNetTrainer.get_training_transforms but for the mirroring, which segtrain leaves out
too. Both take turns, patch by patch, on the same volume in memory.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.commands import table
from segtrain.core.grid import Grid
from segtrain.core.plan import ChannelIntensity, Plan
from segtrain.data.augment.apply import apply
from segtrain.data.augment.draw import Change, draw
from segtrain.data.augment.frame import frame_of
from segtrain.data.augment.motion import margin_of
from segtrain.data.patches import PatchSampler, cut_box
from segtrain.data.settings import AugmentSettings, PatchSettings
from segtrain.data.store import StoredCase, foreground_centres

PATCHES = 400
KINDS = ("nothing", "motion", "noise", "smoothing", "brightness", "contrast", "gamma", "several")
ROOM = {(40, 56, 40): (73, 80, 64), (96, 96, 96): (154, 154, 154)}
"""Patch -> what nnU-Net cuts for it (compute_initial_patch_size.get_patch_size with turns of 30 degrees)."""

Shape = tuple[int, int, int]
Make = Callable[[int], object]


def plan_of(patch: Shape) -> Plan:
    rule = ChannelIntensity(channel="T1", rule="zscore")
    topology = {"strides": ((2, 2, 2),) * 3, "kernels": ((3, 3, 3),) * 4, "convolutions": (1, 2, 2, 2)}
    size = {"patch_size": patch, "batch_size": 2, "widths": (8, 16, 32, 64)}
    return Plan(dims=3, spacing_mm=(1.0, 1.0, 1.0), intensity=(rule,), **size, **topology)


def case_of(patch: Shape) -> StoredCase:
    """A volume of noise, half as large again as the patch, with a ball and a smaller one in it."""
    shape = tuple(n * 3 // 2 for n in patch)
    rng = np.random.default_rng(0)
    image = rng.normal(size=(1, *shape)).astype(np.float32)
    from_centre = np.linalg.norm(np.indices(shape).T / shape[::-1] - 0.5, axis=-1).T
    classes = ((from_centre < 0.3).astype(np.uint8) + (from_centre < 0.15)).astype(np.uint8)
    grid = Grid(shape, np.eye(4))
    arrays = {"image": image, "classes": classes, "centres": foreground_centres("volume", classes)}
    return StoredCase("volume", "", arrays, grid, grid)


class Ours:
    """As the loader makes a sample."""

    def __init__(self, patch: Shape, settings: AugmentSettings) -> None:
        plan = plan_of(patch)
        self.frame = frame_of(plan)
        self.settings = settings
        self.sampler = PatchSampler([case_of(patch)], plan, PatchSettings(), seed=0)

    def __call__(self, index: int) -> object:
        change = draw(self.settings, self.frame, 0, index)
        patch = self.sampler.cut_wider(index, margin_of(change.motion, self.frame))
        return apply([change], [patch], self.frame, torch.device("cpu"))


def nnunet(patch: Shape) -> Make:
    """A patch as nnU-Net's loader makes it. ImportError where batchgeneratorsv2 is not installed."""
    transforms = nnunet_transforms(patch)
    case = case_of(patch)
    wide = np.array(ROOM[patch])
    rng = np.random.default_rng(0)

    def make(index: int) -> object:
        del index
        start = rng.integers(0, np.array(case.classes.shape) - patch + 1) - (wide - patch) // 2
        image = torch.from_numpy(cut_box(case.image, start, wide)).float()
        classes = torch.from_numpy(cut_box(case.classes, start, wide).astype(np.int16)[None])
        return transforms(image=image, segmentation=classes)

    return make


def nnunet_transforms(patch: Shape) -> Callable[..., object]:
    """nnUNetTrainer.get_training_transforms, release 2.8.1, for isotropic patches."""
    from batchgeneratorsv2.transforms.intensity.brightness import MultiplicativeBrightnessTransform
    from batchgeneratorsv2.transforms.intensity.contrast import BGContrast, ContrastTransform
    from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
    from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
    from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
    from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
    from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
    from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
    from batchgeneratorsv2.transforms.utils.random import RandomTransform
    from batchgeneratorsv2.transforms.utils.remove_label import RemoveLabelTansform

    angle = np.deg2rad(30)
    space = SpatialTransform(
        patch, patch_center_dist_from_border=0, random_crop=False, p_elastic_deform=0, p_rotation=0.2,
        rotation=(-angle, angle), p_scaling=0.2, scaling=(0.7, 1.4), p_synchronize_scaling_across_axes=1,
        bg_style_seg_sampling=False, border_mode_seg="constant", padding_value_seg=-1,
    )  # fmt: skip
    factor, exponent = BGContrast((0.75, 1.25)), BGContrast((0.7, 1.5))
    blur = GaussianBlurTransform((0.5, 1.0), False, False, 0.5, benchmark=True)
    low = SimulateLowResolutionTransform((0.5, 1), False, True, None, None, 0.5)
    values = [
        RandomTransform(GaussianNoiseTransform((0, 0.1), 1, True), 0.1),
        RandomTransform(blur, 0.2),
        RandomTransform(MultiplicativeBrightnessTransform(factor, False, 1), 0.15),
        RandomTransform(ContrastTransform(factor, True, False, 1), 0.15),
        RandomTransform(low, 0.25),
        RandomTransform(GammaTransform(exponent, 1, False, 1, 1), 0.1),
        RandomTransform(GammaTransform(exponent, 0, False, 1, 1), 0.3),
    ]
    return ComposeTransforms([space, *values, RemoveLabelTansform(-1, 0)])


def kind_of(change: Change) -> str:
    """The one thing that a sample of one channel drew."""
    (channel,) = change.channels
    drawn = {
        "motion": change.motion,
        "noise": change.noise,
        "smoothing": channel.sigma_voxels or channel.zoom,
        "brightness": channel.brightness,
        "contrast": channel.contrast,
        "gamma": channel.gamma or channel.inverted_gamma,
    }
    found = [name for name, value in drawn.items() if value is not None]
    return "nothing" if not found else found[0] if len(found) == 1 else "several"


def milliseconds(make: Make, index: int) -> float:
    """CPU time of this thread, which other processes do not count into."""
    started = time.thread_time()
    make(index)
    return 1e3 * (time.thread_time() - started)


def compare(patch: Shape) -> None:
    ours = Ours(patch, AugmentSettings())
    makers: dict[str, Make] = {
        "segtrain": ours,
        "segtrain, augmentation.share=0": Ours(patch, AugmentSettings(share=0)),
    }
    try:
        makers["nnU-Net (batchgeneratorsv2)"] = nnunet(patch)
    except ImportError as error:
        print(f"nnU-Net's pipeline is left out: {error}\n")
    for make in makers.values():
        for index in range(20):
            make(PATCHES + index)
    times = {name: [] for name in makers}
    for index in range(PATCHES):
        for name, make in makers.items():
            times[name].append(milliseconds(make, index))
    shape = "x".join(map(str, patch))
    print(f"\n{shape} voxels, one channel, mean and median of {PATCHES} patches:\n")
    rows = [[name, f"{statistics.mean(found):.2f}", f"{statistics.median(found):.2f}"] for name, found in times.items()]
    table(["a patch, cut and augmented", "mean (ms of one core)", "median"], rows)
    print()
    kinds = [kind_of(draw(ours.settings, ours.frame, 0, index)) for index in range(PATCHES)]
    rows = []
    for kind in KINDS:
        found = [ms for ms, drawn in zip(times["segtrain"], kinds, strict=True) if drawn == kind]
        if found:
            rows.append([kind, f"{len(found) / PATCHES:.2f}", f"{statistics.mean(found):.2f}"])
    table(["what segtrain drew", "share of patches", "mean (ms of one core)"], rows)


def main() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        for patch in ROOM:
            compare(patch)
    torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
