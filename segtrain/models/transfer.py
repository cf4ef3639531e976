"""Weights of another network into this one: what fits is kept, what cannot fit stays as it was drawn.

nnU-Net asks for equal channels and never keeps the layers that make the segmentation. Here an output with the name of
an old one keeps its row of the heads, and a channel with the name of an old one its part of the first convolution. A
channel that is new reads with the mean of the old channels' weights: they look for edges whatever the contrast is, and
the normalisation behind them makes their scale irrelevant (for colours, Carreira & Zisserman 2017 do alike).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from segtrain.core.errors import CheckpointError, Problem, raise_all
from segtrain.models.network import Network

SHOWN_FAULTS = 5
FOLLOW = "leave model.init_from out, or set of `model` only init_from: the network then follows"


@dataclass(frozen=True)
class Names:
    """What channels or outputs were called, and are called now, in order. Nothing old: none is known to be the same."""

    old: tuple[str, ...]
    new: tuple[str, ...]

    @property
    def kept(self) -> dict[int, int]:
        """New place -> old place of those that are the same."""
        return {place: self.old.index(name) for place, name in enumerate(self.new) if name in self.old}

    @property
    def fresh(self) -> tuple[str, ...]:
        """Those that were not there."""
        return tuple(name for name in self.new if name not in self.old)

    def told(self, otherwise: str) -> str:
        """In words: who was kept, and what is done about the others."""
        same = [self.new[place] for place in self.kept]
        kept = f"{', '.join(same)} kept" if same else ""
        fresh = f"{', '.join(self.fresh)} {otherwise}" if self.fresh else ""
        return "; ".join(filter(None, (kept, fresh)))


@dataclass(frozen=True)
class Part:
    """One row of the table: what became of a part of the network."""

    name: str
    tensors: int
    kept: int
    """Tensors with every value as it was in the old network."""
    note: str = ""


def transfer(model: Network, old: Mapping[str, Tensor], channels: Names, outputs: Names) -> tuple[Part, ...]:
    """Fill `model` in place and say what was kept.

    Raises CheckpointError, which lists the first tensors that do not fit, where the two are other networks.
    """
    own = model.state_dict()
    inputs, heads = set(model.input_weights), set(model.output_weights)
    faults = _faults(own, old, inputs, heads) if heads else _faults_of_unknown(own, old)
    raise_all(CheckpointError, list(faults)[:SHOWN_FAULTS])
    filled = {}
    for name, drawn in own.items():
        given = old.get(name)
        if given is not None and name in heads:
            filled[name] = _with_rows(drawn, given, outputs)
        elif given is not None and name in inputs:
            filled[name] = _with_channels(given, channels)
        else:
            filled[name] = given if given is not None and given.shape == drawn.shape else drawn
    model.load_state_dict(filled)
    read, answered = channels.told("read with the mean of the old ones"), outputs.told("drawn anew")
    notes = {name.partition(".")[0]: f"channels: {read}" for name in inputs}
    notes |= {name.partition(".")[0]: f"outputs: {answered}" for name in heads}
    same = {name for name, value in filled.items() if name in old and _equal(value, old[name])}
    return tuple(_table(list(own), same, notes))


def _faults(
    own: Mapping[str, Tensor], old: Mapping[str, Tensor], inputs: set[str], heads: set[str]
) -> Iterator[Problem]:
    """Weights that are not those of this network, but for a head that did not answer before."""
    for name, tensor in own.items():
        if name not in old:
            if name not in heads:
                yield Problem(f"model.init_from has no {name}", "model.init_from", hint=FOLLOW)
        elif tensor.shape != old[name].shape and not (name in inputs | heads and _fits_inside(tensor, old[name])):
            what = f"{name} of model.init_from is {tuple(old[name].shape)}, the network needs {tuple(tensor.shape)}"
            yield Problem(what, "model.init_from", hint=FOLLOW)


def _faults_of_unknown(own: Mapping[str, Tensor], old: Mapping[str, Tensor]) -> Iterator[Problem]:
    """A network that does not say which its heads are must have something in common with the old one."""
    if not any(name in old and tensor.shape == old[name].shape for name, tensor in own.items()):
        yield Problem("no weight of model.init_from fits the network", "model.init_from", hint=FOLLOW)


def _fits_inside(own: Tensor, old: Tensor) -> bool:
    """Equal kernels, and either equal outputs or equal inputs."""
    if own.ndim != old.ndim or own.shape[2:] != old.shape[2:]:
        return False
    return own.ndim == 1 or own.shape[0] == old.shape[0] or own.shape[1] == old.shape[1]


def _with_rows(drawn: Tensor, old: Tensor, outputs: Names) -> Tensor:
    filled = drawn.clone()
    for new_place, old_place in outputs.kept.items():
        filled[new_place] = old[old_place]
    return filled


def _with_channels(old: Tensor, channels: Names) -> Tensor:
    filled = old.mean(dim=1, keepdim=True).repeat(1, len(channels.new), *[1] * (old.ndim - 2))
    for new_place, old_place in channels.kept.items():
        filled[:, new_place] = old[:, old_place]
    return filled


def _equal(value: Tensor, old: Tensor) -> bool:
    return value.shape == old.shape and torch.equal(value, old)


def _table(names: list[str], same: set[str], notes: Mapping[str, str]) -> Iterator[Part]:
    """A row a module, in the order of the network."""
    for part in dict.fromkeys(name.partition(".")[0] for name in names):
        inside = [name for name in names if name.partition(".")[0] == part]
        yield Part(part, len(inside), sum(name in same for name in inside), notes.get(part, ""))
