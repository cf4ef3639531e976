"""From a name and options to a loss: the shipped ones, `file.py:Class` and `package.module:Class`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import nn

from segtrain.core.errors import ConfigError, Problem, SegtrainError
from segtrain.core.registry import Factory, Registry, checked_options
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.voxels import Mode

LOSSES = Registry("loss", builtin="segtrain.losses.builtin")
register_loss = LOSSES.register

ALL_MODES: tuple[Mode, ...] = ("multiclass", "binary", "multilabel")


def build_loss(name: str, mode: ModeChoice = "auto", *, folder: Path | None = None, **options: Any) -> nn.Module:
    """The loss of that name; a path in `name` is relative to `folder`.

    A class of the user's own gets its options only: it need not inherit `Loss`, nor know of modes.
    ConfigError lists every wrong option.
    """
    factory = LOSSES.find(name, folder)
    checked = checked_options(factory, options, where=f"loss {name}")
    loss = _built(name, factory, (mode,) if _is_ours(factory) else (), checked)
    if not isinstance(loss, nn.Module):
        raise ConfigError(Problem(f"loss {name!r} is not a torch.nn.Module", why=f"it is a {type(loss).__name__}"))
    return loss


def list_losses() -> list[str]:
    """Names of all shipped losses, sorted, without aliases."""
    return LOSSES.names()


def supported_modes(name: str, folder: Path | None = None) -> tuple[Mode, ...]:
    """What a loss can be used for, the preferred mode first; all modes for a foreign class that does not say."""
    return cast("tuple[Mode, ...]", tuple(getattr(LOSSES.find(name, folder), "modes", ALL_MODES)))


def caution_about(name: str, folder: Path | None = None) -> str:
    """What a user should be told before a run with this loss; empty for almost all."""
    return str(getattr(LOSSES.find(name, folder), "caution", ""))


def _is_ours(factory: Factory) -> bool:
    return inspect.isclass(factory) and issubclass(factory, Loss)


def _built(name: str, factory: Factory, task: tuple[ModeChoice, ...], options: Mapping[str, Any]) -> Any:
    try:
        return factory(*task, **options)
    except SegtrainError:
        raise
    except Exception as error:
        raise ConfigError(
            Problem(f"loss {name!r} could not be built", why=f"{type(error).__name__}: {error}")
        ) from error
