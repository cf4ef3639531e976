"""F34: a run folder that an earlier version wrote is used as it is. It lies beside this file and is never made anew."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests import phantoms
from tests.commands.projects import answer, done, read, write_image
from tests.faults.table import fault

GOLDEN = Path(__file__).parent / "golden"
VERSIONS = sorted(path.name for path in GOLDEN.iterdir())


def scan(folder: Path) -> Path:
    """The scan whose mask is known."""
    grid = phantoms.grid((16, 16, 12))
    return write_image(folder / "P9.nii.gz", phantoms.scan(grid, seed=9)[0].array[0], grid)


def test_there_is_a_run_of_an_earlier_version() -> None:
    assert "0.1.0" in VERSIONS


@fault("F34", "a run folder of each earlier version", then="0, it predicts, is described and reported as it was")
@pytest.mark.parametrize("version", VERSIONS)
def test_a_run_of_an_earlier_version_is_used(tmp_path: Path, version: str) -> None:
    run = shutil.copytree(GOLDEN / version / "run", tmp_path / "run")
    scan(tmp_path / "images")
    done("predict", "--run", run, "--images", tmp_path / "images", "--out", tmp_path / "out")
    mask = np.asarray(nibabel.load(tmp_path / "out" / "predictions" / "P9.nii.gz").dataobj)
    known = read(GOLDEN / version / "known.json")
    assert (mask > 0).sum() == pytest.approx(known["voxels"], rel=0.02)  # sums in another order may move a border
    assert answer("info", run)["kind"] == "run"
    assert answer("info", run / "checkpoints" / "best")["step"] == known["step"]
    done("report", run)
