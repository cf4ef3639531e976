"""Results -> tables on a terminal. A mean never stands without its n, and what is undefined is a dash."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from segtrain.cli.console import printable

Json = Mapping[str, Any]

SHARED_OPTIONS = ("include_background", "class_weights", "ignore_label", "reduce_over", "absent", "smooth")
"""Options that every loss has which can have them; a list of losses would repeat them in each row."""

CARD_FACTS = ("good_for", "bad_at", "aliases", "family", "formula", "modes", "optimum", "paper")
"""What a loss's card says between its description and its options, in this order."""


def metric_table(metrics: Json) -> Table:
    """The content of `metrics.json`: a row a label, a column a metric with mean, 95 % interval and n."""
    labels: Json = metrics.get("labels", {})
    names = list(dict.fromkeys(name for scores in labels.values() for name in scores))
    table = _table("label", *(f"{name}: mean [95 % interval] n" for name in names))
    for label, scores in labels.items():
        table.add_row(_cell(label), *(_statistic(scores.get(name)) for name in names))
    if len(labels) > 1:
        table.add_section()
        table.add_row("mean of labels", *(number(metrics.get("mean", {}).get(name)) for name in names))
    return table


def ranking_table(result: Json) -> Table:
    """A comparison's `ranking`, best first, with the verdict of each loss against the `baseline` from its `pairs`."""
    baseline = result.get("baseline", "baseline")
    against = {pair["a"]: pair for pair in result.get("pairs", ()) if pair.get("b") == baseline}
    metric = f"{result.get('metric', 'score')}: mean [95 % interval] n"
    table = _table("rank", "loss", metric, "rank interval", f"minus {baseline} [95 % interval]", "p (Holm)", "verdict")
    for row in result["ranking"]:
        pair = against.get(row["loss"], {})
        verdict = "baseline" if row["loss"] == baseline else pair.get("verdict") or row.get("status")
        table.add_row(
            _cell(_place(row.get("rank"))),
            _cell(row["loss"]),
            Text(f"{_mean(row.get('mean'), row.get('low'), row.get('high'))} {row.get('n', 0)}"),
            Text(_interval(row.get("rank_low"), row.get("rank_high"), digits=1)),
            Text(_mean(pair.get("difference"), pair.get("low"), pair.get("high"), sign=True) if pair else ""),
            Text(number(pair.get("p_holm")) if pair else ""),
            _cell(verdict),
        )
    return table


def loss_table(cards: Sequence[Json]) -> RenderableType:
    """All losses: name, family, the options that are its own with their defaults, what it is."""
    table = _table("loss", "family", "options", "description")
    for card in cards:
        own = (f"{o['name']}={_words(o['default'])}" for o in card["options"] if o["name"] not in SHARED_OPTIONS)
        names = "\n".join((card["name"], *(f"= {alias}" for alias in card["aliases"])))
        first = card["description"].partition("\n")[0]
        table.add_row(_cell(names), _cell(card["family"]), _cell(", ".join(own)), _cell(first))
    return Group(table, Text(f"Those that can have them also take {', '.join(SHARED_OPTIONS)}."))


def loss_card(card: Json) -> RenderableType:
    """One loss in full."""
    parts: list[RenderableType] = [Text(card["name"], style="bold"), _cell(card["description"]), Text("")]
    facts = {key.replace("_", " "): card[key] for key in CARD_FACTS if card[key] not in (None, "", [])}
    parts += [_cell(f"{name}: {_words(value)}") for name, value in facts.items()]
    if card["options"]:
        table = _table("option", "type", "default", "range", "meaning")
        for option in card["options"]:
            cells = (option["name"], option["type"], _words(option["default"]), option["range"], option["doc"])
            table.add_row(*map(_cell, cells))
        parts.append(table)
    return Group(*parts)


def number(value: float | None, *, sign: bool = False) -> str:
    """A number, or a dash where it is undefined."""
    return "-" if value is None else f"{value:{'+' if sign else ''}.3f}"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(Text(printable(column)))
    return table


def _statistic(found: Json | None) -> Text:
    if not found:
        return Text("-")
    undefined = f" ({found['n_undefined']} undefined)" if found.get("n_undefined") else ""
    ends: Iterable[float | None] = found.get("ci95") or (None, None)
    return Text(f"{_mean(found.get('mean'), *ends)} {found.get('n', 0)}{undefined}")


def _mean(mean: float | None, low: float | None, high: float | None, *, sign: bool = False) -> str:
    return f"{number(mean, sign=sign)} {_interval(low, high, sign=sign)}"


def _interval(low: float | None, high: float | None, *, digits: int = 3, sign: bool = False) -> str:
    if low is None or high is None:
        return "[-]"
    shape = f"{'+' if sign else ''}.{digits}f"
    return f"[{low:{shape}}, {high:{shape}}]"


def _place(rank: float | None) -> str:
    return "-" if rank is None else f"{rank:g}"


def _words(value: Any) -> str:
    """A plain value as it would stand in the YAML."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cell(value: Any) -> Text:
    return Text("" if value is None else printable(str(value)))
