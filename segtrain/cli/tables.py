"""Results -> tables on a terminal. A mean never stands without its n, and what is undefined is a dash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from segtrain.cli.console import printable
from segtrain.core.words import count

Json = Mapping[str, Any]

SHARED_OPTIONS = ("include_background", "class_weights", "ignore_label", "reduce_over", "absent", "smooth")
"""Options that every loss has which can have them; a list of losses would repeat them in each row."""

MOST_COLUMNS = 3
"""Metrics up to which a table has a column each."""

CARD_FACTS = ("good_for", "bad_at", "caution", "aliases", "family", "formula", "modes", "optimum", "paper")
"""What a loss's card says between its description and its options, in this order."""


def metric_table(metrics: Json) -> Table:
    """The content of `metrics.json`: mean, 95 % interval and n of each label and metric."""
    labels: Json = metrics.get("labels", {})
    names = list(dict.fromkeys(name for scores in labels.values() for name in scores))
    meant = metrics.get("definitions", {})
    beside = {name: meant.get(name, {}).get("unit") or meant.get(name, {}).get("detail") for name in names}
    titles = {name: f"{name} ({beside[name]})" if beside[name] else name for name in names}
    return (_wide if len(names) <= MOST_COLUMNS else _long)(metrics, titles)


def _long(metrics: Json, titles: Mapping[str, str]) -> Table:
    """A row a label and metric."""
    table = _table("label", "metric", "mean [95 % interval]", "n")
    for label, scores in metrics["labels"].items():
        for place, (name, found) in enumerate(scores.items()):
            low, high = found.get("ci95") or (None, None)
            told = (Text(_mean(found.get("mean"), low, high)), Text(_count(found)))
            table.add_row(_cell(label if place == 0 else ""), titles[name], *told)
        table.add_section()
    if len(metrics["labels"]) > 1:
        for place, (name, title) in enumerate(titles.items()):
            mean = number(metrics.get("mean", {}).get(name))
            table.add_row("mean of labels" if place == 0 else "", title, mean, "")
    return table


def _wide(metrics: Json, titles: Mapping[str, str]) -> Table:
    """A row a label, a column a metric."""
    labels, names = metrics.get("labels", {}), list(titles)
    table = _table("label", *(f"{title}: mean [95 % interval] n" for title in titles.values()))
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
            Text(_p(pair.get("p_holm")) if pair else ""),
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


def dry_run_report(facts: Json) -> Iterator[RenderableType]:
    """What a fit would do: cases, the plan with the origin of each value, what one step took, and estimates."""
    cases = f"{count(facts['cases'], 'case')} of {count(facts['patients'], 'patient')}"
    yield Text(f"{cases}: {facts['train']} train, {facts['validation']} validate")
    yield Text(f"device: {facts['device']}, {count(facts['threads'], 'thread')}")
    table = _table("plan", "value", "from")
    for name, value in facts["plan"].items():
        table.add_row(_cell(name), _cell(_plan_words(value)), _cell(facts["origins"][name]))
    yield table
    step, seconds, memory, disk = (facts[key] for key in ("step", "seconds", "memory", "disk"))
    loss = "not finite" if step["loss"] is None else f"{step['loss']:.3g}"
    epochs, an_epoch = count(facts["epochs"], "epoch"), count(facts["steps_per_epoch"], "step")
    steps = f"{epochs} of {an_epoch} = {count(facts['total_steps'], 'step')}"
    parts = ", ".join(f"{name} {duration(value)}" for name, value in seconds.items() if name != "total")
    yield Text(
        f"network: {facts['parameters']:,} parameters\n"
        f"training: {steps}\n"
        f"one step: {step['seconds']:.3g} s (the first {step['first_seconds']:.3g} s), loss {loss}\n"
        f"memory: {size(memory['peak_bytes'])} at its peak; "
        f"{size(memory['free_bytes'])} of {size(memory['size_bytes'])} are free\n"
        f"{_disk_words(disk)}\n"
        f"time: about {duration(seconds['total'])} ({parts})"
    )
    for warning in facts["warnings"]:
        yield Text(f"warning: {printable(warning)}", style="yellow")


def _disk_words(disk: Json) -> str:
    written = f"{size(disk['prepared_bytes'])} for prepared cases, {size(disk['checkpoints_bytes'])} for checkpoints"
    return f"disk: {written}; {size(disk['free_bytes'])} are free at {disk['store']}"


def sweep_dry_run_report(facts: Json) -> Iterator[RenderableType]:
    """What a sweep would do: its runs, what a step of each loss took, and what all of them would."""
    seeds = ", ".join(map(str, facts["seeds"]))
    losses, folds = count(len(facts["losses"]), "loss", "losses"), count(facts["folds"], "fold")
    each = f"{losses} x {folds} x {count(len(facts['seeds']), 'seed')} ({seeds})"
    yield Text(f"{count(facts['runs'], 'run')}: {each}, {count(facts['cases'], 'case')}")
    yield Text(f"device: {facts['device']}, {count(facts['threads'], 'thread')} a run, {facts['at_once']} at once")
    table = _table("loss", "one step", "loss after a few", "steps in all", "time of its runs")
    for label, found in facts["losses"].items():
        value = "not finite" if found["loss"] is None else f"{found['loss']:.3g}"
        words = (f"{found['step_seconds']:.3g} s", value, f"{found['steps']:,}", duration(found["seconds"]))
        table.add_row(*map(_cell, (label, *words)))
    yield table
    seconds, memory, disk = facts["seconds"], facts["memory"], facts["disk"]
    parts = ", ".join(f"{name} {duration(value)}" for name, value in seconds.items() if name != "total")
    most = " at most: losses that are behind are dropped after epoch "
    rungs = most + " and ".join(map(str, facts["rungs"][1:])) if facts["rungs"] else ""
    yield Text(
        f"memory: {size(memory['peak_bytes'])} at its peak, of {size(memory['size_bytes'])}\n"
        f"{_disk_words(disk)}\n"
        f"time: about {duration(seconds['total'])} ({parts}){rungs}"
    )
    for warning in facts["warnings"]:
        yield Text(f"warning: {printable(warning)}", style="yellow")


def doctor_report(facts: Json) -> Iterator[RenderableType]:
    """What a machine and an installation can do, on one page; a part that could not be tried is left out."""
    cores, ram = facts["cores"], facts["ram_bytes"]
    yield _cell(f"segtrain {facts['segtrain'] or '(not installed)'}, {facts['python']}, {facts['system']}")
    yield _cell(f"{facts['processor']}: {cores['usable']} of {cores['installed']} cores")
    room = ", ".join(f"{size(free)} at {place}" for place, free in facts["disk_free_bytes"].items())
    yield _cell(f"free: {size(ram['free'])} of {size(ram['size'])} memory; disk {room}")
    if "torch" in facts:
        yield _cell(_torch_words(facts["torch"]))
        yield _device_table(facts["devices"])
        yield _cell("reads: " + "; ".join(name for name, why in facts["formats"].items() if not why))
    yield _cell("packages: " + ", ".join(f"{name} {found or 'missing'}" for name, found in facts["packages"].items()))
    for name, about in facts["optional"].items():
        found = about["version"] or f"not installed: {about['install']}"
        yield _cell(f"optional: {name} {found} ({about['purpose']})")


def _torch_words(torch: Json) -> str:
    built = f"CUDA {torch['cuda_build']}" if torch["cuda_build"] else f"ROCm {torch['rocm_build']}"
    gpu = built if torch["cuda_build"] or torch["rocm_build"] else "no CUDA"
    blas = f"{torch['blas']}{' and oneDNN' if torch['onednn'] else ''}, {torch['instructions']}"
    several = f"several processes by {', '.join(torch['distributed']) or 'nothing'}"
    return f"torch {torch['version']}: {gpu}; {blas}, {torch['threads']} threads; {several}"


def _device_table(devices: Sequence[Json]) -> Table:
    """What a step of a tiny network took on each device."""
    precisions = list(dict.fromkeys(name for device in devices for name in device["steps"]))
    table = _table("device", "", "memory", *(f"a step in {name}" for name in precisions))
    for device in devices:
        steps = [device["steps"][name] for name in precisions]
        told = [f"{1000 * step['step_seconds']:,.0f} ms" if step["ok"] else "fails" for step in steps]
        table.add_row(*map(_cell, (device["name"], device["model"], size(device["memory_bytes"]), *told)))
    return table


def duration(seconds: float) -> str:
    """`12 s`, `3 min 20 s`, `5 h 10 min`, `2 days 3 h`."""
    whole = round(seconds)
    for unit, length, below, part in (("days", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= length:
            rest = whole % length // part
            name = "day" if unit == "days" and whole < 2 * length else unit
            return f"{whole // length} {name}" + (f" {rest} {below}" if rest else "")
    return f"{seconds:.2g} s" if seconds < 10 else f"{whole} s"


def size(count: float | None) -> str:
    """Bytes as a person reads them: powers of 1024."""
    if count is None:
        return "an unknown amount"
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.1f} GiB" if count < 1024 else f"{count / 1024:.1f} TiB"


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
    ends: Iterable[float | None] = found.get("ci95") or (None, None)
    return Text(f"{_mean(found.get('mean'), *ends)} {_count(found)}")


def _count(found: Json) -> str:
    """How many values a mean is over, and what is not among them or only stands in."""
    beside = {"undefined": found.get("n_undefined"), "missed or invented": found.get("n_infinite")}
    words = ", ".join(f"{n} {what}" for what, n in beside.items() if n)
    return f"{found.get('n', 0)}" + (f" ({words})" if words else "")


def _mean(mean: float | None, low: float | None, high: float | None, *, sign: bool = False) -> str:
    return f"{number(mean, sign=sign)} {_interval(low, high, sign=sign)}"


def _interval(low: float | None, high: float | None, *, digits: int = 3, sign: bool = False) -> str:
    if low is None or high is None:
        return "[-]"
    shape = f"{'+' if sign else ''}.{digits}f"
    return f"[{low:{shape}}, {high:{shape}}]"


def _p(value: float | None) -> str:
    """As the report has it: what is less than three digits show is not 0.001, and not 0."""
    return "< 0.001" if value is not None and value < 0.001 else number(value)


def _place(rank: float | None) -> str:
    return "-" if rank is None else f"{rank:g}"


def _words(value: Any) -> str:
    """A plain value as it would stand in the YAML."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _plan_words(value: Any) -> str:
    """A part of a plan on one line: `40x40x16` for sizes, `rule channel` for intensities."""
    if isinstance(value, list) and value and all(isinstance(entry, Mapping) for entry in value):
        return ", ".join(f"{entry['rule']} ({entry['channel']})" for entry in value)
    if isinstance(value, list) and value and all(isinstance(entry, list) for entry in value):
        return ", ".join("x".join(map(str, entry)) for entry in value)
    return _words(value)


def _cell(value: Any) -> Text:
    return Text("" if value is None else printable(str(value)))
