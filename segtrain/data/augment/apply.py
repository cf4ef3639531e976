"""Apply: a drawn change on a patch. No randomness in here but the noise field, which its seed fixes."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

from segtrain.data.augment.draw import Change


def apply(change: Change, image: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Image (channels, *S) float32 and classes (*S) uint8 -> the same, changed; the inputs stay as they are."""
    if change.matrix is not None:
        image, classes = _move(change, image, classes)
    if change.flips:
        image = image.flip([axis + 1 for axis in change.flips])
        classes = classes.flip(list(change.flips))
    return _recolour(change, image), classes


def _move(change: Change, image: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Rotate and scale about the centre; linear for the image, nearest for the classes, 0 from outside."""
    size = image.shape[1:]
    dims = len(size)
    half = torch.tensor([max(n - 1, 1) / 2 for n in size], dtype=torch.float64)
    # grid_sample wants offsets in shares of the half size and the last axis first.
    matrix = torch.as_tensor(change.matrix) * half[None, :] / half[:, None]
    theta = torch.zeros(1, dims, dims + 1, dtype=torch.float32)
    theta[0, :, :dims] = matrix.flip(0, 1).float()
    places = functional.affine_grid(theta, [1, 1, *size], align_corners=True).to(image.device)
    moved = functional.grid_sample(image[None], places, "bilinear", "zeros", align_corners=True)[0]
    labels = functional.grid_sample(classes[None, None].float(), places, "nearest", "zeros", align_corners=True)
    return moved, labels[0, 0].round().to(classes.dtype)


def _recolour(change: Change, image: Tensor) -> Tensor:
    """Contrast, brightness, gamma and noise, each on every channel alike."""
    space = tuple(range(1, image.ndim))
    if change.factor != 1.0 or change.shift != 0.0:
        mean = image.mean(dim=space, keepdim=True)
        image = (image - mean) * change.factor + mean + change.shift
    if change.exponent != 1.0:
        low = image.amin(dim=space, keepdim=True)
        reach = (image.amax(dim=space, keepdim=True) - low).clamp_min(1e-6)
        image = ((image - low) / reach) ** change.exponent * reach + low
    if change.noise > 0:
        generator = torch.Generator().manual_seed(change.noise_seed)
        field = torch.randn(image.shape, generator=generator)
        image = image + change.noise * field.to(image.device)
    return image
