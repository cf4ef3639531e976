"""Events -> what a person sees of long work, on stderr: bars on a terminal, elsewhere a line an epoch and a case.

`-q` shows nothing, `-v` also every prepared case and checkpoint. rich keeps `NO_COLOR`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack, closing
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from rich.console import Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from segtrain.cli.console import Session, printable, stderr
from segtrain.cli.event_text import case_scores, clock, epoch_text, validation_text
from segtrain.cli.signals import deferred
from segtrain.core.events import (
    CaseFailed,
    CasePrepared,
    CaseRead,
    CaseScored,
    CheckpointSaved,
    EpochEnded,
    Event,
    Finished,
    Note,
    RunEnded,
    StepEnded,
    Validated,
)
from segtrain.core.words import count

ETA_WINDOW = 600.0
"""Seconds over which the speed is averaged, so that a validation does not make the remaining time jump."""


@runtime_checkable
class _Closable(Protocol):
    def close(self) -> None: ...


def show(events: Iterable[Event], session: Session) -> Finished:
    """Show all events and return the last one.

    However this ends, the generator is closed before the exception goes on, so that it can save its work. A signal
    takes effect after the event that is being worked on.
    """
    last: Event | None = None
    with ExitStack() as stack:
        view = stack.enter_context(view_for(session))
        if isinstance(events, _Closable):
            stack.enter_context(closing(events))
        stop = stack.enter_context(deferred(session.say))
        for last in events:
            view.see(last)
            stop.raise_if_asked()
    if not isinstance(last, Finished):
        raise RuntimeError(f"a recipe ended with {last!r} instead of Finished")
    return last


def view_for(session: Session) -> View:
    """How events are shown to whoever reads stderr."""
    if session.quiet or not session.speaks:
        return View()
    live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return Bars(session) if live else Lines(session)


class View:
    """Shows nothing (`-q`); what failed is in the result."""

    def see(self, event: Event) -> None:
        """Show one event."""

    def end(self) -> None:
        """Show what still waits."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class Lines(View):
    """One line an epoch, a case and a note."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.epoch: EpochEnded | None = None
        """Waits for its validation, so that both are on one line."""
        self.ended: list[float] = []
        """When the epochs of this run ended that were seen, validations between them."""

    def see(self, event: Event) -> None:
        """Show one event."""
        match event:
            case EpochEnded():
                self.end_epoch(None)
                if self.ended and event.epoch == 1:  # the next run of a sweep begins
                    self.ended.clear()
                self.ended.append(time.monotonic())
                self.epoch = event
            case Validated():
                self.end_epoch(event)
            case StepEnded() | RunEnded() | Finished():
                self.end_epoch(None)
        self.write(self.line(event))

    def line(self, event: Event) -> str:
        """What is written for an event that is no epoch; empty for nothing."""
        match event:
            case Note(text):
                return text
            case CaseFailed(case, message, done, total):
                return f"failed {done}/{total}  {case}: {' '.join(message.split())}"
            case RunEnded(name, done, total, message):
                return f"run {done}/{total}  {name}  {message}"
            case CaseScored(case, done, total):
                return f"case {done}/{total}  {case}  {case_scores(event)}".rstrip()
            case CaseRead(case, done, total) if self.session.verbose:
                return f"read {done}/{total}  {case}"
            case CaseRead(_, done, total) if done == total:
                return f"read {count(total, 'case')}"
            case CasePrepared(case, done, total) if self.session.verbose:
                return f"prepared {done}/{total}  {case}"
            case CasePrepared(_, done, total) if done == total:
                return f"prepared {count(total, 'case')}"
            case CheckpointSaved(name, path) if self.session.verbose:
                return f"saved checkpoint {name}: {path}"
            case _:
                return ""

    def end_epoch(self, validated: Validated | None) -> None:
        """Write the line of the epoch that waits, if there is one."""
        if self.epoch is not None:
            left = (self.epoch.epochs - self.epoch.epoch) * self.pace(self.epoch)
            scores = f"  {validation_text(validated)}" if validated else ""
            self.write(epoch_text(self.epoch, scores) + (f"  ETA {clock(left)}" if left else ""))
            self.epoch = None

    def pace(self, epoch: EpochEnded) -> float:
        """Seconds an epoch takes with its validation; of the first one, only the training is known, if that."""
        seen = len(self.ended) - 1
        return (self.ended[-1] - self.ended[0]) / seen if seen > 0 else epoch.seconds or 0.0

    def write(self, text: str) -> None:
        """Write a line."""
        if text:
            self.session.say(text)

    def end(self) -> None:
        """Write the line of an epoch that still waits."""
        self.end_epoch(None)


class Pace(ProgressColumn):
    """Steps, or cases, a second."""

    def render(self, task: Task) -> Text:
        """`3.2/s`, or `2.5 s each` where they are slow."""
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each")


class Bars(Lines):
    """A bar for each kind of work, the last epoch and the last validation below them; all else in lines above."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            Pace(),
            console=stderr(),
            speed_estimate_period=ETA_WINDOW,
        )
        self.bars: dict[str, TaskID] = {}
        self.told: dict[str, Text] = {}
        self.live = Live(get_renderable=self.shown, console=self.progress.console, transient=True, refresh_per_second=4)

    def __enter__(self) -> Self:
        self.live.start()
        return self

    def shown(self) -> Group:
        """What stands on the terminal now."""
        return Group(self.progress, *self.told.values())

    def end(self) -> None:
        """Write what still waits, and take the bars away."""
        super().end()
        self.live.stop()

    def see(self, event: Event) -> None:
        """Move the bar of an event, then show its line."""
        match event:
            case CaseRead(_, done, total):
                self.move("reading", done, total)
            case CasePrepared(_, done, total):
                self.move("preparing", done, total)
            case StepEnded(step, total, _):
                self.move("training", step, total)
            case CaseScored(_, done, total) | CaseFailed(_, _, done, total):
                self.move("scoring", done, total)
            case RunEnded(_, done, total):
                self.move("runs", done, total)
        super().see(event)

    def end_epoch(self, validated: Validated | None) -> None:
        """Tell the epoch below the bars; as a line too when verbose."""
        if self.epoch is None:
            return
        self.told["epoch"] = _one_line(epoch_text(self.epoch))
        if validated is not None:
            self.told["validation"] = _one_line(f"epoch {validated.epoch}: {validation_text(validated)}")
        if self.session.verbose:
            super().end_epoch(validated)
        self.epoch = None

    def move(self, name: str, done: int, total: int) -> None:
        """Set a bar, which appears with its first event and goes when all is done."""
        if name not in self.bars:
            self.bars[name] = self.progress.add_task(name, total=total)
        bar = self.bars[name]
        known = next(task for task in self.progress.tasks if task.id == bar)
        if done < known.completed:  # the next run of a sweep begins
            self.progress.reset(bar, total=total)
            self.told.clear()
        self.progress.update(bar, completed=done, total=total, visible=done < total)

    def write(self, text: str) -> None:
        """Write a line above the bars."""
        if text:
            self.progress.console.print(Text(printable(text)), soft_wrap=True)


def _one_line(text: str) -> Text:
    """Cut at the edge of the terminal: a line that wraps would move all below it."""
    return Text(printable(text), no_wrap=True, overflow="ellipsis")
