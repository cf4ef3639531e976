"""What a comparison of losses found, in sentences computed from its verdicts, and what it cannot have found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from segtrain.core.words import count
from segtrain.reports.contents import SweepFacts
from segtrain.reports.curves import Curve
from segtrain.statistics.comparison import Comparison
from segtrain.statistics.verdict import FEWEST_PATIENTS, Verdict

FEW_STEPS = 1000
"""Trainings below this are told to be short: nnU-Net's default has 250 000."""

PHRASES = {
    "better": "better than",
    "worse": "worse than",
    "equivalent": "within ±{margin:g} of",
    "not decided": "neither better nor worse than, nor equivalent to,",
}


def clear_winner(comparison: Comparison) -> str | None:
    """The first loss of the ranking, if it is better than the second beyond doubt."""
    alive = [row.loss for row in comparison.ranking if row.status != "failed"]
    if len(alive) < 2:
        return None
    for pair in comparison.pairs:
        if {pair.a, pair.b} == {alive[0], alive[1]}:
            return alive[0] if pair.verdict == ("better" if pair.a == alive[0] else "worse") else None
    return None


def _said(phrase: str, comparison: Comparison) -> str:
    """A phrase with the margin, if it needs one; without a margin nothing can be equivalent."""
    if comparison.rules.margin is None:
        return phrase.replace(", nor equivalent to,", "")
    return phrase.format(margin=comparison.rules.margin)


def verdict_word(verdict: Verdict, unit: str) -> str:
    """A verdict as it is printed: where patients are not known, there are too few cases."""
    return verdict.replace("patient", unit)


def finding(comparison: Comparison, name: str, unit: str) -> str:
    """One or two sentences, computed from the verdicts against the baseline."""
    if comparison.n_patients < FEWEST_PATIENTS:
        people = count(comparison.n_patients, unit)
        return f"No verdict: with {people} nothing can be said; at least {FEWEST_PATIENTS} are needed."
    by_word: dict[str, list[str]] = {}
    for row in comparison.against_baseline:
        by_word.setdefault(row.verdict, []).append(row.a)
    baseline = comparison.baseline
    parts = [
        f"{listed(by_word[word])} {'is' if len(by_word[word]) == 1 else 'are'} {_said(said, comparison)} {baseline}"
        for word, said in PHRASES.items()
        if word in by_word
    ]
    if "failed" in by_word:
        parts.append(f"no comparison with {baseline} for {listed(by_word['failed'])}: failed")
    if "too few patients" in by_word:
        parts.append(f"too few {unit}s in common for {listed(by_word['too few patients'])}")
    text = "; ".join(parts) or "there is nothing to compare"
    return f"By {name}, {text}."


def needed(comparison: Comparison, unit: str) -> str:
    """How many patients the open questions ask for."""
    open_rows = [row for row in comparison.against_baseline if row.verdict == "not decided"]
    numbers = [row.patients_needed for row in open_rows if row.patients_needed is not None]
    if not numbers or comparison.rules.margin is None:
        return ""
    return (
        f"To decide what is open: about {max(numbers)} {unit}s would show a true difference of "
        f"{comparison.rules.margin:g} in four of five studies, going by the spread seen here."
    )


def training_cautions(made: SweepFacts, curves: Sequence[Curve], *, more_is_better: bool) -> Iterator[str]:
    """What the seeds and the length of the trainings forbid to conclude; `curves`: validation, one a loss."""
    if len(made.seeds) == 1:
        yield (
            "One seed: how far a loss varies from seed to seed was not measured, so a difference may be chance of the "
            "training, however many patients agree. compare: {seeds: [0, 1, 2]} measures it."
        )
    elif len(made.seeds) == 2:
        yield "Two seeds: a standard deviation of two numbers is a rough one. Three or more say it better."
    if made.steps and max(made.steps) < FEW_STEPS:
        steps = f"{count(made.epochs, 'epoch')}, {max(made.steps)} steps in all"
        yield f"Short trainings ({steps}): they tell which loss learns fastest, not which one ends best."
    long = [[y if more_is_better else -y for _, y in curve] for curve in curves if len(curve) > 1]
    rising = sum(values[-1] == max(values) for values in long)
    if long and 2 * rising > len(long):
        still = f"At the last epoch {rising} of {len(long)} losses were still improving"
        yield f"{still}: longer trainings may rank them otherwise."


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
