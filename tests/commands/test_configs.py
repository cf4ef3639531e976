"""The shipped configs: each can be used as it is, also on the real scans that it is for."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from segtrain.config.load import load_config
from segtrain.recipes.assemble import answer_for, make_loss
from tests.commands.projects import answer, done
from tests.phantoms import real_data

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
NAMES = sorted(str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob("*.yaml"))


def test_there_are_configs() -> None:
    assert {"demo.yaml", "hippocampus.yaml", "compare_losses.yaml", "brain_tumour_dicom.yaml"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_config_loads_and_its_losses_can_be_built(name: str) -> None:
    loaded = load_config(CONFIGS / name)
    config = loaded.config
    make_loss(config, answer_for(config.task, config.loss.name, loaded.folder), loaded.folder)
    for entry in config.compare.losses if config.compare else ():
        one = config.model_copy(update={"loss": entry})
        make_loss(one, answer_for(config.task, entry.name, loaded.folder), loaded.folder)


def test_the_config_of_the_demo_is_the_one_that_the_demo_writes(tmp_path: Path) -> None:
    written = answer("demo", tmp_path / "demo")
    shipped, own = (load_config(path).config for path in (CONFIGS / "demo.yaml", Path(written["config"])))
    places = {"images": None, "labels": None}
    assert shipped.model_copy(update={"data": shipped.data.model_copy(update=places)}) == own.model_copy(
        update={"data": own.data.model_copy(update=places)}
    )
    assert shipped.data.images == CONFIGS.parent / "demo" / "images"
    assert answer("check", "--config", written["config"])["ok"]


def test_check_finds_no_fault_in_real_hippocampi(tmp_path: Path) -> None:
    source = real_data("hippocampus")
    names = sorted(path.name for path in (source / "images").glob("*.nii.gz"))[:4]
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        for name in names:
            shutil.copy(source / folder / name, tmp_path / folder)
    places = [f"data.{folder}={tmp_path / folder}" for folder in ("images", "labels")]
    assert answer("check", "--config", CONFIGS / "hippocampus.yaml", *places)["problems"] == []
    compared = answer("check", "--config", CONFIGS / "compare_losses.yaml", *places)
    assert compared["problems"] == []


def test_check_finds_no_fault_in_a_real_dicom_tree() -> None:
    root = real_data("pgbm_dicom")
    assert answer("check", "--config", CONFIGS / "brain_tumour_dicom.yaml", f"data.root={root}")["problems"] == []


def test_predictions_of_dicom_lie_on_the_voxels_of_the_first_series(tmp_path: Path) -> None:
    root = tmp_path / "dicom"
    for case in ("PGBM-001/11-19-1991", "PGBM-008/06-10-1993"):
        shutil.copytree(real_data("pgbm_dicom") / case, root / case)
    small = ("model.widths=[4, 8]", "model.patch_size=[128, 128, 8]", "model.spacing_mm=[2, 2, 6.5]")
    short = ("training.epochs=1", "training.steps_per_epoch=2", "inference.overlap=0")
    config = ("--config", CONFIGS / "brain_tumour_dicom.yaml", f"data.root={root}")
    done("fit", *config, *small, *short, "--run", tmp_path / "run")
    masks = sorted((tmp_path / "run" / "validation" / "predictions").iterdir())
    assert masks
    for path in masks:
        series = next(folder for folder in root.glob("*/*/T1post") if case_id(root, folder.parent) == path.name[:-7])
        assert_same_voxels(nib.load(path), [pydicom.dcmread(file) for file in sorted(series.iterdir())])


def case_id(root: Path, folder: Path) -> str:
    return str(folder.relative_to(root)).replace("/", "_")


def assert_same_voxels(mask: nib.Nifti1Image, slices: list[pydicom.FileDataset]) -> None:
    """Each corner of each slice, where its header puts it, is a voxel of the mask; no voxel is left over."""
    assert mask.shape == (slices[0].Columns, slices[0].Rows, len(slices))
    to_index = np.linalg.inv(mask.affine)
    planes = set()
    for header in slices:
        row, column = np.reshape(header.ImageOrientationPatient, (2, 3)).astype(float)
        down, across = (float(v) for v in header.PixelSpacing)
        for c, r in ((0, 0), (header.Columns - 1, 0), (0, header.Rows - 1), (header.Columns - 1, header.Rows - 1)):
            lps = np.asarray(header.ImagePositionPatient, dtype=float) + c * across * row + r * down * column
            index = np.round(to_index[:3, :3] @ (lps * (-1, -1, 1)) + to_index[:3, 3])
            position = mask.affine[:3, :3] @ index + mask.affine[:3, 3]
            assert np.linalg.norm(position - lps * (-1, -1, 1)) < 1e-3
            assert (index[0], index[1]) == (c, r)
        planes.add(int(index[2]))
    assert planes == set(range(len(slices)))
