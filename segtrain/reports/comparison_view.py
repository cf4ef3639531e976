"""The rows of a comparison page, and the sentence that says what was found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segtrain.reports.figures import loss_differences, loss_means
from segtrain.reports.wording import count, interval, metric_name, number, p_value, place, places, signed
from segtrain.statistics.comparison import Comparison, PairRow, RankingRow
from segtrain.statistics.verdict import FEWEST_PATIENTS

WORD_CLASS = {
    "better": "good",
    "worse": "bad",
    "equivalent": "even",
    "not decided": "open",
    "too few patients": "open",
    "failed": "bad",
}
"""Verdict -> look of its tag; the word itself is always printed."""


def metric_view(metric: str, comparison: Comparison, seed_sd: Mapping[str, float]) -> dict[str, Any]:
    """Everything the page shows for one metric."""
    name = metric_name(metric)
    winner = clear_winner(comparison)
    return {
        "key": metric,
        "name": name,
        "finding": finding(comparison, name),
        "ranking": [_ranking_row(row, comparison, winner, seed_sd) for row in comparison.ranking],
        "has_seed_sd": bool(seed_sd),
        "baseline_rows": [_pair_row(row) for row in comparison.against_baseline],
        "other_rows": [_pair_row(row) for row in comparison.pairs if row.b != comparison.baseline],
        "baseline": comparison.baseline,
        "margin": f"{comparison.rules.margin:g}",
        "common": f"{comparison.n_common} of {comparison.n_cases}",
        "patients": comparison.n_patients,
        "needed": _needed(comparison),
        "figures": _figures(comparison, name),
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


def finding(comparison: Comparison, name: str) -> str:
    """One or two sentences, computed from the verdicts against the baseline."""
    if comparison.n_patients < FEWEST_PATIENTS:
        people = count(comparison.n_patients, "patient")
        return f"No verdict: with {people} nothing can be said; at least {FEWEST_PATIENTS} are needed."
    by_word: dict[str, list[str]] = {}
    for row in comparison.against_baseline:
        by_word.setdefault(row.verdict, []).append(row.a)
    phrases = {
        "better": "better than",
        "worse": "worse than",
        "equivalent": f"within ±{comparison.rules.margin:g} of",
        "not decided": "neither better nor worse than, nor equivalent to,",
    }
    parts = [
        f"{_listed(by_word[word])} {'is' if len(by_word[word]) == 1 else 'are'} {phrase} {comparison.baseline}"
        for word, phrase in phrases.items()
        if word in by_word
    ]
    if "failed" in by_word:
        parts.append(f"no comparison with {comparison.baseline} for {_listed(by_word['failed'])}: failed")
    if "too few patients" in by_word:
        parts.append(f"too few patients in common for {_listed(by_word['too few patients'])}")
    text = "; ".join(parts) or "there is nothing to compare"
    return f"By {name}, {text}."


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _needed(comparison: Comparison) -> str:
    """How many patients the open questions ask for."""
    open_rows = [row for row in comparison.against_baseline if row.verdict == "not decided"]
    needed = [row.patients_needed for row in open_rows if row.patients_needed is not None]
    if not needed:
        return ""
    return (
        f"To decide what is open: about {max(needed)} patients would show a true difference of "
        f"{comparison.rules.margin:g} in four of five studies, going by the spread seen here."
    )


def _figures(comparison: Comparison, name: str) -> list[Any]:
    drawn = [loss_means(comparison, name)]
    if any(row.difference is not None for row in comparison.against_baseline):
        drawn.append(loss_differences(comparison, name))
    return drawn


def _ranking_row(
    row: RankingRow, comparison: Comparison, winner: str | None, seed_sd: Mapping[str, float]
) -> dict[str, Any]:
    return {
        "loss": row.loss,
        "is_baseline": row.loss == comparison.baseline,
        "is_winner": row.loss == winner,
        "rank": place(row.rank),
        "ranks": places(row.rank_low, row.rank_high),
        "mean_rank": number(row.mean_rank, 2),
        "mean": number(row.mean),
        "interval": interval(row.low, row.high),
        "defined": f"{row.n} / {row.n_total}",
        "status": row.status,
        "seed_sd": number(seed_sd.get(row.loss)),
    }


def _pair_row(row: PairRow) -> dict[str, Any]:
    return {
        "a": row.a,
        "b": row.b,
        "difference": signed(row.difference),
        "interval": "" if row.low is None or row.high is None else f"{signed(row.low)} to {signed(row.high)}",
        "p": p_value(row.p),
        "p_holm": p_value(row.p_holm),
        "effect": signed(row.effect, 2),
        "p_superior": number(row.p_superior, 2),
        "defined": f"{row.n_cases} / {row.n_cases + row.n_undefined}",
        "patients": row.n_patients,
        "verdict": row.verdict,
        "look": WORD_CLASS[row.verdict],
    }
