"""Cross-entropy that looks at the labels around a voxel: the truth is less certain at a border."""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import AfterValidator, Field
from torch import Tensor

from segtrain.losses.arithmetic import ratio, weighted_mean
from segtrain.losses.asked import Asked
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.distribution import entropy_mean
from segtrain.losses.entropy import PLAIN
from segtrain.losses.options import Positive, Weight
from segtrain.losses.registry import register_loss
from segtrain.losses.voxels import Voxels


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError("a kernel has a middle voxel, so its size is odd")
    return size


KernelSize = Annotated[int, Field(ge=1), AfterValidator(_odd)]


@register_loss("nacl")
class NeighbourAwareCalibration(Loss):
    """Cross-entropy plus a pull of the logits towards the shares of the classes in the neighbourhood, for calibration.

    The pull never ends at 0: a perfect, certain answer is not its minimum. Neighbours that lie outside the image or do
    not count are left out of the shares.
    """

    family = "distribution"
    formula = "ce + alpha mean |u_c - x_c|, u_c = share of class c among the voxels of a cube around the voxel"
    paper = "Murugesan 2023, MICCAI, arXiv 2303.06268"
    good_for = "calibrated probabilities: logits are held near the shares of classes around a voxel"
    bad_at = "sharp certain answers, which its pull never lets be; values that say how far one is"
    modes = ("multiclass",)
    optimum = None

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        alpha: Annotated[Weight, "Weight of the pull."] = 0.1,
        kernel_size: Annotated[KernelSize, "Side of the cube, in voxels; odd."] = 3,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.alpha, self.kernel_size = alpha, kernel_size

    def asked(self) -> Asked:
        """The cross-entropy itself."""
        return Asked((PLAIN,))

    def measure(self, voxels: Voxels) -> Tensor:
        """Class weights weigh the cross-entropy."""
        pull = (class_shares(voxels, self.kernel_size) - voxels.logits).abs().mean(1)
        return entropy_mean(voxels, PLAIN, self.weights_of(voxels)) + self.alpha * weighted_mean(pull, voxels.weight)


@register_loss("svls_ce")
class SpatiallyVaryingLabelSmoothing(Loss):
    """Cross-entropy with labels that are smoothed by the 26 voxels around: only borders become soft.

    Half of the weight stays with the voxel, the other half goes to its neighbours by a Gaussian; at the edge of the
    image the last voxel is repeated. Because its labels are soft, a perfect, certain answer is not its minimum. The
    equation is that of the authors' code, not checked against the paper.
    """

    family = "distribution"
    formula = "mean -sum_c t_c log p_c, t = g / 2 + (Gaussian mean of the neighbours' g) / 2"
    paper = "Islam & Glocker 2021, IPMI, arXiv 2104.05788"
    good_for = "uncertain borders and calibration: only labels beside another class become soft"
    bad_at = "structures a voxel or two thin, whose labels are smoothed most"
    modes = ("multiclass",)
    optimum = None

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        sigma: Annotated[Positive, "Width of the Gaussian, in voxels."] = 1.0,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.sigma = sigma

    def measure(self, voxels: Voxels) -> Tensor:
        """Class weights are those of the true class."""
        costs = -(smoothed_labels(voxels, self.sigma) * voxels.log_probabilities).sum(1)
        return weighted_mean(costs, voxels.weights(self.weights_of(voxels)))


def class_shares(voxels: Voxels, kernel_size: int) -> Tensor:
    """(B, C, N): share of each class among the valid voxels of the cube around a voxel; 0 where there are none."""
    sums = [_cube_sum(part, kernel_size) for part in _labels_and_valid(voxels)]
    return ratio(*sums).flatten(2)


def smoothed_labels(voxels: Voxels, sigma: float) -> Tensor:
    """(B, C, N): labels of which half comes from the valid neighbours; they sum to 1 wherever any voxel is near."""
    sums = [_half_from_neighbours(part, sigma) for part in _labels_and_valid(voxels)]
    return ratio(*sums).flatten(2)


def _labels_and_valid(voxels: Voxels) -> tuple[Tensor, Tensor]:
    """(B, C, *S) one-hot labels and (B, 1, *S) what counts, in the dtype of the sums."""
    labels = voxels.in_space(voxels.degrees())
    valid = torch.ones_like(labels[:, :1]) if voxels.valid is None else labels.sum(1, keepdim=True)
    return labels, valid


def _cube_sum(values: Tensor, size: int) -> Tensor:
    """Sum over a cube around each voxel; nothing lies outside the image."""
    for axis in range(2, values.ndim):
        beside = [0, 0] * (values.ndim - axis - 1)
        values = F.pad(values, (*beside, size // 2, size // 2)).unfold(axis, size, 1).sum(-1)
    return values


def _half_from_neighbours(values: Tensor, sigma: float) -> Tensor:
    """values / 2 plus half of their neighbours' mean, by a Gaussian of three voxels along every axis with several."""
    side = math.exp(-0.5 / sigma**2)
    around, total = torch.zeros_like(values), 0.0
    for axis in (axis for axis in range(2, values.ndim) if values.shape[axis] > 1):
        before, after = _shifted(values + around, axis)
        around = around + side * (before + after)
        total += 2 * side * (1 + total)
    return values if total == 0 else (values + around / total) / 2


def _shifted(values: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Of each voxel, the one before and the one after; at an edge the voxel itself."""
    size = values.shape[axis]
    before = torch.cat([values.narrow(axis, 0, 1), values.narrow(axis, 0, size - 1)], axis)
    after = torch.cat([values.narrow(axis, 1, size - 1), values.narrow(axis, size - 1, 1)], axis)
    return before, after
