"""Losses of the soft confusion matrix: how much of each class' truth is answered with each class."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from segtrain.core.errors import ConfigError, Problem
from segtrain.losses.arithmetic import ratio, weighted_mean
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.options import SMOOTH, Weight
from segtrain.losses.ranks import sum_over_ranks
from segtrain.losses.registry import register_loss
from segtrain.losses.voxels import Voxels

Matrix = tuple[tuple[Weight, ...], ...]


def confusion(voxels: Voxels) -> Tensor:
    """[B, C, C]: sum over voxels of g_l p_k, the truth l in rows, the answer k in columns."""
    members = voxels.degrees()
    if voxels.weight is not None:
        members = members * voxels.weight.unsqueeze(1)
    return members @ voxels.probabilities.transpose(1, 2)


@register_loss("generalized_wasserstein_dice")
class GeneralizedWassersteinDice(Loss):
    """Dice of all classes at once, in which some confusions cost less than others.

    W of a voxel is the mean distance of its answer from its class. As in the authors' later code every foreground voxel
    counts 1 - W; where a class' distance from the background is 1, as it should be, this is the paper's equation.
    """

    family = "region"
    formula = (
        "1 - (2 T + s) / (2 T + sum_i W_i + s), W_i = sum_k M_yk p_k, T = sum over foreground voxels of 1 - W_i, "
        "M = distances / max"
    )
    paper = "Fidon 2017, BrainLes, arXiv 1707.00478"
    good_for = "classes with known distances, such as parts of a tumour: near confusions cost less"
    bad_at = "small classes, as all voxels share one score and large classes fill it"
    modes = ("multiclass",)

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        distances: Annotated[
            Matrix | None,
            "C x C numbers, the truth in rows, 0 on the diagonal: how bad it is to take a class for another; null: all "
            "alike.",
        ] = None,
        reduce_over: Annotated[Literal["sample", "batch"], "A score for each sample, or one for the batch."] = "sample",
        smooth: Annotated[Weight, "Added to numerator and denominator, in voxels."] = SMOOTH,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.reduce_over = reduce_over
        self.smooth = smooth
        self.distances: Tensor | None
        self.register_buffer("distances", None if distances is None else _scaled(distances))

    def measure(self, voxels: Voxels) -> Tensor:
        """Fidon 2017; class weights weigh a voxel by its true class, in both sums."""
        shares = confusion(voxels)
        weights = self.weights_of(voxels)
        if weights is not None:
            shares = shares * weights.view(1, -1, 1)
        distances = self._distances(voxels)
        errors, hits = (shares * distances).sum((1, 2)), (shares * (1 - distances))[:, 1:].sum((1, 2))
        if self.reduce_over == "batch":
            errors, hits = sum_over_ranks(errors.sum(0, keepdim=True), hits.sum(0, keepdim=True))
        costs = ratio(errors, 2 * hits + errors + self.smooth)
        return (
            costs.mean() if self.reduce_over == "batch" else weighted_mean(costs[:, None], voxels.sample_weights(None))
        )

    def _distances(self, voxels: Voxels) -> Tensor:
        """(C, C) in the dtype of the sums."""
        if self.distances is None:
            return 1 - torch.eye(voxels.outputs, dtype=voxels.dtype, device=voxels.raw.device)
        if len(self.distances) != voxels.outputs:
            raise ValueError(f"distances is for {len(self.distances)} classes, but there are {voxels.outputs} channels")
        return self.distances.to(voxels.dtype)


def _scaled(distances: Matrix) -> Tensor:
    """The matrix with 1 as its largest number."""
    square = all(len(row) == len(distances) for row in distances)
    if not square or not distances or any(row[i] != 0 for i, row in enumerate(distances)):
        raise ConfigError(Problem("distances must have as many rows as columns, and 0 on the diagonal"))
    matrix = torch.tensor(distances).float()
    if not bool(matrix.any()):
        raise ConfigError(Problem("distances holds zeros only", why="then no confusion would cost anything"))
    return matrix / matrix.max()
