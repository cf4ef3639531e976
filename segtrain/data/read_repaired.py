"""A scan as it is read, with the repairs that were asked for; what was done is said, a sentence each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segtrain.core.case import ScanSource
from segtrain.core.volume import Volume
from segtrain.core.words import count
from segtrain.data.dicom.repair import evened_values, stacked, values_as_stored
from segtrain.data.files.formats import Kind
from segtrain.data.files.itk_files import itk_as_stored
from segtrain.data.files.nifti import nifti_as_stored
from segtrain.data.files.pictures import picture_as_stored
from segtrain.data.read import combined, kind_of
from segtrain.data.repair.finite import filled, require_finite
from segtrain.data.repair.repairs import Repairs
from segtrain.data.repair.slice_stack import Evened

AS_STORED: Mapping[Kind, Callable[[Path], Volume]] = {
    "nifti": nifti_as_stored,
    "mha": itk_as_stored,
    "nrrd": itk_as_stored,
    "picture": picture_as_stored,
}


@dataclass(frozen=True, eq=False)
class RepairedScan:
    """A scan on its grid, and what was done to it."""

    image: Volume
    changes: tuple[str, ...] = ()
    evened: Evened | None = None
    """How the slices of the first channel that lay on no grid came onto this one; None where all lay on it."""


def read_repaired(sources: Sequence[ScanSource], repairs: Repairs) -> RepairedScan:
    """As `read_volume`, which raises for what is not repaired here. A channel is repaired by itself."""
    channels = [_one(source, repairs) for source in sources]
    image = combined(sources, [channel.image for channel in channels])
    changes = tuple(dict.fromkeys(change for channel in channels for change in channel.changes))
    return RepairedScan(image, changes, next((c.evened for c in channels if c.evened is not None), None))


def _one(source: ScanSource, repairs: Repairs) -> RepairedScan:
    kind = kind_of(source.path)
    if kind != "dicom":
        image, changes = _finite(source, AS_STORED[kind](source.path), repairs)
        return RepairedScan(image, changes)
    stack = stacked(source.path, source.series_uid, repairs)
    image, changes = _finite(source, values_as_stored(source.path, stack), repairs)
    if stack.evened is not None:
        image = evened_values(image, stack.evened)
    return RepairedScan(image, (*stack.changes, *changes), stack.evened)


def _finite(source: ScanSource, image: Volume, repairs: Repairs) -> tuple[Volume, tuple[str, ...]]:
    """The image with a value for every voxel that is no number. UnreadableScan where none was asked for."""
    if repairs.nan is None:
        require_finite(source.path, image.array)
        return image, ()
    array, broken = filled(image.array, repairs.nan)
    told = (f"{count(broken, 'voxel')} that were NaN or infinite set to {repairs.nan:g}",) if broken else ()
    return replace(image, array=array), told
