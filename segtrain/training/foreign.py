"""Tensors out of a checkpoint of another program (`.pt`, `.pth`, `.ckpt` of torch), without running anything in it.

Such a file is a zip with a pickle, and a pickle may call any function. `torch.load` runs all of it, or with
`weights_only` what is on a list, and that list had holes (CVE-2025-32434, CVE-2026-24747). Here nothing that a pickle
names is ever looked up: what makes a tensor is answered with a note of where its bytes lie, everything else with an
object that does nothing. So a checkpoint of nnU-Net is read too, whose numpy scalars `weights_only` refuses.

A file takes no more memory than a few times its own size: what is packed is refused, as torch packs nothing, and so are
tensors that share their values over and over.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from segtrain.core.errors import CheckpointError, Problem

DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
"""How torch calls the type of a tensor's bytes in a pickle."""
USUAL_PARTS = ("network_weights", "state_dict", "model_state_dict", "model", "net")
"""Where others keep the weights: nnU-Net, Lightning and MONAI among them."""
RESERVED = "__metadata__"
"""What safetensors keeps for itself among the names of tensors."""
MOST_AXES = 8
MOST_TIMES = 3
"""All tensors together, of the file: two names may stand for one tensor."""
SHOWN = 8
"""Parts and names that a message lists."""


@dataclass(frozen=True)
class _Bytes:
    """A member of the archive that holds the values of tensors."""

    member: str
    dtype: torch.dtype


@dataclass(frozen=True)
class _Place:
    """Where a tensor's values lie, as the pickle says it: not looked at yet."""

    storage: Any
    offset: Any
    shape: Any
    strides: Any


class Inert:
    """Stands for whatever else a pickle names: it may be called and filled, and does nothing."""

    def __new__(cls, *args: object, **kwargs: object) -> Inert:
        """Take anything."""
        del args, kwargs
        return super().__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        del args, kwargs

    def __call__(self, *args: object, **kwargs: object) -> Inert:
        """Answer with itself."""
        del args, kwargs
        return self

    def __setstate__(self, state: object) -> None:
        """Forget it."""

    def __setitem__(self, key: object, value: object) -> None:
        """Forget it."""

    def append(self, value: object) -> None:
        """Forget it."""

    def extend(self, values: object) -> None:
        """Forget it."""


@dataclass(frozen=True, eq=False)
class Foreign:
    """The tensors of a checkpoint."""

    tensors: Mapping[str, Tensor]
    part: str
    """Where in the file they lay; "" at its top."""
    inert: tuple[str, ...]
    """What the file names beside tensors. Nothing of it was run."""


def read_foreign(path: Path, part: str | None = None) -> Foreign:
    """The tensors of one part of a file, by name. CheckpointError for whatever is not right with it."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = _Archive(path, archive)
            return found.part(found.content(), part)
    except FileNotFoundError:
        _refuse(path, "there is no such file", "", "check the path and the spelling")
    except CheckpointError:
        raise
    except Exception as error:  # an archive that makes no sense raises what it likes
        why = f"{error}: it is damaged, or was saved by torch before 1.6 (2020)"
        _refuse(
            path, "this is no checkpoint of torch", why, "load it and save it again with torch.save, or copy it again"
        )


def _refuse(path: Path, what: str, why: str, hint: str = "") -> NoReturn:
    raise CheckpointError(Problem(what, str(path), why, hint or "take another checkpoint"))


@dataclass(frozen=True, eq=False)
class _Archive:
    """A zip file as torch.save writes it."""

    path: Path
    archive: zipfile.ZipFile
    inert: dict[str, None] = field(default_factory=dict)
    read: dict[str, bytes] = field(default_factory=dict)
    """Members that were read, each once."""

    def member(self, name: str) -> bytes:
        """The bytes of a member; of all members together never more than the file has."""
        if name in self.read:
            return self.read[name]
        try:
            info, taken = self.archive.getinfo(name), sum(map(len, self.read.values()))
            if info.compress_type != zipfile.ZIP_STORED or info.file_size + taken > self.path.stat().st_size:
                _refuse(
                    self.path, "the checkpoint is packed", f"{name} is larger than the file, as torch never makes it"
                )
            self.read[name] = self.archive.read(info)
        except (KeyError, zipfile.BadZipFile, RuntimeError, EOFError) as error:
            _refuse(self.path, "the checkpoint is damaged", str(error), "copy it again from its source")
        return self.read[name]

    def content(self) -> object:
        """What was saved, with notes in place of tensors."""
        pickles = [name for name in self.archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1 or any(name.endswith("/constants.pkl") for name in self.archive.namelist()):
            why = "it is TorchScript, or a zip of something else"
            _refuse(self.path, "this is no checkpoint of torch", why, "save the state_dict of the network")
        folder = pickles[0].partition("/")[0]
        if f"{folder}/byteorder" in self.archive.namelist() and self.member(f"{folder}/byteorder") != b"little":
            _refuse(self.path, "the checkpoint was written by a machine of another byte order", "", "convert it there")
        try:
            return _Reader(self.member(pickles[0]), folder, self.inert).load()
        except CheckpointError:
            raise
        except Exception as error:  # a pickle that makes no sense raises what it likes
            _refuse(self.path, "the checkpoint is damaged", f"{type(error).__name__}: {error}")

    def part(self, content: object, wanted: str | None) -> Foreign:
        """The tensors of the part that is asked for, or of the one that is usual, or of the only one."""
        parts = dict(_parts_of(content))
        name = wanted if wanted is not None else next(iter(_chosen(parts)), None)
        if name is None or name not in parts:
            there = ", ".join(f"{part or 'the file itself'} ({len(parts[part])})" for part in list(parts)[:SHOWN])
            what = (
                "it is not clear where its weights are" if wanted is None else f"the checkpoint has no part {wanted!r}"
            )
            _refuse(self.path, what, f"parts with tensors: {there or 'none'}", "--part NAME")
        return Foreign(self.tensors(parts[name]), name, tuple(self.inert))

    def tensors(self, places: Mapping[str, _Place]) -> dict[str, Tensor]:
        """The values that notes speak of."""
        found: dict[str, Tensor] = {}
        left = MOST_TIMES * self.path.stat().st_size
        for name, place in places.items():
            if name == RESERVED or not name.isprintable():
                _refuse(self.path, f"no tensor can be called {name!r}", "safetensors holds no such name")
            try:
                found[name] = self.tensor(place)
            except (ValueError, TypeError, RuntimeError) as error:
                _refuse(self.path, f"the tensor {name} is damaged", str(error))
            left -= found[name].numel() * found[name].element_size()
            if left < 0:
                _refuse(self.path, "the tensors are larger than the file", "they share their values over and over")
        return found

    def tensor(self, place: _Place) -> Tensor:
        """The values that a note speaks of, in memory of their own. ValueError where it makes no sense."""
        storage, shape, strides = place.storage, tuple(place.shape), tuple(place.strides)
        sound = isinstance(storage, _Bytes) and len(shape) == len(strides) <= MOST_AXES
        if not sound or not all(type(n) is int and n >= 0 for n in (place.offset, *shape, *strides)):
            raise ValueError(f"{shape} with strides {strides} is no tensor")
        if math.prod(shape) == 0:
            return torch.empty(shape, dtype=storage.dtype)
        last = place.offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        data = self.member(storage.member)
        count = len(data) // storage.dtype.itemsize
        if last >= count or math.prod(shape) > count:
            raise ValueError(f"{shape} with strides {strides} is more than the {count} values that are there")
        flat = torch.frombuffer(bytearray(data), dtype=storage.dtype, count=count)
        return flat.as_strided(shape, strides, place.offset).clone(memory_format=torch.contiguous_format)


class _Reader(pickle.Unpickler):
    """Reads a pickle and looks nothing up that it names."""

    def __init__(self, data: bytes, folder: str, inert: dict[str, None]) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8")
        self._folder, self._inert = folder, inert

    def find_class(self, module: str, name: str, /) -> Any:
        """What makes tensors, as notes; anything else is inert."""
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self.placed
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return self.itself
        if (module, name) == ("torch", "Size"):
            return tuple
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        self._inert[f"{module}.{name}"] = None
        return Inert

    def placed(self, storage: object, offset: object, shape: object, strides: object, *rest: object) -> _Place:
        """What torch makes a tensor of. A pickle may set attributes of a function, but of no bound method."""
        del rest
        return _Place(storage, offset, shape, strides)

    def itself(self, value: object, *rest: object) -> object:
        """What torch makes a parameter of."""
        del rest
        return value

    def persistent_load(self, pid: Any, /) -> _Bytes:
        """Where the bytes of a tensor are: ("storage", type, key, device, count)."""
        kind, dtype, key, *_ = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError(f"it speaks of a {kind} of an unknown type")
        return _Bytes(f"{self._folder}/data/{key}", dtype)


def _parts_of(content: object) -> Iterator[tuple[str, dict[str, _Place]]]:
    """The mappings from names to tensors: the file itself, and those right below it."""
    if not isinstance(content, dict):
        return
    for name, value in (("", content), *content.items()):
        if isinstance(name, str) and isinstance(value, dict):
            tensors = {key: place for key, place in value.items() if isinstance(place, _Place) and isinstance(key, str)}
            if tensors:
                yield name, tensors


def _chosen(parts: Mapping[str, object]) -> Iterator[str]:
    yield from (name for name in USUAL_PARTS if name in parts)
    if len(parts) == 1:
        yield from parts
