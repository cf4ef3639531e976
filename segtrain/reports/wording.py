"""Numbers and words as the pages print them: one width for a column, a real minus, a dash for what is not defined."""

from __future__ import annotations

from math import isfinite

UNDEFINED = "–"

STATUS_WORDS = {
    "ok": "",
    "both_empty": "absent",
    "pred_empty": "missed",
    "ref_empty": "false alarm",
    "not_drawn": "not drawn",
    "no_prediction": "no prediction",
}
"""What a status means to a reader."""

WORST_STATUSES = ("pred_empty", "ref_empty", "no_prediction")
"""Where a value is the worst because a mask is empty or not there."""

METRIC_NAMES = {
    "dice": "Dice",
    "iou": "IoU",
    "jaccard": "Jaccard",
    "hd": "HD",
    "hd95": "HD95",
    "hd95_pooled": "HD95 pooled",
    "assd": "ASSD",
    "masd": "MASD",
    "nsd": "NSD",
    "cldice": "clDice",
    "lesion_f1": "lesion F1",
    "pq": "PQ",
    "component_dice": "component Dice",
}
"""Names that are not written as their key; units are the card's."""


def number(value: float | None, digits: int = 3) -> str:
    """`0.873`, `−0.020`, `∞`, or a dash."""
    if value is None or value != value:
        return UNDEFINED
    text = f"{value:.{digits}f}" if isfinite(value) else f"{'-' if value < 0 else ''}∞"
    return "−" + text[1:] if text.startswith("-") and text.strip("-0.") else text.removeprefix("-")


def signed(value: float | None, digits: int = 3) -> str:
    """With a plus where it is one."""
    text = number(value, digits)
    return f"+{text}" if value is not None and value > 0 and text.strip("0.") else text


def interval(low: float | None, high: float | None, digits: int = 3) -> str:
    """`0.84 to 0.90`, or nothing where there is no interval."""
    return "" if low is None or high is None else f"{number(low, digits)} to {number(high, digits)}"


def interval_signed(low: float | None, high: float | None, digits: int = 3) -> str:
    """`−0.010 to +0.024`, of a difference; or nothing."""
    return "" if low is None or high is None else f"{signed(low, digits)} to {signed(high, digits)}"


def p_value(p: float | None) -> str:
    """Three digits, or that it is less."""
    return "< 0.001" if p is not None and p < 0.001 else number(p)


def place(rank: float | None) -> str:
    """A rank: `1`, or `1.5` where two share it."""
    return UNDEFINED if rank is None else f"{rank:g}"


def places(low: float | None, high: float | None) -> str:
    """An interval of ranks: `1 to 3`, or `1`."""
    if low is None or high is None:
        return ""
    return place(low) if low == high else f"{place(low)} to {place(high)}"


def millilitres(value: float | None) -> str:
    """A volume with enough digits for small ones."""
    if value is None:
        return UNDEFINED
    return number(value, 1 if value >= 100 else 2 if value >= 10 or value == 0 else 3)


def metric_name(key: str) -> str:
    """A metric as a heading."""
    return METRIC_NAMES.get(key, key.replace("_", " "))
