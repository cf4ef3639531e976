"""The cards of all metrics as one Markdown page: `python -m segtrain.reports.metric_cards > docs/metrics.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from math import isfinite

from segtrain.metrics.registry import METRICS, MetricCard, definition
from segtrain.metrics.settings import PROFILES, EvaluationSettings

HEADING = """\
# Metrics

Made from the code by `make docs`. Each name has one definition, which stands in every `metrics.json` and report too,
with a version that goes up when the same masks may give another number.

Scores are computed on the grid of the reference file, in millimetres. TP, FP, FN and TN are voxels of one label; P and
R the voxels of prediction and reference. `segtrain eval --metric NAME`, or `evaluation: {metrics: [dice, hd95]}` in a
config; the first one is the headline. In Python: `segtrain.metrics.score(prediction, reference, spacing_mm)`.

**Where a mask is empty.** Both empty: the metric is undefined, takes no part in a mean, and the case is counted in the
table of presence. Only one empty: the structure was missed or invented, and the metric has the value of the last two
columns. A distance is infinite there; in means and tests the diagonal of the image stands in for it. Each mean stands
with the number of cases that it is over. `evaluation.empty_policy: challenge` gives the best value where both are
empty, as BraTS and KiTS do. Lesions are counted where only one mask has any, so that those below the smallest volume
count nowhere. A prediction that is missing or cannot be used has the worst value for every label (status
`no_prediction`), and is no true negative.

**Left out.** BraTS-2023's lesion-wise scores (lesions merged after dilation, 374 mm for an unmatched one), NSD by
component, and the volume error without its sign: their parts are in `cases.csv`.

**Other tools.** HD95 here is the larger of the two directed percentiles, over surface elements weighed by their area:
the definition of DeepMind's surface-distance, to which HD, HD95, ASSD, MASD and NSD are equal within 1e-5 (tested).
MedPy's hd95 pools both directions (`hd95_pooled`); panoptica calls `masd` ASSD; ITK calls another, signed quantity
volume similarity; nnU-Net drops cases where both masks are empty, and MONAI drops those with an empty reference.
"""


def cards_page() -> str:
    """A table of all metrics, and the profiles."""
    return "\n".join([HEADING, *_table(), "", "## Profiles", "", *_profiles(), "", "## Settings", "", *_settings(), ""])


def _table() -> Iterator[str]:
    aliases = METRICS.aliases()
    yield "| metric | definition | unit, range | best | version | prediction empty | reference empty |"
    yield "|---|---|---|---|---|---|---|"
    for name in METRICS.names():
        card = definition(name)
        also = [f"`{alias}`" for alias, real in aliases.items() if real == name]
        names = f"`{name}`" + (f" (also {', '.join(also)})" if also else "")
        empty = [_value(value) for value in (card.when_empty.prediction, card.when_empty.reference)]
        meaning = card.definition.replace("|", "\\|")
        yield f"| {names} | {meaning} | {_range(card)} | {card.best} | {card.version} | {' | '.join(empty)} |"


def _profiles() -> Iterator[str]:
    for name, profile in PROFILES.items():
        yield f"- `{name}`: {', '.join(f'`{metric}`' for metric in profile.metrics)}: {profile.why}."


def _settings() -> Iterator[str]:
    yield "| key of `evaluation` | default |"
    yield "|---|---|"
    for name, field in EvaluationSettings.model_fields.items():
        found = field.get_default(call_default_factory=True)
        default = list(found) if isinstance(found, tuple) else found
        yield f"| `{name}` | {'null' if default is None else default} |"


def _range(card: MetricCard) -> str:
    low, high = card.range
    ends = f"{low:g} to {high:g}" if isfinite(high) else f"{low:g} or more"
    return f"{card.unit}, {ends}" if card.unit else ends


def _value(value: float | None) -> str:
    if value is None:
        return "undefined"
    return f"{value:g}" if isfinite(value) else "infinite"


if __name__ == "__main__":
    sys.stdout.write(cards_page())
