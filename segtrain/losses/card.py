"""What a user wants to know of a loss, read from its code: docstring, class attributes, signature."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic.fields import FieldInfo

from segtrain.core.registry import options_of
from segtrain.core.settings import Settings
from segtrain.losses.registry import LOSSES, caution_about, supported_modes
from segtrain.losses.voxels import Mode


@dataclass(frozen=True)
class Option:
    """One option of a loss."""

    name: str
    type: str
    default: Any
    range: str
    doc: str


@dataclass(frozen=True)
class LossCard:
    """A loss as `segtrain losses` shows it."""

    name: str
    aliases: tuple[str, ...]
    family: str
    formula: str
    paper: str
    modes: tuple[Mode, ...]
    optimum: float | None
    good_for: str
    bad_at: str
    caution: str
    """What is told before a training with it; empty for almost all."""
    description: str
    options: tuple[Option, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain lists, strings and numbers."""
        plain = asdict(self)
        return {
            **plain,
            "aliases": list(self.aliases),
            "modes": list(self.modes),
            "options": list(plain["options"]),
        }


def card(name: str) -> LossCard:
    """The card of a registered loss, by name or alias."""
    aliases = LOSSES.aliases()
    name = aliases.get(name, name)
    loss = LOSSES.find(name)
    return LossCard(
        name=name,
        aliases=tuple(sorted(alias for alias, of in aliases.items() if of == name)),
        family=getattr(loss, "family", ""),
        formula=getattr(loss, "formula", ""),
        paper=getattr(loss, "paper", ""),
        modes=supported_modes(name),
        optimum=getattr(loss, "optimum", None),
        good_for=getattr(loss, "good_for", ""),
        bad_at=getattr(loss, "bad_at", ""),
        caution=caution_about(name),
        description=inspect.getdoc(loss) or "",
        options=tuple(_option(parameter) for parameter in options_of(loss).values()),
    )


def cards() -> tuple[LossCard, ...]:
    """All cards, by name."""
    return tuple(card(name) for name in LOSSES.names())


def _option(parameter: inspect.Parameter) -> Option:
    docs = [note for note in _notes(parameter.annotation) if isinstance(note, str)]
    return Option(
        name=parameter.name,
        type=_type_text(parameter.annotation),
        default=_plain(parameter.default),
        range=_range_text(parameter.annotation),
        doc=docs[0] if docs else "",
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Settings):
        return value.model_dump(exclude_unset=True)
    return [_plain(entry) for entry in value] if isinstance(value, tuple) else value


def _notes(annotation: Any) -> Iterator[Any]:
    """What `Annotated` adds to a type, pydantic's constraints taken out of their `Field`."""
    for note in getattr(annotation, "__metadata__", ()):
        yield from note.metadata if isinstance(note, FieldInfo) else (note,)


def _members(annotation: Any) -> tuple[Any, ...]:
    """The types of a union, or the one type."""
    bare = _bare(annotation)
    return typing.get_args(bare) if typing.get_origin(bare) in (typing.Union, types.UnionType) else (annotation,)


def _bare(annotation: Any) -> Any:
    return annotation.__origin__ if typing.get_origin(annotation) is Annotated else annotation


def _type_text(annotation: Any) -> str:
    """`float or list of float or null`."""
    texts = []
    for member in _members(annotation):
        bare = _bare(member)
        if bare is type(None):
            texts.append("null")
        elif typing.get_origin(bare) is Literal:
            texts.extend(map(str, typing.get_args(bare)))
        elif typing.get_origin(bare) is tuple:
            texts.append(f"list of {_type_text(typing.get_args(bare)[0])}")
        elif inspect.isclass(bare) and issubclass(bare, Settings):
            texts.append("options")
        else:
            texts.append(getattr(bare, "__name__", str(bare)))
    return " or ".join(texts)


def _range_text(annotation: Any) -> str:
    """`>= 0, <= 1`; of the entries, where the option is a list."""
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    found: dict[str, None] = {}
    for member in (annotation, *_members(annotation)):
        bare = _bare(member)
        inner = typing.get_args(bare)[:1] if typing.get_origin(bare) is tuple else ()
        for note in (note for part in (member, *inner) for note in _notes(part)):
            found |= {f"{sign} {getattr(note, key):g}": None for key, sign in signs.items() if hasattr(note, key)}
    return ", ".join(found)
