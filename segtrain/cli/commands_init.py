"""`init`: a config for data that nobody has described yet."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from segtrain.cli.console import Session
from segtrain.cli.options import Overwrite
from segtrain.core.words import count

Data = Annotated[
    Path,
    typer.Argument(metavar="DATA", help="A folder of scans and masks, or a CSV of cases.", show_default=False),
]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The YAML to write.")]


def init(session: Session, data: Data, out: Out = Path("config.yaml"), overwrite: Overwrite = False) -> None:
    """Write a commented config for a folder of scans; ask nothing."""
    from segtrain.recipes.init import write_config

    written = write_config(data, out, overwrite=overwrite)
    session.result(written, "\n".join(told(written)))
    session.next(shlex.join(["segtrain", "check", "--config", str(out)]))


def told(facts: Mapping[str, Any]) -> Iterator[str]:
    """What was found, line by line."""
    yield f"recognised: {facts['recognised']}"
    yield f"cases: {facts['cases']} of {count(facts['patients'], 'patient')}"
    yield f"channels: {', '.join(facts['channels'])}"
    counts = facts["masks_with_label"]
    labels = (f"{name} {i} (in {counts.get(str(i), 0)})" for name, i in facts["labels"].items() if i)
    yield f"labels: {', '.join(labels)} of {count(facts['masks_read'], 'mask')} read, of {facts['masks']}"
    if regions := facts.get("regions"):
        yield f"regions: {', '.join(regions)}"
    if "ignore" in facts:
        yield f"ignore: {facts['ignore']} (in {counts.get(str(facts['ignore']), 0)})"
    yield from (f"note: {sentence}" for sentence in facts["guesses"])
    yield from (f"written: {facts[key]}" for key in ("table", "config") if key in facts)
