"""Small studies on the disk, and the real command line run on them."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from typer.testing import Result

from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap, Volume
from segtrain.data.files.nifti import write_nifti, write_nifti_image
from tests import phantoms
from tests.cli.commands import segtrain

SHAPE = (16, 16, 12)

GRIDS = (
    phantoms.grid(SHAPE),
    phantoms.grid(SHAPE, degrees=20),
    phantoms.grid(SHAPE, flips=(-1, 1, -1)),
    phantoms.grid((16, 16, 8), spacing_mm=(1.0, 1.2, 4.0), degrees=-10, flips=(1, -1, 1)),
)
"""Straight, oblique, flipped, and anisotropic."""

CONFIG = """\
data: {images: images, labels: labels, channels: [T1]}
task: {labels: {background: 0, organ: 1}}
model: {widths: [4, 8], patch_size: [8, 8, 8]}
training: {epochs: 2, steps_per_epoch: 3, learning_rate: 2e-2, validation_share: 0.25, folds: 2}
compare: {losses: [dice_ce, dice], folds: 2, seeds: [0], baseline: dice_ce}
"""


SAID = ("what", "where", "why", "fix")
"""Of a fault as an object, what is a text for people."""
LINES_OF_A_FAULT = 5


def study(root: Path, cases: int = 4, config: str = CONFIG) -> Path:
    """A folder with `images`, `labels` and `config.yaml`, its scans on all kinds of grids; returns the config."""
    for number in range(cases):
        write_case(root, f"P{number}", GRIDS[number % len(GRIDS)], seed=number)
    path = root / "config.yaml"
    path.write_text(config, encoding="utf-8")
    return path


def write_case(root: Path, name: str, grid: Grid = GRIDS[0], seed: int = 0) -> None:
    """An image and its mask."""
    image, mask = phantoms.scan(grid, seed=seed)
    write_nifti_image(root / "images" / f"{name}.nii.gz", image)
    write_nifti(root / "labels" / f"{name}.nii.gz", mask)


def write_mask(path: Path, array: np.ndarray, grid: Grid | None = None) -> Path:
    """A mask of label ids; without a grid, voxels of 10 mm, so that one is 1 ml."""
    write_nifti(path, LabelMap(array.astype(np.uint8), grid or Grid(array.shape, np.diag([10.0, 10.0, 10.0, 1.0]))))
    return path


def write_image(path: Path, array: np.ndarray, grid: Grid) -> Path:
    """A scan of one channel."""
    write_nifti_image(path, Volume(array[None].astype(np.float32), grid))
    return path


def done(*arguments: str | Path, code: int = 0) -> Result:
    """Run a command in this process; it must end with `code` and show no traceback."""
    result = segtrain(*arguments)
    assert result.exit_code == code, f"exit code {result.exit_code}, not {code}\n{result.output}\n{result.exception!r}"
    assert "Traceback" not in result.output
    return result


def answer(*arguments: str | Path, code: int = 0) -> dict[str, Any]:
    """What a command prints with `--json`: one object and nothing else."""
    return json_of(done(*arguments, "--json", code=code))


def json_of(result: Result) -> dict[str, Any]:
    """The one object on stdout."""
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["schema_version"] == 1
    return found


def words_of(problems: Iterable[Mapping[str, Any]]) -> str:
    """What faults say to a person, as one text."""
    return " ".join(problem[key] for problem in problems for key in SAID)


def refused(*arguments: str | Path, code: int) -> list[dict[str, Any]]:
    """The faults that a command names; each is short, and says how to mend it."""
    told = done(*arguments, "--json", code=code)
    error = json_of(told)["error"]
    assert error["exit_code"] == code
    shown = told.stderr.split("error: ")[1:]
    assert len(shown) == len(error["problems"])
    for block, problem in zip(shown, error["problems"], strict=True):
        assert len(block.splitlines()) <= LINES_OF_A_FAULT
        assert all(" ".join(problem[key].split()) in block for key in SAID)
        assert problem["fix"] or re.search("must be|take ", problem["what"]), problem
    problems: list[dict[str, Any]] = error["problems"]
    return problems


def assert_untouched(run: Path) -> None:
    """Nothing of a run was begun, so that the same command works once the fault is mended; sound cases are kept."""
    assert not run.exists() or [name for name in files_in(run) if not name.startswith("prepared")] == []


def unfinish(run: Path) -> None:
    """As if the process had been killed after the last epoch, before it could score the run."""
    shutil.rmtree(run / "validation")
    (run / "report.html").unlink()
    record = {key: value for key, value in read(run / "run.json").items() if key != "finished"}
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")


def truncate(path: Path, keep: Callable[[int], int]) -> None:
    """Leave the first bytes of a file; `keep` says how many of all."""
    data = path.read_bytes()
    path.write_bytes(data[: keep(len(data))])


def read(path: Path) -> Any:
    """A JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def files_in(folder: Path) -> list[str]:
    """Every file below a folder, by its relative path."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def rows(path: Path) -> list[dict[str, str]]:
    """A CSV table."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def weights(run: Path, name: str = "last") -> bytes:
    """The network of a checkpoint."""
    return (run / "checkpoints" / name / "model.safetensors").read_bytes()
