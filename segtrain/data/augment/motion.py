"""Move: rotation, scale and bend of a patch, composed into one resampling.

A motion says where each voxel of the patch comes from, so how much of the scan around the patch it needs is known
before anything is read: exactly that is cut, and a turn does not bring in empty corners. (nnU-Net cuts every patch with
room for a large turn.) The patch's centre stays where it is, in the middle of what was cut.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from segtrain.data.augment.draw import Motion
from segtrain.data.augment.frame import PatchFrame
from segtrain.data.augment.separable import along_axes, spline_matrix

ROUNDING_VOXELS = 1e-3
"""Cut in addition, so that a place at the very edge is not outside by rounding."""


def matrix_of(motion: Motion, frame: PatchFrame) -> NDArray[np.float64]:
    """(d, d), over the axes that move: offset of a voxel from the centre -> offset of where it comes from.

    The turn is one of the patient: voxels become millimetres before it and voxels again after it.
    """
    sides_mm = np.array([frame.sides_mm[axis] for axis in frame.moving])
    matrix: NDArray[np.float64] = _turn(motion.degrees) * motion.field_of_view * sides_mm / sides_mm[:, None]
    return matrix


def margin_of(motion: Motion | None, frame: PatchFrame) -> tuple[int, ...]:
    """Voxels around the patch that the motion needs, an axis; fewer than none where it enlarges."""
    margin = np.zeros(len(frame.size), dtype=int)
    if motion is not None:
        half = (np.array([frame.size[axis] for axis in frame.moving]) - 1) / 2
        bent = np.abs(motion.bend.displacements).reshape(len(half), -1).max(axis=1) if motion.bend else 0.0
        reach = np.abs(matrix_of(motion, frame)) @ (half + bent)
        margin[list(frame.moving)] = np.ceil(reach - half + ROUNDING_VOXELS)
    return tuple(margin.tolist())


def move(motion: Motion, frame: PatchFrame, image: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Image (channels, *B) float32 and classes (*B) uint8, B the patch with its margin -> both of the patch's size.

    Linear for the image, nearest for the classes; 0 comes in from where nothing was cut.
    """
    thick = frame.thick
    if thick is not None:
        # Slices are as channels: all are moved alike, and nothing is blurred across them.
        channels = len(image)
        image = image.movedim(thick + 1, 1).flatten(0, 1)
        stack = classes.movedim(thick, 0)
        places = _places(motion, frame, image)
        image = _sample(image, places, "bilinear").unflatten(0, (channels, -1)).movedim(1, thick + 1)
        return image, _sample(stack, places, "nearest").movedim(0, thick)
    places = _places(motion, frame, image)
    return _sample(image, places, "bilinear"), _sample(classes[None], places, "nearest")[0]


def _sample(values: Tensor, places: Tensor, mode: str) -> Tensor:
    """(n, *B) at places (*S, d) -> (n, *S) of the same type."""
    found = functional.grid_sample(values[None].float(), places[None], mode, "zeros", align_corners=False)
    return found[0].to(values.dtype)


def _places(motion: Motion, frame: PatchFrame, image: Tensor) -> Tensor:
    """(*S, d): where each voxel comes from in `image` (n, *B), for grid_sample: in halves of B, the last axis first."""
    size = [frame.size[axis] for axis in frame.moving]
    dims = len(size)
    step = (matrix_of(motion, frame) * 2 / np.array(image.shape[1:])[:, None])[::-1]
    places = torch.zeros((), device=image.device)
    for axis, voxels in enumerate(size):
        offset = np.arange(voxels) - (voxels - 1) / 2
        shape = (dims, *(1,) * axis, voxels, *(1,) * (dims - axis - 1))
        places = places + _float(np.outer(step[:, axis], offset).reshape(shape), image)
    if motion.bend is not None:
        bend = np.tensordot(step, motion.bend.displacements, axes=1)
        bases = [spline_matrix(voxels, motion.bend.points_voxels) for voxels in size]
        places = places + along_axes(_float(bend, image), bases).movedim(-1, 0)
    return places.movedim(0, -1)


def _float(values: NDArray[np.float64], like: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(like.device, torch.float32)


def _turn(degrees: tuple[float, ...]) -> NDArray[np.float64]:
    """A rotation (d, d): about the first axis, then the second, then the third."""
    angles = np.deg2rad(degrees)
    if len(degrees) == 1:
        sine, cosine = np.sin(angles[0]), np.cos(angles[0])
        return np.array([[cosine, -sine], [sine, cosine]])
    turned: NDArray[np.float64] = Rotation.from_euler("xyz", angles).as_matrix()
    return turned
