"""A ranking as a LaTeX table that a paper can `\\input`; it needs the package booktabs and nothing else.

Bold is for a loss that is better than the next one beyond doubt, as on the page, and for nothing else.
"""

from __future__ import annotations

from segtrain.core.words import count
from segtrain.reports.contents import ComparisonReport
from segtrain.reports.findings import clear_winner, verdict_word
from segtrain.reports.shown_metric import ShownMetric, shown_metrics
from segtrain.reports.wording import UNDEFINED, interval_signed, p_value, place, signed
from segtrain.statistics.comparison import Comparison, RankingRow

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "∞": r"$\infty$",
    UNDEFINED: "--",
}
"""What LaTeX would take for a command, or does not have in every font."""


def ranking_tex(report: ComparisonReport) -> str:
    """The ranking by the headline metric with the means of the others, as a `table`; every text is escaped."""
    metrics = shown_metrics(report.comparisons, report.definitions)
    if not metrics:
        return "% no metric\n"
    headline, *others = metrics
    comparison = report.comparisons[headline.key]
    head = ["Rank", "Loss", headline.heading, "95 % CI", "Difference", "95 % CI", "p", "Verdict"]
    rows = [_row(row, comparison, headline, report) for row in comparison.ranking]
    beside = [_means(row.loss, others, report) for row in comparison.ranking]
    winner = clear_winner(comparison)
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{escaped(_caption(report, comparison, headline))}}}",
        "\\label{tab:losses}",
        f"\\begin{{tabular}}{{rlrrrrrl{'r' * len(others)}}}",
        "\\toprule",
        _line([*head, *(metric.heading for metric in others)]),
        "\\midrule",
        *(_line([*a, *b], bold=winner) for a, b in zip(rows, beside, strict=True)),
        "\\bottomrule",
        "\\end{tabular}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is; what cannot be printed becomes a space."""
    return "".join(SPECIAL.get(letter, letter if letter.isprintable() else " ") for letter in text)


def _line(cells: list[str], bold: str | None = None) -> str:
    texts = [f"\\textbf{{{escaped(text)}}}" if text == bold else escaped(text) for text in cells]
    return f"{' & '.join(texts)} \\\\"


def _caption(report: ComparisonReport, comparison: Comparison, headline: ShownMetric) -> str:
    made, unit = report.made, report.made.unit
    patients = f" of {count(comparison.n_patients, 'patient')}" if made.patients_known else ""
    seeds = f"mean of {len(made.seeds)} seeds" if len(made.seeds) > 1 else "one seed"
    margin = comparison.rules.margin
    equal = "" if margin is None else f"; equivalent: the interval of the difference lies within ±{margin:g}"
    return (
        f"Losses ranked by mean {headline.heading} over {count(comparison.n_cases, 'case')}{patients} "
        f"({made.folds}-fold cross-validation, {seeds}). Differences are from {comparison.baseline}; intervals are "
        f"bootstrapped over {unit}s; p is of Wilcoxon's signed-rank test, corrected by Holm{equal}."
    )


def _row(row: RankingRow, comparison: Comparison, metric: ShownMetric, report: ComparisonReport) -> list[str]:
    mean = [place(row.rank), row.loss, metric.text(row.mean), metric.interval(row.low, row.high)]
    if row.loss == comparison.baseline:
        return [*mean, "", "", "", "failed" if row.status == "failed" else "baseline"]
    if row.status == "dropped":
        return [*mean, "", "", "", "dropped"]
    pair = next(pair for pair in comparison.against_baseline if pair.a == row.loss)
    word = verdict_word(pair.verdict, report.made.unit)
    status = f" ({row.status})" if row.status not in ("ok", word) else ""
    ends = interval_signed(pair.low, pair.high)
    return [*mean, signed(pair.difference), ends, p_value(pair.p_holm), f"{word}{status}"]


def _means(loss: str, metrics: list[ShownMetric], report: ComparisonReport) -> list[str]:
    """By the other metrics."""
    rows = [(m, row) for m in metrics for row in report.comparisons[m.key].ranking if row.loss == loss]
    return [metric.text(row.mean) for metric, row in rows]
