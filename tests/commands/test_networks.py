"""Networks end to end: trained, saved, read back and asked for masks."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from safetensors.torch import load_file

from segtrain.core.plan import Plan
from tests.commands.projects import answer, done, refused, study
from tests.models.networks import write_own

SHORT = ("data.workers=0", "training.epochs=1", "training.steps_per_epoch=2", "inference.overlap=0", "compare=null")


def fitted(config: Path, run: Path, *overrides: str) -> Plan:
    """The plan of a finished fit."""
    done("fit", "--config", config, *SHORT, *overrides, "--run", run)
    return Plan.model_validate_json((run / "plan.json").read_text())


def assert_masks_lie_on_the_scans(run: Path, images: Path, out: Path, *flags: str) -> None:
    done("predict", "--run", run, "--images", images, "--out", out, *flags)
    masks = sorted(out.rglob("*.nii.gz"))
    assert len(masks) == len(list(images.glob("*.nii.gz")))
    for mask in masks:
        found, scan = nib.load(mask), nib.load(images / mask.name)
        assert found.shape == scan.shape
        np.testing.assert_allclose(found.affine, scan.affine, atol=1e-5)


def test_two_dimensions_on_volumes_with_deep_supervision(tmp_path: Path) -> None:
    config, run = study(tmp_path), tmp_path / "run"
    plan = fitted(config, run, "model={dims: 2, widths: [4, 8, 8], patch_size: [16, 16, 1]}")
    assert (plan.dims, plan.slice_axis, plan.patch_size) == (2, 2, (16, 16, 1))
    weights = load_file(run / "checkpoints" / "last" / "model.safetensors")
    assert {weights[f"heads.{level}.weight"].ndim for level in (0, 1)} == {4}
    assert "heads.2.weight" not in weights
    assert_masks_lie_on_the_scans(run, tmp_path / "images", tmp_path / "masks")


@pytest.mark.parametrize("dims", [2, 3])
def test_a_residual_encoder(tmp_path: Path, dims: int) -> None:
    config, run = study(tmp_path), tmp_path / "run"
    plan = fitted(config, run, f"model={{name: residual_unet, preset: S, dims: {dims}, widths: [4, 8]}}")
    assert (plan.convolutions, plan.decoder_convolutions) == ((1, 2), (1,))
    assert_masks_lie_on_the_scans(run, tmp_path / "images", tmp_path / "masks")


def test_a_network_of_ones_own_is_trained_and_trusted_by_a_flag(tmp_path: Path) -> None:
    config, run = study(tmp_path), tmp_path / "run"
    write_own(tmp_path)
    own = "model={name: 'mine.py:Net', kernel: 1, widths: [4, 8], patch_size: [8, 8, 8]}"
    fitted(config, run, own.replace("mine.py", str(tmp_path / "mine.py")))
    code = json.loads((run / "run.json").read_text())["code"]
    assert [Path(name).name for name in code] == ["mine.py:Net"]
    weights = load_file(run / "checkpoints" / "last" / "model.safetensors")
    assert weights["network.body.weight"].shape == (4, 1, 1, 1, 1)
    (problem,) = refused("predict", "--run", run, "--images", tmp_path / "images", "--out", tmp_path / "no", code=6)
    assert "names code" in problem["what"]
    assert_masks_lie_on_the_scans(run, tmp_path / "images", tmp_path / "masks", "--allow-code")


def test_check_names_what_is_wrong_with_a_network(tmp_path: Path) -> None:
    config = study(tmp_path)
    write_own(tmp_path)
    for name, words in (("unett", "no model is called 'unett'"), (f"{tmp_path / 'mine.py'}:Wrong", "answers with")):
        found = answer("check", "--config", config, f"model.name={name}", code=1)
        assert [words in problem["what"] for problem in found["problems"]] == [True]
