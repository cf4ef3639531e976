"""A run -> files that others run: the page about them is followed to the letter."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from segtrain.core.errors import CheckFailed, CheckpointError, ConfigError
from segtrain.recipes import api, export_network
from segtrain.recipes.export import export
from segtrain.recipes.predict import predict
from tests.contracts.test_documented_code import ROOT, blocks, run
from tests.recipes.projects import finished, write_study

PAGE = ROOT / "docs" / "exporting.md"


def documented() -> dict[str, object]:
    """The names that the page defines."""
    return run(blocks(PAGE)["Running it without segtrain"], "exporting.md")


def fitted(folder: Path, *overrides: str) -> Path:
    """A run of a few steps, with a window smaller than the scans."""
    config = write_study(folder / "study")
    settings = ["training.epochs=1", "training.steps_per_epoch=4", "inference.overlap=0.5", *overrides]
    api.fit(config, folder / "run", overrides=settings, device="cpu", watch=lambda event: None)
    return folder / "run"


def turned_scan(path: Path, like: Path) -> Path:
    """A scan in another orientation and spacing than those that were trained on."""
    scan = nibabel.load(like)
    array = np.flip(np.asarray(scan.dataobj).transpose(2, 0, 1), 1)
    affine = np.zeros((4, 4))
    affine[[2, 0, 1, 3], range(4)] = 2.1, -0.9, 1.7, 1
    affine[:3, 3] = 10, -20, 30
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def masks_of(run_folder: Path, scan: Path, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The mask of `segtrain predict`, and that of the page."""
    (folder / "scans").mkdir()
    scan = turned_scan(folder / "scans" / "case.nii.gz", scan)
    finished(predict(run_folder, scan.parent, folder / "masks", device="cpu"))
    documented()["segment"](folder / "exported", [scan], folder / "mask.nii.gz")
    ours, theirs = nibabel.load(folder / "masks/predictions/case.nii.gz"), nibabel.load(folder / "mask.nii.gz")
    np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-5)
    return np.asarray(ours.dataobj), np.asarray(theirs.dataobj)


NETWORKS = {
    "softmax": (),
    "sigmoid of a CT": ("loss.name=bce", "data.modality=ct"),
    "regions": ("task.labels={background: 0, rim: 2, organ: 1}", "task.regions={whole: [rim, organ], organ: [organ]}"),
    "slices": ("model.dims=2", "model.patch_size=[8, 8, 1]"),
}


QUICK = ("softmax",)


@pytest.mark.parametrize(
    "overrides",
    [pytest.param(given, id=name, marks=() if name in QUICK else pytest.mark.slow) for name, given in NETWORKS.items()],
)
def test_the_page_gives_the_mask_of_predict(tmp_path, overrides):
    trained = fitted(tmp_path, *overrides)
    export(trained, "onnx", tmp_path / "exported")
    ours, theirs = masks_of(trained, tmp_path / "study/images/P0_a.nii.gz", tmp_path)
    assert 0 < (ours > 0).mean() < 1
    assert (ours != theirs).mean() < 1e-3, "more than voxels between two labels"


@pytest.fixture(scope="module")
def done(trained, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported")
    return out, export(trained, "torchscript", out)


def test_two_files_are_written_and_named(done, trained):
    out, result = done
    assert sorted(path.name for path in out.iterdir()) == ["model.json", "model.pt"]
    assert (result["schema_version"], result["form"]) == (1, "torchscript")
    (model,) = result["models"]
    assert (model["network"], model["rules"]) == (str(out / "model.pt"), str(out / "model.json"))
    assert model["check"]["largest_difference"] <= model["check"]["allowed"]


def test_everything_is_told(done, trained):
    out, _ = done
    rules = json.loads((out / "model.json").read_text())
    plan = json.loads((trained / "plan.json").read_text())
    about = json.loads((trained / "checkpoints/best/checkpoint.json").read_text())
    assert rules["schema_version"] == 1
    assert rules["network"]["sha256"] == hashlib.sha256((out / "model.pt").read_bytes()).hexdigest()
    assert rules["network"]["input"]["shape"] == [None, 1, 16, 8, 8]
    assert rules["network"]["input"]["axes"] == ["batch", "channel", "R", "A", "S"]
    assert rules["network"]["output"]["channels"] == ["background", "organ"]
    assert (rules["scan"]["channels"], rules["scan"]["orientation"]) == (["T1"], "RAS+")
    assert rules["scan"]["spacing_mm"] == plan["spacing_mm"]
    (intensity,) = rules["scan"]["intensity"]
    assert (intensity["rule"], intensity["clip_percentiles"]) == ("zscore", [0.5, 99.5])
    assert (rules["window"]["size"], rules["window"]["overlap"]) == ([16, 8, 8], 0)
    assert (rules["answer"]["draw"], rules["answer"]["ids"]) == ("strongest", [0, 1])
    assert rules["answer"]["labels"] == {"background": 0, "organ": 1}
    assert rules["postprocess"] == {"keep_largest": [], "min_volume_mm3": {}}
    assert rules["made_from"]["checkpoint_sha256"] == about["sha256"]["model.safetensors"]
    assert rules["made_from"]["versions"].keys() >= {"segtrain", "torch"}
    assert str(trained.parent) not in (out / "model.json").read_text()


def test_each_key_is_on_the_page(done):
    rules = json.loads((done[0] / "model.json").read_text())
    page = PAGE.read_text(encoding="utf-8")
    assert len(rules) == 8
    assert [key for key in rules if f"`{key}" not in page] == []


def test_what_lies_there_is_kept_unless_told_otherwise(trained, tmp_path):
    export(trained, "torchscript", tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="lies there already"):
        export(trained, "torchscript", tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"of another time")
    export(trained, "torchscript", tmp_path, overwrite=True)
    assert "model.onnx" not in (tmp_path / "model.json").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.pt", "notes.txt"]


def test_what_lies_there_outlives_an_export_that_fails(trained, tmp_path, monkeypatch):
    export(trained, "torchscript", tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(export_network, "TOLERANCE", -1)
    with pytest.raises(CheckFailed):
        export(trained, "torchscript", tmp_path, overwrite=True)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_folds_have_a_folder_each(trained, tmp_path):
    for fold in ("fold_0", "fold_1"):
        (tmp_path / "folds").mkdir(exist_ok=True)
        (tmp_path / "folds" / fold).symlink_to(trained)
    result = export(tmp_path / "folds", "torchscript", tmp_path / "out")
    assert [model["network"] for model in result["models"]] == [
        str(tmp_path / "out" / fold / "model.pt") for fold in ("fold_0", "fold_1")
    ]


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="not a run"):
        export(tmp_path, "torchscript", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_that_names_code_is_exported_by_those_who_trust_it(tmp_path, trained):
    run_folder = tmp_path / "run"
    for name in ("run.json", "checkpoints/best/model.safetensors", "checkpoints/best/state.safetensors"):
        (run_folder / name).parent.mkdir(parents=True, exist_ok=True)
        (run_folder / name).write_bytes((trained / name).read_bytes())
    about = json.loads((trained / "checkpoints/best/checkpoint.json").read_text())
    about["loss"] = {"name": "mine.py:Loss"}
    (run_folder / "checkpoints/best/checkpoint.json").write_text(json.dumps(about))
    with pytest.raises(CheckpointError, match="names code"):
        export(run_folder, "torchscript", tmp_path / "out")
