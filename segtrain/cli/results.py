"""The last event of a recipe -> what is printed, and the exit code."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import typer
from rich.console import RenderableType

from segtrain.cli.console import Session, problem_json, problem_lines
from segtrain.cli.tables import metric_table, ranking_table
from segtrain.core.errors import Problem
from segtrain.core.events import CaseFailed, Event, Finished
from segtrain.core.words import count

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


def unless_failed(events: Generator[Event, None, None]) -> Generator[Event, None, None]:
    """All events but those of cases that could not be used: for a result that tells them, each with its fault."""
    with closing(events):
        yield from (event for event in events if not isinstance(event, CaseFailed))


def print_checked(session: Session, about: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Print what `check` found: every fault once, the sheet, whom `--fix` mended; `about` is the config or the data."""
    problems: Sequence[Problem] = result["problems"]
    faults = "\n".join(line for problem in problems for line in problem_lines(problem)) or "no faults found"
    sheet, fixed = result.get("sheet"), result.get("fixed")
    plain = {**about, "ok": not problems, **result, "problems": [problem_json(problem) for problem in problems]}
    session.result(plain, faults, f"all cases: {sheet}" if sheet else None, *(_fixed(fixed, problems) if fixed else ()))
    if fixed:
        session.next(shlex.join(["segtrain", "check", "--config", fixed["config"]]))


def _fixed(fixed: Mapping[str, Any], problems: Sequence[Problem]) -> Iterator[str]:
    """What was mended, a line a case, and who was left out; why is told once, with the faults."""
    for case, changes in fixed["mended"].items():
        yield f"mended {case}: {'; '.join(changes)}"
    told = {(case, problem.what) for problem in problems for case in problem.cases}
    known = [case for case, why in fixed["left_out"].items() if told.issuperset((case, what) for what in why)]
    if known:
        yield f"left out for the faults above: {', '.join(known)}"
    yield from (f"left out {case}: {'; '.join(why)}" for case, why in fixed["left_out"].items() if case not in known)
    yield f"{count(fixed['cases'], 'case')} in {fixed['out']}; fixes.csv there has what was changed"


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
    if isinstance(metrics, Mapping) and metrics.get("cases") == 0:
        yield f"nothing was scored: there was no mask to compare with; the masks are in {result.get('out')}/predictions"
    elif isinstance(metrics, Mapping) and metrics.get("labels"):
        yield metric_table(metrics)


def _failures(finished: Finished) -> Iterator[str]:
    for name in finished.failed:
        yield f"failed: {name}"
