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
PATIENT_PERHAPS_VISIT = rf"^(.+?)(?:[-_](?:{VISIT}))?$"
BRATS = r"^(BraTS-[A-Z]+-\d{5})-\d{3}$"
"""Since 2023 each name of BraTS ends in a patient and a time point: BraTS-GLI-00005-001."""
DATE = r"\d{1,4}|\d{8}|\d{4}-\d\d(-\d\d)?|\d\d[-.]\d\d[-.]\d{4}"
"""A number, a year, a date: how a folder of one visit is called."""


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


def mostly_masks(counts: Mapping[str, int], total: int) -> list[str]:
    """Parts called as masks that more than half of the cases have, the commonest first: `check` names the others."""
    masks = [part for part, count in counts.items() if is_mask_word(part.rpartition("_")[2]) and 2 * count > total]
    return sorted(masks, key=lambda part: (-counts[part], part))


def is_visit(name: str) -> bool:
    """Whether a folder is called as one visit: `t1`, `baseline`, `2021-03-04`, `02-28-2001-NA`."""
    return re.match(rf"(?:{VISIT}|{DATE})(?:[-_. ]|$)", name, re.IGNORECASE) is not None


def patient_pattern(cases: Collection[str]) -> str | None:
    """The regular expression that finds the patient of a case, where that is sound.

    At least one patient has two visits, as `P01_t1` and `P01_t2`, `sub-01_ses-2` or `A_baseline`, and there is another
    patient, with a visit or without: `ct_scan_1` to `ct_scan_9` are not one patient. Names of BraTS say it themselves.
    """
    brats = [re.match(BRATS, case) for case in cases]
    if all(brats):
        return BRATS if len({match[1] for match in brats if match}) < len(brats) else None
    matches = [re.fullmatch(PATIENT_AND_VISIT, case, re.IGNORECASE) for case in cases]
    patients = [match[1] if match else case for match, case in zip(matches, cases, strict=True)]
    if not 2 <= len(set(patients)) < len(patients):
        return None
    return f"(?i){PATIENT_AND_VISIT if all(matches) else PATIENT_PERHAPS_VISIT}"
