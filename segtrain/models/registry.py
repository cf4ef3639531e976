"""From a name and a plan to a network: the shipped ones, `file.py:Net` and `package.module:Net`."""

from __future__ import annotations

import inspect
from functools import partial
from pathlib import Path

from segtrain.core.plan import Plan
from segtrain.core.registry import Factory, Registry, checked_options
from segtrain.models.network import Network, OwnNetwork
from segtrain.models.settings import ModelSettings

MODELS = Registry("model", builtin="segtrain.models.builtin")
register_model = MODELS.register


def find_model(settings: ModelSettings, folder: Path | None = None) -> Factory:
    """What the name stands for. ConfigError where it is unknown, or lists every wrong option of a network of one's own.

    A path in the name is relative to `folder`.
    """
    factory = MODELS.find(settings.name, folder)
    if not _is_ours(factory):
        checked_options(factory, settings.options, where=f"model {settings.name}")
    return factory


def build_model(plan: Plan, settings: ModelSettings, *, outputs: int, seed: int, folder: Path | None = None) -> Network:
    """The network of a plan, with weights that follow from the seed.

    ConfigError where there is none of that name, or where one of the user's own does not answer as a network does.
    """
    factory = find_model(settings, folder)
    if _is_ours(factory):
        ours: Network = factory(plan, settings, outputs=outputs, seed=seed)
        return ours
    options = checked_options(factory, settings.options, where=f"model {settings.name}")
    return OwnNetwork(settings.name, partial(factory, **options), plan, outputs=outputs, seed=seed)


def _is_ours(factory: Factory) -> bool:
    return inspect.isclass(factory) and issubclass(factory, Network)
