"""What the values of a DICOM series depend on, and every reason not to believe them.

A slice that lacks an element which the others have would be read as if it said nothing: without its RescaleIntercept a
slice of a CT is 1024 HU brighter than its neighbours, and no reader says a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from segtrain.core.errors import Problem
from segtrain.core.words import count
from segtrain.data.dicom.records import DECIDING, SliceHeader

Headers = Sequence[SliceHeader]

SHOWN = 4
"""Files in one message."""
AGAIN = "export the series again from its source, or leave the slice out"


def faults_of_values(folder: Path, headers: Headers) -> Iterator[Problem]:
    """Elements that some slices alone lack, kinds and units that differ, and rescaling that cannot be followed."""
    for header in headers:
        if why := header.unclear or ("" if header.slope else "its RescaleSlope is 0"):
            yield Problem("the values of a slice cannot be known", str(header.path), why, "convert it to NIfTI")
    for name in DECIDING:
        without = [header for header in headers if name not in header.given]
        if without and len(without) < len(headers):
            what = f"{count(len(without), 'slice')} of {len(headers)} without {name}"
            why = f"{named(without)}: the others have it, and the same number means another value there"
            yield Problem(what, str(without[0].path), why, AGAIN)
        elif without and name == "RescaleSlope" and headers[0].modality == "PT":
            why = "it is a PET without RescaleSlope, so that what is stored is no activity"
            yield Problem("the values of the series cannot be known", str(folder), why, AGAIN)
    modalities = sorted({header.modality or "none" for header in headers})
    if len(modalities) > 1:  # that of a PET decides what its values are multiplied by
        why = f"Modality is {', '.join(modalities)}"
        yield Problem("the series mixes modalities", str(folder), why, "put each into a folder of its own")
    units = sorted({header.unit for header in headers} - {""})
    if len(units) > 1:
        why = f"RescaleType is {', '.join(units)}"
        yield Problem("the series mixes units of its values", str(folder), why, "put each into a folder of its own")


def named(headers: Headers) -> str:
    """The first few slices by name, and how many more there are."""
    more = f" and {len(headers) - SHOWN} more" if len(headers) > SHOWN else ""
    return ", ".join(header.name for header in headers[:SHOWN]) + more
