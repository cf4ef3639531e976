"""What slices of one series are beside one scan, wherever they lie: localizers, mosaics, slices of another patient."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segtrain.core.errors import Problem
from segtrain.data.dicom.records import SliceHeader

Headers = Sequence[SliceHeader]

SAME_DIRECTION = 0.002
"""Two directions (unit vectors) closer than this, 0.1 degrees, are one; masks often hold six decimals."""
CLEARLY_ANOTHER = 0.17
"""From here on, about 10 degrees, a slice is of another stack; one that is turned by less belongs to a damaged scan."""


def faults_of_files(folder: Path, headers: Headers) -> Iterator[Problem]:
    """What can be said without looking at the positions."""
    first = headers[0]
    if first.frames > 1 and not any(header.frame for header in headers):
        why = f"it has {first.frames} frames, and no functional groups that say where each lies"
        hint = "export it as single slices, or convert it to NIfTI (dcm2niix)"
        yield Problem("the frames of a file do not say where they lie", str(first.path), why, hint)
        return
    if first.samples > 1 or first.photometric == "PALETTE COLOR":
        why = f"it has {first.samples} samples a voxel ({first.photometric})"
        yield Problem("the series is in colour", str(folder), why, "use the scan itself, not a coloured copy of it")
        return
    if mosaics := [header for header in headers if re.search(r"\bMOSAIC\b", header.apart.get("ImageType", ""))]:
        why = f"{len(mosaics)} files are mosaics (ImageType): tiles of one picture are slices, and lie side by side"
        hint = "convert it with dcm2niix, which takes the tiles apart"
        yield Problem("the series is a mosaic", str(mosaics[0].path), why, hint)
        return
    for header in headers:
        if missing := _missing_elements(header):
            why = f"it has no usable {missing}"
            yield Problem("a slice does not say where it lies", str(header.path), why, "leave it out")
    yield from _mixtures(folder, headers)


def largest_stack(headers: Headers) -> tuple[list[SliceHeader], str]:
    """The slices without a localizer among them, and a note that names what was left out.

    Slices of one size and direction are a stack. One that has more slices than all others together is meant; where
    there is none, all are kept, and `faults_of_files` refuses the mixture. So it does where slices of a stack are
    turned a little against each other: without those that are, the scan would be a part of itself.
    """
    stacks: list[list[SliceHeader]] = []
    for header in headers:
        stack = next((s for s in stacks if _is_like(s[0], header)), None)
        if stack is None:
            stacks.append([header])
        else:
            stack.append(header)
    largest = max(stacks, key=len)
    others = [header for stack in stacks if stack is not largest for header in stack]
    if not others or len(largest) <= max(len(others), 2):
        return list(headers), ""
    what = "slices of another size or direction are left out (a localizer?)"
    return largest, f"{len(others)} {what}, as {others[0].name}"


def _is_like(one: SliceHeader, other: SliceHeader) -> bool:
    return one.size == other.size and not _differ(one.directions, other.directions, CLEARLY_ANOTHER)


def _missing_elements(header: SliceHeader) -> str:
    place, directions, spacing = header.position_mm, header.directions, header.spacing_mm
    square = directions is not None and np.allclose(directions @ directions.T, np.eye(2), atol=0.01)
    usable = {
        "ImagePositionPatient": place is not None,
        "ImageOrientationPatient": square,
        "PixelSpacing": spacing is not None and min(spacing) > 0,
    }
    return ", ".join(name for name, fine in usable.items() if not fine)


def _mixtures(folder: Path, headers: Headers) -> Iterator[Problem]:
    """Patients, studies, sizes, spacings, directions, frames of reference that differ within the series."""
    first = headers[0]
    localizer = "this is often a localizer within the series: move those slices to another folder"
    apart = "put each into a folder of its own, and give the slices of each a SeriesInstanceUID of its own"
    differing = [
        ("patients", _unlike_the_first(headers, "patient_id"), apart),
        ("studies", [] if _one_a_file(headers) else _unlike_the_first(headers, "study_uid"), apart),
        ("image sizes", [h for h in headers if h.size != first.size], localizer),
        ("pixel spacings", [h for h in headers if _differ(h.spacing_mm, first.spacing_mm, 1e-3)], localizer),
        ("orientations", [h for h in headers if _differ(h.directions, first.directions, SAME_DIRECTION)], localizer),
        ("frames of reference", [h for h in headers if h.frame_uid != first.frame_uid], localizer),
        ("photometric interpretations", [h for h in headers if h.photometric != first.photometric], localizer),
    ]
    for name, others, hint in differing:
        if others:
            example = f"{others[0].path.name} from {first.path.name}"
            why = f"{len(others)} of {len(headers)} slices differ, as {example}"
            yield Problem(f"the series mixes {name}", str(folder), why, hint)


def _one_a_file(headers: Headers) -> bool:
    """Whether every file has a StudyInstanceUID of its own, as some anonymisers give: then it tells nothing."""
    files, studies = {header.path for header in headers}, {header.study_uid for header in headers}
    return len(files) == len(studies)


def _unlike_the_first(headers: Headers, name: str) -> list[SliceHeader]:
    """Slices that say something else than the first one; what either does not say is not compared."""
    said = [header for header in headers if getattr(header, name)]
    return [header for header in said if getattr(header, name) != getattr(said[0], name)]


def _differ(one: Any, other: Any, tolerance: float) -> bool:
    if one is None or other is None:
        return False
    return bool(np.linalg.norm(np.asarray(one) - np.asarray(other), axis=-1).max() > tolerance)
