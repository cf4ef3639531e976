"""What the names of files tell: which belong together, which are masks, which are visits of one patient."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

MASK_WORD = re.compile(
    r"(seg|segmentation|mask|label|labelmap|lbl|gt|groundtruth|annotation|dseg|roi|contour|delineation|manual)s?"
)
"""A part of a name, in lower case, that says: this is a mask."""
SEPARATORS = "_-. "
VISIT = (
    r"(?:t|tp|time|timepoint|ses|session|visit|v|scan|day|d|week|w|month|m|year|y)[-_]?\d+"
    r"|baseline|bl|fu\d*|followup\d*"
)
PATIENT_AND_VISIT = rf"^(.+?)[-_](?:{VISIT})$"


def is_mask_word(text: str) -> bool:
    """Whether one of the words of a name says that it is a mask: `seg`, `T1_mask`, `MaskTumor`, `lesion labels`."""
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", text)
    return any(MASK_WORD.fullmatch(part.lower()) for part in parts)


def by_case_and_part(names: Iterable[str], cases: Collection[str]) -> dict[str, dict[str, str]]:
    """Case -> part -> name: a name is a case, a separator and a part; "" is the part of a name that is the case."""
    found: dict[str, dict[str, str]] = {case: {} for case in cases}
    for name in names:
        ends = [len(name), *(at for at in range(len(name) - 1, 0, -1) if name[at] in SEPARATORS)]
        case = next((name[:end] for end in ends if name[:end] in found), None)
        if case is not None:
            found[case][name[len(case) :].lstrip(SEPARATORS)] = name
    return found


def without_mask_word(name: str) -> str | None:
    """The case of a mask's name, as `P1` of `P1_seg`; None where its last part is no such word."""
    match = re.fullmatch(rf"(.+?)[{re.escape(SEPARATORS)}]+([A-Za-z]+)", name)
    return match[1] if match and MASK_WORD.fullmatch(match[2].lower()) else None


def common(parts: Iterable[Collection[str]]) -> tuple[list[str], Mapping[str, int]]:
    """What all collections have, in the order of the first; and of the rest, how many have it."""
    collections = list(parts)
    counts = Counter(part for one in collections for part in set(one))
    everywhere = [part for part in (collections[0] if collections else ()) if counts[part] == len(collections)]
    return everywhere, {part: count for part, count in counts.items() if count < len(collections)}


def patient_pattern(cases: Collection[str]) -> str | None:
    """The regular expression that finds the patient of a case, where that is sound.

    Every id must end in a visit, as `P01_t1`, `sub-01_ses-2` or `A_baseline`, and at least one patient have two.
    """
    matches = [re.fullmatch(PATIENT_AND_VISIT, case, re.IGNORECASE) for case in cases]
    patients = {match[1] for match in matches if match}
    sound = all(matches) and len(patients) < len(cases)
    return f"(?i){PATIENT_AND_VISIT}" if sound else None
