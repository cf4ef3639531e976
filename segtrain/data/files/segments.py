"""What masks call their ids, in the header of NRRD and MetaImage: `Segment0_Name` and `Segment0_LabelValue`.

3D Slicer's vtkMRMLSegmentationStorageNode writes them, and so does `write_itk`: `key:=value` in NRRD, `key = value` in
MetaImage.
"""

from __future__ import annotations

import re

SEGMENT = re.compile(r"^Segment(\d+)_(Name|LabelValue)\s*:?=(.*)$", re.MULTILINE)


def names_in_header(text: str) -> dict[int, str]:
    """Id -> name in the text of a header; empty where it names none."""
    found: dict[str, dict[str, str]] = {"Name": {}, "LabelValue": {}}
    for number, key, value in SEGMENT.findall(text):
        found[key][number] = value.strip()
    ids = {number: int(value) for number, value in found["LabelValue"].items() if value.isdecimal()}
    return {ids[number]: name for number, name in found["Name"].items() if number in ids and name}
