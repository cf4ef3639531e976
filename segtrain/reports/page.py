"""Contents -> one self-contained HTML file: no network, readable in print, in the dark, on a phone and without script.

Everything that is not markup of our own drawings is escaped by the template engine, and the page forbids foreign
addresses to itself, and every script but the one whose hash it names (Content-Security-Policy), so that a hostile case
name stays a name. That script, `viewer.js`, is the same on each page, and it is there only where there are pictures.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from segtrain.core.files import write_text
from segtrain.core.words import count
from segtrain.reports import cases_view, labels_view
from segtrain.reports.comparison_view import comparison_view
from segtrain.reports.contents import ComparisonReport, ConfigRow, EvaluationReport, TrainingReport
from segtrain.reports.figures import training_curves
from segtrain.reports.shown_metric import ShownMetric, shown_metrics
from segtrain.statistics.intervals import DRAWS, NARROW_BELOW
from segtrain.statistics.verdict import FEWEST_PATIENTS

TEMPLATES = Path(__file__).parent

SCRIPT = TEMPLATES / "viewer.js"

MOST_TILES = 4
"""Metrics whose means stand at the top."""


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
    patients = max((c.n_patients for c in report.comparisons.values()), default=0)
    text = _template("comparison.html.jinja").render(
        kind="Loss comparison",
        cautions=_cautions(patients, report.made.unit),
        metrics_meant=_defined(shown_metrics(report.comparisons, report.definitions)),
        script=SCRIPT.read_text(encoding="utf-8") if report.pictures else "",
        **comparison_view(report),
        **_frame(report, report.config),
    )
    write_text(path, text)


def page(template: str, **view: Any) -> str:
    """A page of another module, as HTML; everything in `view` is escaped."""
    text: str = _template(template).render(**view)
    return text


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
    environment.filters["csp_hash"] = _csp_hash
    return environment.get_template(name)


def _csp_hash(script: str) -> str:
    """How a Content-Security-Policy names a script that may run."""
    return f"sha256-{base64.b64encode(sha256(script.encode()).digest()).decode('ascii')}"


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
    scores = report.scores
    metrics = shown_metrics(cases_view.metrics_in(scores), report.summary.get("definitions"))
    scored = bool(metrics) and not report.volumes_only
    totals = labels_view.totals_of(scores, report.summary, metrics) if scored else {}
    unit = cases_view.unit_of(scores)
    patients = len({case.patient for case in scores})
    table = cases_view.case_table(scores, metrics) if scored else cases_view.volume_table(scores)
    return {
        "tiles": _tiles(report, metrics, totals),
        "cautions": _cautions(patients, unit) if scored else [],
        "units": f"{unit}s",
        "volumes_only": report.volumes_only,
        "profile": report.profile,
        "overview": labels_view.overview(report.summary, metrics, totals) if scored else None,
        "one_by_one": labels_view.one_by_one(scores, report.summary, metrics, totals) if scored else [],
        "presence": labels_view.presence_rows(report.summary) if scored else [],
        "overlays": list(report.overlays),
        "script": SCRIPT.read_text(encoding="utf-8") if report.overlays else "",
        "table": table if scores else None,
        "failed": list(report.failed),
        "lost": len({case for case, _ in report.failed} - {case.case for case in scores}),
        "metrics_meant": _defined(metrics) if scored else [],
    }


def _tiles(
    report: EvaluationReport, metrics: Sequence[ShownMetric], totals: labels_view.Totals
) -> list[dict[str, str]]:
    """The few numbers at the top."""
    scores, failed, tiles = report.scores, len(report.failed), []
    labels = count(len(report.summary["labels"]), "label")
    for metric in metrics[:MOST_TILES] if totals else ():
        total = totals[metric.key]
        note = f"mean over {labels}; {total['defined']} values defined"
        tiles.append({"value": total["mean"], "ends": total["interval"], "name": metric.heading, "note": note})
    patients = f"of {count(len({case.patient for case in scores}), 'patient')}"
    if cases_view.unit_of(scores) == "case":
        patients = "patients are not known"
    lost = f"; {failed} failed" if failed else ""
    if scores or failed:
        tiles.append({"value": str(len(scores)), "ends": "", "name": "cases", "note": f"{patients}{lost}"})
    return tiles


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


def _defined(metrics: Sequence[ShownMetric]) -> list[ShownMetric]:
    """Those of which is known what they mean."""
    return [metric for metric in metrics if metric.definition]


def _nothing_validated() -> EvaluationReport:
    return EvaluationReport("", {}, (), {"labels": {}, "mean": {}, "presence": {}}, (), ())
