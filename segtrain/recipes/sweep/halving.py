"""`compare.strategy: halving`: all losses up to a rung, a decision, those that are left up to the next, and to the end.

A decision is taken once and written down; a sweep that goes on reads it back. By what rule, `statistics.elimination`
says.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

from segtrain.config.load import Loaded
from segtrain.core.errors import ConfigError, Problem
from segtrain.core.events import Event, Note
from segtrain.core.words import count
from segtrain.execution.executor import Executor
from segtrain.recipes.sweep.plan import Meaning, SweepRun, settings_of
from segtrain.recipes.sweep.rungs import keep_rung, read_rung, rung_epochs, still_in
from segtrain.recipes.sweep.runs import Jobs, do_runs
from segtrain.recipes.sweep.scores import read_scores
from segtrain.reports.contents import Rung
from segtrain.reports.halving_view import drop_sentence
from segtrain.statistics.elimination import DropRules, eliminate, family


def require_margin(loaded: Loaded, meaning: Meaning) -> None:
    """ConfigError where losses are to be dropped by a metric of which nobody said what difference counts."""
    headline = next(iter(meaning.best))
    if settings_of(loaded).strategy == "halving" and meaning.margin(headline) is None:
        what = f"it is not known which differences in {headline} count, so that no loss can be dropped by it"
        why, hint = "it has a unit", f"compare: {{margins: {{{headline}: 1.0}}}}, or another first metric"
        raise ConfigError(Problem(what, "compare.margins", why, hint))


def halve(jobs: Jobs, meaning: Meaning, executor: Executor) -> Generator[Event, None, dict[str, str]]:
    """Do the runs rung by rung; returns those that could not be done to the end, with the reason.

    At a rung all losses of a fold and seed come before the next, as in `do_runs`. A loss one of whose runs diverged is
    not judged there and goes on. Where a run broke off nothing is decided and the sweep ends: it may be sound when it
    is tried again, and a decision is for good.
    """
    rungs, sweep = rung_epochs(jobs.loaded), jobs.sweep[0].sweep
    taken: list[Rung] = []
    for place, epoch in enumerate(rungs, start=1):
        runs = still_in(jobs.runs, taken)
        found = read_rung(sweep, epoch)
        if found is None:
            number, whole = len({run.entry.label for run in runs}), jobs.loaded.config.training.planned_epochs
            losses = count(number, "loss", "losses")
            yield Note(f"rung {place} of {len(rungs)}: {losses} up to epoch {epoch} of {whole}")
            broken = yield from do_runs(replace(jobs, runs=runs, until=epoch), executor)
            if broken:
                yield Note(
                    f"nothing is decided at epoch {epoch}: {len(broken)} of {len(runs)} runs broke off before it"
                )
                yield Note("the same command with --resume tries them again, and goes on from there")
                return broken
            found = decide(replace(jobs, runs=runs, until=epoch), meaning, taken)
            keep_rung(sweep, found)
        taken.append(found)
        yield from map(Note, told(found))
    return (yield from do_runs(replace(jobs, runs=still_in(jobs.runs, taken)), executor))


def decide(jobs: Jobs, meaning: Meaning, taken: Sequence[Rung]) -> Rung:
    """Who goes on from the rung where `jobs` ended, going by the scores in the folders of their runs."""
    epoch, settings = jobs.until or 0, settings_of(jobs.loaded)
    headline, best = next(iter(meaning.best.items()))
    not_judged = dict(_not_judged(jobs.runs, epoch))
    judged = [run for run in jobs.runs if run.entry.label not in not_judged]
    scores = read_scores(judged, {headline: best}, {run: run.rung(epoch) for run in judged})
    values = scores.values(headline)
    empty = [loss for loss in values if all(value is None for value in values[loss].values())]
    not_judged |= dict.fromkeys(empty, f"{headline} is not defined in any of its cases")
    left = family(len(settings.losses), len(rung_epochs(jobs.loaded))) - sum(rung.found.rejected for rung in taken)
    rules = DropRules(meaning.margin(headline) or 0.0, settings.halving.keep_at_least, left, best == "higher")
    known = {loss: found for loss, found in values.items() if loss not in empty}
    found = eliminate(known, scores.patients, settings.baseline, 0, rules, _yardstick(jobs.runs, meaning, taken))
    return Rung(epoch, jobs.loaded.config.training.planned_epochs, headline, left, found, not_judged)


def _yardstick(runs: Sequence[SweepRun], meaning: Meaning, taken: Sequence[Rung]) -> dict[str, float | None] | None:
    """What the leader of the rung before had there, by case; None where there was none."""
    leader = taken[-1].leader if taken else None
    if leader is None:
        return None
    headline, best = next(iter(meaning.best.items()))
    led = [run for run in runs if run.entry.label == leader]
    return read_scores(led, {headline: best}, {run: run.rung(taken[-1].epoch) for run in led}).values(headline)[leader]


def told(rung: Rung) -> Iterator[str]:
    """What a rung decided, in sentences."""
    if rung.found.why_nobody:
        yield f"epoch {rung.epoch}: {rung.found.why_nobody}"
    yield from (f"epoch {rung.epoch}: {loss} is not judged: {why}" for loss, why in rung.not_judged.items())
    for row in rung.found.standings:
        if row.decision == "dropped":
            yield f"{row.loss} is dropped {drop_sentence(rung, row)}"


def _not_judged(runs: Sequence[SweepRun], epoch: int) -> Iterator[tuple[str, str]]:
    """Loss -> why it cannot be judged, of the last of its runs that has no scores there."""
    for run in runs:
        if not run.rung(epoch).is_file():
            why = "has no scores of this epoch" if run.failure is None else "diverged"
            yield run.entry.label, f"{run.name} {why}"
