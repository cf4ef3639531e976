"""`segtrain convert --trust`: the one door for checkpoints of other programs, of which nothing is run either.

What comes out are tensors by name. They start a network of one's own whose weights have those names
(`model.init_from`). They do not make a run of segtrain: how scans were prepared for them is not in the file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from segtrain.core.errors import CheckpointError, ConfigError, Problem
from segtrain.core.files import read_json, write_bytes, write_json
from segtrain.training.checkpoint import MODEL
from segtrain.training.foreign import read_foreign

CONVERTED = "converted.json"
"""Where the tensors came from, and what they are."""
CONVERT_ANEW = "convert them anew: segtrain convert FILE --trust --to DIR"
INSIDE = "network"
"""The attribute of `OwnNetwork` that holds the user's network."""
MOST_INERT = 50
"""Names of what a file would have run, of those that are written down."""


def convert(file: Path, out: Path, *, trust: bool, part: str | None = None, overwrite: bool = False) -> dict[str, Any]:
    """Write the tensors of a `.pt` or `.pth` file as safetensors and JSON into `out`; returns what the JSON says.

    CheckpointError without `trust`, and for a file that is none; ConfigError where `out` holds something else.
    """
    if not trust:
        why = "such a file may hold a pickle, and a pickle may run code; nothing was read"
        hint = "--trust, if you know who made it: its tensors are taken, and nothing in it is run"
        raise CheckpointError(
            Problem("a checkpoint of another program is read only where it is trusted", str(file), why, hint)
        )
    _require_place(out, overwrite=overwrite)
    found = read_foreign(file, part)
    weights = save_tensors(dict(found.tensors))
    about = {
        "schema_version": 1,
        "source": file.name,
        "source_sha256": _sha256(file),
        "part": found.part,
        "not_run": list(found.inert[:MOST_INERT]),
        "tensors": {
            name: {"shape": list(tensor.shape), "type": str(tensor.dtype).removeprefix("torch.")}
            for name, tensor in found.tensors.items()
        },
        "sha256": {MODEL: hashlib.sha256(weights).hexdigest()},
    }
    (out / CONVERTED).unlink(missing_ok=True)  # between the two files, nothing there is taken for whole
    write_bytes(out / MODEL, weights)
    write_json(out / CONVERTED, about)
    return {**about, "out": str(out)}


@dataclass(frozen=True)
class Converted:
    """Tensors that were converted, for a network of one's own to start from."""

    path: Path
    sha256: str

    @classmethod
    def at(cls, path: Path) -> Converted | None:
        """Those in a folder; None where none are. CheckpointError where they are damaged."""
        if not (path / CONVERTED).is_file():
            return None
        try:
            known = str(read_json(path / CONVERTED)["sha256"][MODEL])
            found = _sha256(path / MODEL)
        except (OSError, ValueError, LookupError, TypeError) as error:
            why = f"{type(error).__name__}: {error}"
            raise CheckpointError(Problem("converted weights are damaged", str(path), why, CONVERT_ANEW)) from error
        if found != known:
            why = "its sha256 is not the recorded one"
            raise CheckpointError(Problem("converted weights are damaged", str(path / MODEL), why, CONVERT_ANEW))
        return cls(path, found)

    @property
    def splits(self) -> Path:
        """Who trained them is not known: no such file."""
        return self.path / "splits.json"

    @property
    def record(self) -> dict[str, Any]:
        """What run.json says of them."""
        return {"path": str(self.path), "sha256": self.sha256}

    def weights(self) -> dict[str, Tensor]:
        """By the names that they have in a network of one's own."""
        tensors: dict[str, Tensor] = load_tensors((self.path / MODEL).read_bytes())
        return {f"{INSIDE}.{name}": tensor for name, tensor in tensors.items()}


def _require_place(out: Path, *, overwrite: bool) -> None:
    """ConfigError where a folder holds anything, but what an earlier conversion wrote where that may be replaced."""
    there = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    if not there:
        return
    if CONVERTED not in there or not {*there} <= {CONVERTED, MODEL}:
        why = f"as {there[0]}"
        raise ConfigError(Problem("the folder holds something else", str(out), why, "take another folder with --to"))
    if not overwrite:
        hint = "--overwrite replaces them, --to DIR takes another folder"
        raise ConfigError(Problem("the folder holds converted weights already", str(out), hint=hint))


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
