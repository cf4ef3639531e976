"""YAML file + command line -> a checked config that remembers where each value came from.

Every fault of the file and of the command line is in one ConfigError, each with its line. Paths (`data.images`,
`data.labels`, `data.root`, `model.init_from`, and the file of a `mine.py:Loss`, network or metric) are relative to the
folder of the YAML, those typed on the command line to the working folder; `~` is expanded; the loaded config holds
absolute ones, so that it means the same wherever it is saved.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from pydantic import ValidationError

from segtrain.config.code import code_places
from segtrain.config.overrides import Override, apply, has_value, parse
from segtrain.config.reader import Place, Tree, read_tree
from segtrain.config.schema import FitConfig
from segtrain.config.source import Source, leaves, not_numbers, traced
from segtrain.core.errors import ConfigError, Problem, raise_all
from segtrain.core.settings import as_component
from segtrain.core.wrong_values import items_of, problem_of
from segtrain.data.settings import DataSettings
from segtrain.models.settings import ModelSettings

Origin = Literal["default", "file", "command line", "python", "sweep", "init_from"]

MAX_BYTES = 1_000_000

PATHS = tuple(
    (group, name)
    for group, settings in (("data", DataSettings), ("model", ModelSettings))
    for name, field in settings.model_fields.items()
    if Path in (field.annotation, *get_args(field.annotation))
)
"""Places that hold a path."""


@dataclass(frozen=True)
class Loaded:
    """A checked config."""

    config: FitConfig
    origins: Mapping[str, Origin]
    """Dotted key of each value (`training.epochs`) -> where it came from; a list is one value."""
    path: Path
    """The file; for a config that was made in Python, `config.yaml` in its folder, whether or not that is there."""
    folder: Path
    """Where a relative path of the config starts."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "origins", MappingProxyType(dict(self.origins)))

    def __reduce__(self) -> tuple[type[Loaded], tuple[Any, ...]]:
        """Go to another process, which a read-only mapping cannot."""
        return Loaded, (self.config, dict(self.origins), self.path, self.folder)


def load_config(path: Path, overrides: Sequence[str] = ()) -> Loaded:
    """Read and check a config. Raises one ConfigError with every fault."""
    path = path.expanduser()
    try:
        tree = read_tree(_text(path))
    except ConfigError as error:
        raise ConfigError(*(replace(p, where=_join(path.name, p.where)) for p in error.problems)) from error
    problems = [replace(problem, where=f"{path.name}, line {line}") for line, problem in tree.problems]
    if not isinstance(tree.value, dict):
        what = "the config is empty" if tree.value is None else "the config is not a group of keys"
        raise ConfigError(*problems, Problem(what, path.name, hint="it begins with `data:` and `task:`"))
    changes, wrong = _parsed(overrides)
    values, blocked = apply(tree.value, changes)
    source = Source(path.name, tree, tuple(c for c in changes if has_value(values, c.place)))
    folder = path.resolve().parent
    config, invalid = _checked(_absolute(values, source, folder), source)
    raise_all(ConfigError, [*problems, *wrong, *blocked, *invalid])
    if config is None:
        raise RuntimeError("a config was refused without a reason")
    return Loaded(config, _origins(config, values, source), path.resolve(), folder)


def from_python(config: FitConfig, folder: Path | None = None) -> Loaded:
    """A config object as if it had been loaded; its relative paths start at `folder` (the working folder)."""
    folder = (folder or Path.cwd()).resolve()
    values = config.model_dump(mode="json", exclude_unset=True)
    source = Source("config", Tree(value=values), ())
    checked, problems = _checked(_absolute(values, source, folder), source)
    raise_all(ConfigError, problems)
    if checked is None:
        raise RuntimeError("a config was refused without a reason")
    origins = {key: "python" if o == "file" else o for key, o in _origins(checked, values, source).items()}
    return Loaded(checked, origins, folder / "config.yaml", folder)


def derived(loaded: Loaded, config: FitConfig, origin: Origin) -> Loaded:
    """`loaded` with another config; values that differ have the given origin, the others keep theirs."""
    before = {".".join(map(str, place)): value for place, value in leaves(loaded.config.model_dump(mode="json"))}
    origins: dict[str, Origin] = {}
    for place, value in leaves(config.model_dump(mode="json")):
        key = ".".join(map(str, place))
        same = key in before and before[key] == value
        origins[key] = loaded.origins[key] if same else origin
    return replace(loaded, config=config, origins=origins)


def _text(path: Path) -> str:
    """The file's text, if it is one and of a sensible size."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            why, hint = f"it is larger than {MAX_BYTES} bytes", "give the YAML of a study"
            raise ConfigError(Problem("this is no config", why=why, hint=hint))
        return data.decode("utf-8-sig")
    except FileNotFoundError as error:
        near = difflib.get_close_matches(path.name, _yaml_files(path.parent), n=1)
        written = f"`segtrain init DATA -o {path}` writes one for your scans, `segtrain demo DIR` an example"
        hint = f"did you mean {path.with_name(near[0])}? {written}" if near else written
        raise ConfigError(Problem(f"there is no config {path}", hint=hint)) from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(Problem("this is not UTF-8 text", f"line {line}", hint="save the file as UTF-8")) from error
    except OSError as error:
        raise ConfigError(Problem(f"cannot read {path}", why=error.strerror or str(error))) from error


def _yaml_files(folder: Path) -> list[str]:
    try:
        return [p.name for p in folder.iterdir() if p.suffix in {".yaml", ".yml"}]
    except OSError:
        return []


def _join(name: str, where: str) -> str:
    return f"{name}, {where}" if where else name


def _parsed(texts: Iterable[str]) -> tuple[list[Override], list[Problem]]:
    changes: list[Override] = []
    problems: list[Problem] = []
    for text in texts:
        try:
            changes.append(parse(text))
        except ConfigError as error:
            problems += error.problems
    return changes, problems


def _absolute(values: dict[str, Any], source: Source, folder: Path) -> dict[str, Any]:
    """`values` with absolute paths; what has the wrong type is left to the schema."""
    values = deepcopy(values)

    def resolved(text: str, place: Place) -> str:
        base = Path.cwd() if source.is_overridden(place) else folder
        try:
            return str((base / Path(text).expanduser()).resolve())
        except (RuntimeError, ValueError):  # ~ of nobody, a null byte
            return text

    for group, key in PATHS:
        inside: Any = values.get(group)
        if isinstance(inside, dict) and isinstance(inside.get(key), str):
            inside[key] = resolved(inside[key], (group, key))
    for place, name in list(code_places(values)):
        file, _, attribute = name.rpartition(":")
        if file.endswith(".py"):
            holder: Any = values
            for part in place[:-1]:
                holder = holder[part]
            holder[place[-1]] = f"{resolved(file, place)}:{attribute}"
    return values


def _checked(values: dict[str, Any], source: Source) -> tuple[FitConfig | None, list[Problem]]:
    try:
        config = FitConfig.model_validate(values)
    except ValidationError as error:
        found = ((item["loc"], problem_of(item, FitConfig, source.name)) for item in items_of(error))
        named = (traced(problem, loc, source) for loc, problem in found)
        return None, list(dict.fromkeys(named))
    return config, [*not_numbers(config, values, source)]


def _origins(config: FitConfig, values: dict[str, Any], source: Source) -> dict[str, Origin]:
    """Where each value of the resolved config came from."""
    origins: dict[str, Origin] = {}
    written = {**values, **{name: as_component(values.get(name, {})) for name in ("loss", "model")}}
    for place, _ in leaves(config.model_dump(mode="json")):
        origin: Origin = "default"
        if has_value(written, place):
            origin = "command line" if source.is_overridden(place) else "file"
        origins[".".join(map(str, place))] = origin
    return origins
