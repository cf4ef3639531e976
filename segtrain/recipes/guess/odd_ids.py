"""Ids that few masks hold: a label, voxels that nobody judged, or a mistake? What is likely is taken, and said.

255 beside ids that count from 1 is what many programs write into voxels that are not to be judged (Pascal VOC and
Cityscapes began it). Where it is the only id of a mask, it may as well be the foreground of somebody else's program:
then nothing is taken, and `check` names the masks.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from segtrain.core.words import count
from segtrain.data.recognise.recognised import some
from segtrain.recipes.guess.masks import MaskIds

UNJUDGED = 255
FEW_MASKS = 20
"""From so many on, an id that one mask alone holds is told."""


@dataclass(frozen=True)
class OddIds:
    """What the odd ids of some masks are taken for."""

    ignore: int | None = None
    left_out: frozenset[int] = frozenset()
    """Ids that no label and nothing else is made of."""
    sentences: tuple[str, ...] = ()


def odd_ids(ids: MaskIds, names: Collection[int]) -> OddIds:
    """Which of the ids are odd. Those with a name are not."""
    foreground = {*ids.masks} - {0}
    others = foreground - {UNJUDGED}
    counted = bool(others) and min(others) > 0 and max(others) <= 2 * len(others)  # 1, 2, 4; not 85, 170 of a picture
    if UNJUDGED not in foreground or UNJUDGED in names or not counted:
        return OddIds(sentences=_rare(ids, foreground - {*names}))
    if ids.alone.get(UNJUDGED):
        return _another_foreground(ids, others)
    where = _where(ids, UNJUDGED)
    said = f"{where}, beside other labels: taken for voxels that nobody judged (ignore), unless it is a mistake there"
    return OddIds(UNJUDGED, sentences=(said, *_rare(ids, others - {*names})))


def _another_foreground(ids: MaskIds, others: Collection[int]) -> OddIds:
    """255 is all that some masks hold: they are written in another way, or the others are."""
    swapped = {*others} == {1} and ids.masks[UNJUDGED] > ids.masks[1]
    odd, usual = (1, UNJUDGED) if swapped else (UNJUDGED, min(others))
    may = f"the foreground ({usual} elsewhere)" if len(others) == 1 else "a label"
    mended = "`segtrain check --fix DIR` writes it so" if len(others) == 1 else "mend the masks"
    said = (
        f"{_where(ids, odd)}, and is all that is there: {may} or voxels that nobody judged? Nothing was guessed, and "
        f"`segtrain check` names these masks; if it is a label, {mended}, if not, set task.ignore: {odd}"
    )
    return OddIds(None, frozenset({odd}), (said,))


def _rare(ids: MaskIds, labels: Collection[int]) -> tuple[str, ...]:
    """Labels that one of many masks holds."""
    rare = [i for i in sorted(labels) if ids.masks[i] == 1] if ids.read >= FEW_MASKS else []
    told = some([f"{i} (case {ids.first[i]})" if i in ids.first else str(i) for i in rare])
    return (f"in one of {count(ids.read, 'mask')} only, a rare label or a mistake: {told}",) if rare else ()


def _where(ids: MaskIds, label: int) -> str:
    case = f" (case {ids.first[label]})" if label in ids.first else ""
    return f"{label} occurs in {ids.masks[label]} of {count(ids.read, 'mask')}{case}"
