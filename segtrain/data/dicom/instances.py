"""Slices that are there twice: a SOPInstanceUID names one file in the world, so two that share one are a fault.

Either a slice was copied beside itself, or something was written over it under the old name. Nobody but who did it
knows which of two different ones is the slice, so neither is taken. Some programs write one UID into every slice of a
series: where all have it and each lies elsewhere, it names the series, the positions tell the slices apart, and it is
read with a note.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from segtrain.core.errors import Problem
from segtrain.core.words import count
from segtrain.data.dicom.pixels import read_slices
from segtrain.data.dicom.records import SliceHeader

PLACES = ("position_mm", "directions", "spacing_mm")


def faults_of_instances(folder: Path, headers: Sequence[SliceHeader]) -> Iterator[Problem]:
    """Two files of one SOPInstanceUID, by name, and whether they hold the same. Raises UnreadableScan as their reader.

    Voxels are read of such files alone. Files without a UID are not compared, nor those of `note_of_one_uid`.
    """
    if note_of_one_uid(headers):
        return
    files: dict[str, dict[Path, list[SliceHeader]]] = {}
    for header in headers:
        if header.instance_uid:
            files.setdefault(header.instance_uid, {}).setdefault(header.path, []).append(header)
    pairs = [pair for of_one in files.values() for pair in pairwise(of_one.values())]
    found = [(f"{one[0].path.name} and {other[0].path.name}", _difference(one, other)) for one, other in pairs]
    others = [(names, difference) for names, difference in found if difference]
    copies = [names for names, difference in found if not difference]
    if others:
        why = f"{count(len(others), 'pair')}, as {others[0][0]}, which differ in their {others[0][1]}"
        hint = "find the slice that belongs to the series (its source has one of them), and take the other out"
        yield Problem("two slices of a series have one SOPInstanceUID and are not the same", str(folder), why, hint)
    if copies:
        why = f"{count(len(copies), 'pair')}, as {copies[0]}: SOPInstanceUID, place and voxels are the same"
        yield Problem("a slice is there twice", str(folder), why, "take one of the two copies out")


def note_of_one_uid(headers: Sequence[SliceHeader]) -> str:
    """A note where all slices, of several files, have one SOPInstanceUID and no two one position; "" elsewhere."""
    uids, files = {header.instance_uid for header in headers}, {header.path for header in headers}
    places = {tuple(header.position_mm.tolist()) for header in headers if header.position_mm is not None}
    if len(files) < 2 or len(uids) > 1 or "" in uids or len(places) < len(headers):
        return ""
    return f"all {count(len(headers), 'slice')} have one SOPInstanceUID; they are told apart by their positions"


def _difference(one: Sequence[SliceHeader], other: Sequence[SliceHeader]) -> str:
    """In what two files differ: position or voxels; "" where in neither."""
    if len(one) != len(other) or any(a.size != b.size for a, b in zip(one, other, strict=True)):
        return "size"
    pairs = list(zip(one, other, strict=True))
    if not all(_equal(getattr(a, name), getattr(b, name)) for a, b in pairs for name in PLACES):
        return "position"
    values = zip(read_slices(one), read_slices(other), strict=True)
    return "" if all(np.array_equal(a, b) for a, b in values) else "voxels"


def _equal(one: object, other: object) -> bool:
    return (one is None) == (other is None) and (one is None or bool(np.array_equal(one, other)))  # type: ignore[arg-type]
