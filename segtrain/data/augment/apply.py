"""Apply: the drawn changes on the patches of a batch, on the device that they are to be on.

No randomness in here, and no sample sees another: what becomes of it does not depend on the rest of its batch, on the
process that makes it, or on what was made before. Only what was drawn is worked on: most patches do not move, and those
are copied as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from segtrain.data.augment.draw import Change
from segtrain.data.augment.frame import PatchFrame
from segtrain.data.augment.intensity import recolour
from segtrain.data.augment.motion import move
from segtrain.data.patches import Patch


def apply(
    changes: Sequence[Change], patches: Sequence[Patch], frame: PatchFrame, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Images (B, channels, *S) float32 and classes (B, *S) uint8 on the device.

    Each patch was cut with the margin that its change's motion needs (`motion.margin_of`); it is left as it is.
    """
    images = torch.empty(len(patches), frame.channels, *frame.size, device=device)
    classes = torch.empty(len(patches), *frame.size, dtype=torch.uint8, device=device)
    for place, (change, patch) in enumerate(zip(changes, patches, strict=True)):
        image, labels = torch.from_numpy(patch.image).to(device), torch.from_numpy(patch.classes).to(device)
        if change.motion is not None:
            image, labels = move(change.motion, frame, image, labels)
        if change.mirrored:
            image, labels = image.flip([axis + 1 for axis in change.mirrored]), labels.flip(change.mirrored)
        images[place], classes[place] = image, labels
        recolour(change, images[place], frame.thick)
    return images, classes
