"""The last event of a recipe -> what is printed, and the exit code."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import typer
from rich.console import RenderableType

from segtrain.cli.console import Session
from segtrain.cli.tables import metric_table, ranking_table
from segtrain.core.events import Finished

SOME_FAILED = 1


def print_finished(session: Session, finished: Finished, following: str = "") -> None:
    """Print a recipe's result and the command to type next; leaves with 1 where something failed."""
    result = finished.result
    session.result({**result, "failed": list(finished.failed)}, *_parts(result), *_failures(finished))
    report = result.get("report")
    if report:
        session.next(f"open {shlex.quote(str(report))} in a browser")
    if following:
        session.next(following)
    if finished.failed:
        raise typer.Exit(SOME_FAILED)


def _parts(result: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Tables and paths of a result, in the order in which a person reads them."""
    if "ranking" in result:
        yield ranking_table(result)
    for fold in result.get("by_fold", ()):
        yield f"fold {fold['fold']}: {fold.get('run', '')}"
        yield from _tables(fold)
    if "by_fold" in result:
        yield "all folds together, each case by the network that never saw it:"
    yield from _tables(result)
    if result.get("report"):
        yield f"report: {result['report']}"
    elif result.get("out") or result.get("run"):
        yield f"written to {result.get('out') or result.get('run')}"


def _tables(result: Mapping[str, Any]) -> Iterator[RenderableType]:
    metrics = result.get("metrics")
    if isinstance(metrics, Mapping) and metrics.get("labels"):
        yield metric_table(metrics)


def _failures(finished: Finished) -> Iterator[str]:
    for name in finished.failed:
        yield f"failed: {name}"
