"""Losses that count objects, not voxels: a small lesion that is missed costs as much as a large one.

Objects are connected components of a foreground class in the truth. Without a map of them they are found on the CPU in
every step.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, final

import torch
from torch import Tensor

from segtrain.losses.arithmetic import ratio, weighted_mean
from segtrain.losses.asked import Asked
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.components import (
    COMPONENTS,
    NEAREST_COMPONENT,
    component_ids,
    first_with_objects,
    nearest_component_ids,
    sums_by_id,
)
from segtrain.losses.compound import DiceCE
from segtrain.losses.options import SMOOTH, Weight
from segtrain.losses.registry import register_loss
from segtrain.losses.spatial import Spacing, spacing_of
from segtrain.losses.voxels import Voxels


@dataclass(frozen=True, eq=False)
class IdSums:
    """Sums (B, C, K) over the voxels of each id, times their weight; id 0 is the first."""

    tp: Tensor
    fp: Tensor
    fn: Tensor
    entropy: Tensor
    voxels: Tensor

    def joined(self) -> IdSums:
        """Of each id together with id 0."""
        return IdSums(*(part + part[:, :, :1] for part in vars(self).values()))

    def dice_ce(self, smooth: float) -> Tensor:
        """Dice plus mean cross-entropy of the voxels of each id."""
        errors = self.fp + self.fn
        return ratio(errors, 2 * self.tp + errors + smooth) + ratio(self.entropy, self.voxels)


class InstanceLoss(Loss):
    """Dice and cross-entropy of the whole, plus their mean over objects: of a sample and class, then over these."""

    family = "instance"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        global_weight: Annotated[Weight, "Weight of dice_ce of the whole."] = 1.0,
        instance_weight: Annotated[Weight, "Weight of the mean over objects."] = 1.0,
        smooth: Annotated[Weight, "Added to numerator and denominator of Dice, in voxels."] = SMOOTH,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.global_weight, self.instance_weight = global_weight, instance_weight
        self.smooth = smooth
        self.whole = DiceCE(mode, smooth=smooth, **{**shared, "ignore_label": None})

    @final
    def asked(self) -> Asked:
        """What the whole asks for."""
        return self.whole.asked()

    @final
    def measure(self, voxels: Voxels) -> Tensor:
        """Whole and objects."""
        return self.global_weight * self.whole.measure(voxels) + self.instance_weight * self._of_objects(voxels)

    @abstractmethod
    def ids(self, voxels: Voxels, first: int) -> Tensor:
        """(B, C, N): which object a voxel is scored with."""

    @abstractmethod
    def costs(self, sums: IdSums) -> Tensor:
        """(B, C, K): cost of each object."""

    @final
    def first(self, voxels: Voxels) -> int:
        """Class from which on they have objects."""
        return first_with_objects(voxels)

    def _of_objects(self, voxels: Voxels) -> Tensor:
        first = self.first(voxels)
        sums = _sums(voxels, self.ids(voxels, first), first)
        there = ((sums.tp + sums.fn).detach() > 0).to(voxels.dtype)
        there[:, :, 0] = 0
        costs = self.costs(sums) * there
        weights = (there.sum(-1) > 0).to(costs.dtype)
        own = self.weights_of(voxels)
        return weighted_mean(ratio(costs.sum(-1), there.sum(-1)), weights if own is None else weights * own[first:])


def _sums(voxels: Voxels, ids: Tensor, first: int) -> IdSums:
    p = voxels.probabilities[:, first:]
    g = voxels.degrees(first)
    entropy = voxels.cross_entropy
    entropy = entropy.unsqueeze(1) if voxels.mode == "multiclass" else entropy
    weight = torch.ones_like(entropy[:, :1]) if voxels.weight is None else voxels.weight.unsqueeze(1)
    count = int(ids.max()) + 1
    parts = (p * g * weight, p * (1 - g) * weight, (1 - p) * g * weight, entropy * weight, weight)
    return IdSums(*(sums_by_id(part, ids, count) for part in parts))


@register_loss("blob")
class Blob(InstanceLoss):
    """Dice and cross-entropy of each object as if it were alone: the voxels of the others of its class do not count."""

    formula = "global_weight dice_ce + instance_weight mean_k dice_ce of all voxels but those of objects other than k"
    paper = "Kofler 2023, IPMI, arXiv 2205.08209"
    good_for = "many lesions of unequal size: F1 of lesions up by 2 to 5 % in its paper (Kofler 2023)"
    bad_at = "lone objects, where it is dice_ce twice; speed, as the objects of each patch are found on the CPU"
    needs = (COMPONENTS,)

    def ids(self, voxels: Voxels, first: int) -> Tensor:
        """Its own object."""
        return component_ids(voxels, first)

    def costs(self, sums: IdSums) -> Tensor:
        """Kofler 2023, Eq. 1: an object, and all that is no object."""
        return sums.joined().dice_ce(self.smooth)


@register_loss("cc_dice_ce")
class ComponentDiceCE(InstanceLoss):
    """Dice and cross-entropy of the region of each object: of the voxels that are nearer to it than to any other."""

    formula = "global_weight dice_ce + instance_weight mean_r dice_ce of the voxels of Voronoi region r"
    paper = "Bouteille 2025, arXiv 2511.17146"
    good_for = "small lesions among large ones: recall up at equal Dice, mostly above blob (Bouteille 2025)"
    bad_at = "false positives in scans without the class, which no object's region holds"
    needs = (NEAREST_COMPONENT,)

    def __init__(self, mode: ModeChoice = "auto", /, *, spacing_mm: Spacing = None, **shared: Any) -> None:
        super().__init__(mode, **shared)
        self.spacing_mm = spacing_mm

    def ids(self, voxels: Voxels, first: int) -> Tensor:
        """The nearest object."""
        return nearest_component_ids(voxels, first, spacing_of(voxels, self.spacing_mm))

    def costs(self, sums: IdSums) -> Tensor:
        """Bouteille 2025."""
        return sums.dice_ce(self.smooth)


@register_loss("inverse_size_weighting")
class InverseSizeWeighting(Loss):
    """Cross-entropy in which every object weighs as much as any other, and as the background as a whole."""

    family = "instance"
    formula = "mean w ce, w = voxels / ((objects + 1) size of the voxel's object, or of the background)"
    paper = "Shirokikh 2020, MICCAI, arXiv 2007.10033"
    good_for = "recall of small lesions: each object weighs as much as all the background"
    bad_at = "several classes, where it was unstable (Kundu 2026); specks in the labels, which are objects too"
    needs = (COMPONENTS,)

    def first(self, voxels: Voxels) -> int:
        """Class from which on they have objects."""
        return first_with_objects(voxels)

    def measure(self, voxels: Voxels) -> Tensor:
        """Shirokikh 2020."""
        weights = inverse_size_weights(voxels)
        given = voxels.weights(self.weights_of(voxels))
        return weighted_mean(voxels.cross_entropy, weights if given is None else weights * given)


def inverse_size_weights(voxels: Voxels) -> Tensor:
    """Weights (B, N), of sigmoids (B, C, N), that sum to the number of valid voxels; 0 where ignored.

    Those of exclusive classes, or of one sigmoid, are a `weight_map` for any loss.
    """
    exclusive = voxels.mode == "multiclass"
    ids = component_ids(voxels, first_with_objects(voxels))
    if exclusive:
        ids = _told_apart(ids).sum(1, keepdim=True)
    valid = torch.ones_like(ids, dtype=voxels.dtype)
    if voxels.valid is not None:
        valid = valid * voxels.valid.unsqueeze(1)
    sizes = sums_by_id(valid, ids, int(ids.max()) + 1)
    objects = (sizes > 0).sum(-1, keepdim=True)
    weights = valid * ratio(valid.sum(-1, keepdim=True), objects * sizes.gather(2, ids))
    return weights.squeeze(1) if exclusive else weights


def _told_apart(ids: Tensor) -> Tensor:
    """Ids (B, C, N) of which no two classes have one in common."""
    largest = ids.amax((0, 2))
    before = largest.cumsum(0) - largest
    return torch.where(ids > 0, ids + before.view(1, -1, 1), 0)
