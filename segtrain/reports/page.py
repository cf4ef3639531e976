"""Contents -> one self-contained HTML file: no script, no network, readable in print, in the dark and on a phone.

Everything that is not markup of our own drawings is escaped by the template engine, and the page forbids scripts and
foreign addresses to itself (Content-Security-Policy), so that a hostile case name stays a name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from segtrain.core.files import write_text
from segtrain.core.scores import CaseScores
from segtrain.reports import cases_view
from segtrain.reports.comparison_view import metric_view
from segtrain.reports.contents import ComparisonReport, ConfigRow, EvaluationReport, TrainingReport
from segtrain.reports.figures import label_strips, learning_curves, shared_columns, training_curves
from segtrain.reports.overlays import overlay_panel
from segtrain.reports.wording import count, interval, metric_name, number
from segtrain.statistics.intervals import DRAWS, NARROW_BELOW
from segtrain.statistics.verdict import FEWEST_PATIENTS

TEMPLATES = Path(__file__).parent


def write_evaluation_report(path: Path, report: EvaluationReport) -> None:
    """Write the page of an evaluation."""
    view = {"curves": (), **_frame(report, ()), **_evaluation(report)}
    write_text(path, _template("evaluation.html.jinja").render(kind="Evaluation", **view))


def write_training_report(path: Path, report: TrainingReport) -> None:
    """Write the page of a run: curves first, then the validation of its best checkpoint."""
    inner = report.validation or _nothing_validated()
    view = {"curves": training_curves(report.epochs), **_evaluation(inner), **_frame(report, report.config)}
    view["notes"] = [*report.notes, *inner.notes]
    write_text(path, _template("evaluation.html.jinja").render(kind="Training run", **view))


def write_comparison_report(path: Path, report: ComparisonReport) -> None:
    """Write the page of a sweep over losses."""
    metrics = [
        metric_view(metric, comparison, report.seed_sd.get(metric, {}))
        for metric, comparison in report.comparisons.items()
    ]
    patients = max((c.n_patients for c in report.comparisons.values()), default=0)
    curves = [learning_curves(report.curves, column) for column in shared_columns(report.curves)]
    text = _template("comparison.html.jinja").render(
        kind="Loss comparison",
        metrics=metrics,
        cautions=_cautions(patients, "patient"),
        curves=[drawing for drawing in curves if drawing],
        declared=report.declared,
        cards=cases_view.cards_of(list(report.comparisons)),
        fewest=FEWEST_PATIENTS,
        **_frame(report, report.config),
    )
    write_text(path, text)


@cache
def _template(name: str) -> Any:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["draws"] = f"{DRAWS:,}"
    environment.filters["metric_name"] = metric_name
    return environment.get_template(name)


def _frame(report: EvaluationReport | TrainingReport | ComparisonReport, config: Sequence[ConfigRow]) -> dict[str, Any]:
    """What every page has."""
    return {
        "title": report.title,
        "facts": dict(report.facts),
        "notes": list(report.notes),
        "config_chosen": [row for row in config if row[2] != "default"],
        "config_default": [row for row in config if row[2] == "default"],
    }


def _evaluation(report: EvaluationReport) -> dict[str, Any]:
    """Scores as the page shows them."""
    scores, metrics = report.scores, cases_view.metrics_in(report.scores)
    scored = bool(metrics) and not report.volumes_only
    unit = _unit(scores)
    patients = len({case.patient for case in scores})
    table = cases_view.case_table(scores, metrics) if scored else cases_view.volume_table(scores)
    rows = cases_view.label_rows(report.summary, metrics) if scored else []
    return {
        "tiles": _tiles(report.summary, scores, metrics if scored else [], len(report.failed)),
        "cautions": _cautions(patients, unit) if scored else [],
        "units": f"{unit}s",
        "volumes_only": report.volumes_only,
        "metrics": metrics if scored else [],
        "label_rows": rows,
        "presence": cases_view.presence_rows(report.summary) if scored else [],
        "strips": [label_strips(scores, m, [row["label"] for row in rows]) for m in metrics[:1]] if scored else [],
        "overlays": [
            {"case": o.case, "caption": o.caption, "drawing": overlay_panel(o), "labels": _outlined(o.label_names)}
            for o in report.overlays
        ],
        "table": table if scores else None,
        "failed": list(report.failed),
        "cards": cases_view.cards_of(metrics) if scored else [],
    }


def _tiles(
    summary: Mapping[str, Any], scores: Sequence[CaseScores], metrics: Sequence[str], failed: int
) -> list[dict[str, str]]:
    """The few numbers at the top."""
    tiles = []
    for metric in metrics[:3]:
        found, total = cases_view.overall(scores, metric)
        ends = interval(found.low, found.high)
        labels = count(len(summary["labels"]), "label")
        note = f"mean over {labels}; {found.n_values} / {total} values defined"
        mean = number(summary["mean"].get(metric))
        tiles.append({"value": mean, "ends": ends, "name": metric_name(metric), "note": note})
    patients = f"of {count(len({case.patient for case in scores}), 'patient')}"
    if _unit(scores) == "case":
        patients = "patients are not known"
    lost = f"; {failed} failed" if failed else ""
    if scores or failed:
        tiles.append({"value": str(len(scores)), "ends": "", "name": "cases", "note": f"{patients}{lost}"})
    return tiles


def _unit(scores: Sequence[CaseScores]) -> str:
    """What intervals are over: patients, or cases where each is its own patient because none was given."""
    return "patient" if any(case.patient != case.case for case in scores) else "case"


def _cautions(patients: int, unit: str) -> list[str]:
    """What the number of patients (or of cases, where patients are not known) forbids to conclude."""
    found = []
    if patients < NARROW_BELOW:
        found.append(
            f"{count(patients, unit)}: below {NARROW_BELOW}, the intervals are too narrow. They are meant to hold "
            "the true mean in 95 of 100 studies and hold it in fewer."
        )
    if patients < FEWEST_PATIENTS:
        found.append(f"Below {FEWEST_PATIENTS} {unit}s no test can reach p < 0.05: draw no verdict from these numbers.")
    return found


def _outlined(names: Mapping[int, str]) -> str:
    return ", ".join(name for label, name in names.items() if label)


def _nothing_validated() -> EvaluationReport:
    return EvaluationReport("", {}, (), {"labels": {}, "mean": {}, "presence": {}}, (), ())
