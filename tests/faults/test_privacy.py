"""F33: a patient's name in the headers of scans is in no file that any command writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import phantoms
from tests.commands.projects import done
from tests.data.dicom_phantoms import write_on_grid
from tests.faults.table import fault

CANARIES = ("Canary", "Tweety", "47110", "47111", "47112")
"""Parts of the names and numbers in the headers."""

CONFIG = """\
data: {layout: dicom, root: data, case: "*", channels: {T1: "T1"}, label: "MASK"}
task: {labels: {background: 0, organ: 1}}
model: {widths: [4], patch_size: [8, 8, 8]}
training: {epochs: 1, steps_per_epoch: 1, validation_share: 0.34}
evaluation: {metrics: [dice]}
compare: {losses: [dice_ce, dice], folds: 2, seeds: [0], baseline: dice_ce}
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phi")
    for number in range(3):
        grid = phantoms.grid((12, 12, 8), degrees=10 * number)
        image, mask = phantoms.scan(grid, seed=number)
        write_on_grid(root / "data" / f"S{number}" / "T1", image.array[0].astype(np.int16), grid)
        write_on_grid(root / "data" / f"S{number}" / "MASK", mask.array, grid)
        rename(root / "data" / f"S{number}", number)
    (root / "config.yaml").write_text(CONFIG)
    return root


def rename(folder: Path, number: int) -> None:
    """Patients of their own, each with the canary in name, birth date and number."""
    import pydicom

    for file in folder.rglob("*"):
        if file.is_file():
            data = pydicom.dcmread(file)
            data.PatientID = f"4711{number}"
            data.OtherPatientIDs = "Canary"
            data.PatientComments = "Tweety"
            data.ReferringPhysicianName = "Canary^Doctor"
            data.save_as(file)


@fault("F33", "names and numbers of patients in DICOM headers", then="0, in no file and no line of any command")
def test_no_output_holds_the_name_of_a_patient(tree: Path, tmp_path: Path) -> None:
    config, run = tree / "config.yaml", tmp_path / "run"
    said = [
        done("check", "--config", config).output,
        done("fit", "--config", config, "--run", run, "-v").output,
        done("predict", "--run", run, "--images", tree / "data", "--out", tmp_path / "masks").output,
        done("eval", "--run", run, "--images", tree / "data", "--out", tmp_path / "scores").output,
        done("compare-losses", "--config", config, "--run", tmp_path / "sweep").output,
        done("info", tree / "data" / "S0" / "T1").output,
        done("export", run, "--to", "torchscript").output,
    ]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 40
    for canary in CANARIES:
        assert not [text for text in said if canary in text]
        holders = [path for path in files if canary.encode() in path.read_bytes()]
        assert holders == []
        assert not [path for path in files if canary in path.name]
