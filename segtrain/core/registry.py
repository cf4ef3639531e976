"""Names in a YAML -> objects, and the options that each may be given.

A component is a callable (usually a class). Its *keyword-only parameters are its options*: names, types,
ranges and defaults are read from the signature, so that an option is written down in exactly one place.
Beside registered names, `file.py:Name` (relative to the YAML) and `package.module:Name` are found, and entry
points of installed packages.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
import typing
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, ValidationError, create_model

from segtrain.core.errors import ConfigError, Problem, raise_all
from segtrain.core.nearest import did_you_mean
from segtrain.core.settings import Settings
from segtrain.core.wrong_values import items_of, problem_of

Factory = Callable[..., Any]


class _Options(Settings):
    """Only what was given is checked: a user's own class may say `weight: Tensor = None`."""

    model_config = ConfigDict(arbitrary_types_allowed=True, validate_default=False)


class Registry:
    """Named components of one kind ("loss", "model", "metric")."""

    def __init__(self, kind: str, builtin: str) -> None:
        self.kind = kind
        self._builtin = builtin
        self._factories: dict[str, Factory] = {}
        self._aliases: dict[str, str] = {}

    def register(self, name: str, *aliases: str) -> Callable[[Factory], Factory]:
        """Decorator: make a class or function available as `name` (and its `aliases`)."""

        def add(factory: Factory) -> Factory:
            for key in (name, *aliases):
                if key in self._factories or key in self._aliases:
                    raise ValueError(f"{self.kind} {key!r} is registered twice")
            self._factories[name] = factory
            self._aliases.update(dict.fromkeys(aliases, name))
            return factory

        return add

    def names(self) -> list[str]:
        """All registered names, sorted, without aliases."""
        self._load_builtin()
        return sorted(self._factories)

    def aliases(self) -> dict[str, str]:
        """Alias -> name."""
        self._load_builtin()
        return dict(self._aliases)

    def find(self, name: str, folder: Path | None = None) -> Factory:
        """The component of that name.

        Raises ConfigError, with the nearest names, where there is none.
        """
        self._load_builtin()
        name = self._aliases.get(name, name)
        if name in self._factories:
            return self._factories[name]
        if is_code(name):
            return _import_component(name, folder or Path.cwd(), self.kind)
        for entry in importlib.metadata.entry_points(group=f"segtrain.{self.kind}"):
            if entry.name == name:
                return _usable(_loaded(entry.load, name, self.kind), name, self.kind)
        known = [*self._factories, *self._aliases]
        raise ConfigError(Problem(f"no {self.kind} is called {name!r}", hint=did_you_mean(name, known, self.kind)))

    def build(self, name: str, *task: Any, options: Mapping[str, Any], folder: Path | None = None) -> Any:
        """The component, called with `task` and its checked options. ConfigError lists every wrong option."""
        factory = self.find(name, folder)
        return factory(*task, **checked_options(factory, options, where=f"{self.kind} {name}"))

    def _load_builtin(self) -> None:
        importlib.import_module(self._builtin)


def is_code(name: str) -> bool:
    """Whether a name points at a user's own code (`file.py:Name`, `package.module:Name`)."""
    return ":" in name


def code_file(name: str, folder: Path) -> Path | None:
    """The file that `file.py:Name` points at; None for a package, a registered name, and where it is not there."""
    path = (folder / name.rpartition(":")[0]).expanduser()
    return path if path.suffix == ".py" and path.is_file() else None


def code_hash(name: str, folder: Path) -> str | None:
    """sha256 of the file that `file.py:Name` points at, for the record of a run; None for a package."""
    file = code_file(name, folder)
    return None if file is None else sha256(file.read_bytes()).hexdigest()


def options_of(factory: Factory) -> dict[str, inspect.Parameter]:
    """The keyword-only parameters of a component; annotations are evaluated, or stay text where they cannot be."""
    try:
        parameters = inspect.signature(factory, eval_str=True).parameters
    except (NameError, SyntaxError, AttributeError, TypeError):
        parameters = inspect.signature(factory).parameters
    except ValueError:
        return {}
    return {n: p for n, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}


def option_model(factory: Factory) -> type[Settings]:
    """A settings type with one field an option; made once, though components are built for every case."""
    return _remembered_model(factory) if isinstance(factory, Hashable) else _model_of(factory)


@lru_cache(maxsize=256)
def _remembered_model(factory: Factory) -> type[Settings]:
    return _model_of(factory)


def _model_of(factory: Factory) -> type[Settings]:
    fields: dict[str, Any] = {}
    for name, parameter in options_of(factory).items():
        unknown = parameter.annotation is parameter.empty or isinstance(parameter.annotation, str)
        annotation = typing.Any if unknown else parameter.annotation
        fields[name] = (annotation, ... if parameter.default is parameter.empty else parameter.default)
    model: type[Settings] = create_model(
        f"{getattr(factory, '__name__', 'component')}Options", __base__=_Options, **fields
    )
    return model


def checked_options(factory: Factory, options: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """`options` with types converted and ranges checked; only those that were given."""
    model = option_model(factory)
    try:
        checked = model(**options)
    except ValidationError as error:
        positional = _positional_of(factory)
        found = [_explained(problem_of(item, model, where), item["loc"], positional) for item in items_of(error)]
        raise_all(ConfigError, found)
        raise
    return {name: getattr(checked, name) for name in options}


def _positional_of(factory: Factory) -> tuple[str, ...]:
    """Parameters of somebody's own component that would be options if they were keyword-only."""
    if getattr(factory, "__module__", "").partition(".")[0] == "segtrain":
        return ()
    keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return tuple(n for n, p in inspect.signature(factory).parameters.items() if p.kind is keyword)


def _explained(problem: Problem, loc: tuple[int | str, ...], positional: tuple[str, ...]) -> Problem:
    if len(loc) == 1 and loc[0] in positional:
        return replace(problem, hint=f"options are keyword-only: write `*, {loc[0]}` in the signature")
    return problem


def _import_component(name: str, folder: Path, kind: str) -> Factory:
    """`file.py:Name` or `package.module:Name` -> the object. This runs the user's code."""
    module_name, _, attribute = name.rpartition(":")
    if module_name.endswith(".py"):
        path = (folder / Path(module_name).expanduser()).resolve()
        if not path.is_file():
            hint = "paths are relative to the config file"
            raise ConfigError(Problem(f"{kind} {name!r}: there is no file {path}", hint=hint))
        module = _loaded(lambda: _import_file(path), name, kind)
    else:
        module = _loaded(lambda: importlib.import_module(module_name), name, kind)
    if not hasattr(module, attribute):
        raise ConfigError(Problem(f"{kind} {name!r}: {module_name} has no {attribute!r}"))
    return _usable(getattr(module, attribute), name, kind)


def _loaded(load: Callable[[], Any], name: str, kind: str) -> Any:
    """What `load` gives; whatever goes wrong in somebody else's code becomes a ConfigError."""
    try:
        return load()
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise ConfigError(Problem(f"{kind} {name!r} could not be imported", why=why)) from error


def _usable(found: Any, name: str, kind: str) -> Factory:
    if not callable(found):
        why = f"it is a {type(found).__name__}"
        raise ConfigError(Problem(f"{kind} {name!r} is neither a class nor a function", why=why))
    factory: Factory = found
    return factory


def _import_file(path: Path) -> Any:
    """Run a file once for each of its contents, so that asking twice gives one class and registers it once."""
    key = f"segtrain_user_{sha256(str(path).encode() + path.read_bytes()).hexdigest()[:12]}"
    if key in sys.modules:
        return sys.modules[key]
    spec = importlib.util.spec_from_file_location(key, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[key] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[key]
        raise
    return module
