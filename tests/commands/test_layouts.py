"""Data in the layouts of others: `init`, `check` and `fit --dry-run` without a line written by hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from segtrain.core.volume import LabelMap, Volume
from segtrain.data.files.nifti import write_nifti, write_nifti_image
from tests import phantoms
from tests.commands.projects import GRIDS, answer, done, read
from tests.data.data_sets import LABELS, write_json

CASES = 6
TINY = ("model.widths=[4,8]", "model.patch_size=[16,16,16]", "training.epochs=1", "training.steps_per_epoch=1")
QUICK = ("training.batch_size=1", "model.patch_size=[8,8,8]", "evaluation.metrics=[dice]", "inference.overlap=0")


@pytest.fixture(scope="module")
def scans() -> list[tuple[Path, Path]]:
    """Real scans of the Decathlon's hippocampus task, with their masks."""
    root = phantoms.real_data("hippocampus")
    images = sorted((root / "images").glob("*.nii.gz"))[:CASES]
    return [(image, root / "labels" / image.name) for image in images]


def as_nnunet(root: Path, scans: list[tuple[Path, Path]]) -> Path:
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    for image, label in scans:
        shutil.copy(image, root / "imagesTr" / image.name.replace(".nii", "_0000.nii"))
        shutil.copy(label, root / "labelsTr")
    about = {"channel_names": {"0": "MRI"}, "labels": LABELS, "numTraining": len(scans), "file_ending": ".nii.gz"}
    write_json(root / "dataset.json", about)
    return root


def as_decathlon(root: Path, scans: list[tuple[Path, Path]]) -> Path:
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    for image, label in scans:
        shutil.copy(image, root / "imagesTr")
        shutil.copy(label, root / "labelsTr")
    names = [image.name for image, _ in scans]
    about = {
        "modality": {"0": "MRI"},
        "labels": {str(label): name for name, label in LABELS.items()},
        "numTraining": len(scans),
        "training": [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names],
    }
    write_json(root / "dataset.json", about)
    return root


@pytest.mark.parametrize("layout", [as_nnunet, as_decathlon])
def test_real_scans_in_both_layouts_need_no_line_by_hand(scans, tmp_path, layout):
    root, config = layout(tmp_path / "data", scans), tmp_path / "config.yaml"
    found = answer("init", root, "-o", config)
    assert (found["cases"], found["labels"], found["channels"]) == (CASES, LABELS, ["MRI"])
    assert answer("check", "--config", config)["ok"]
    dry = answer("fit", "--config", config, "--dry-run", "--run", tmp_path / "run", *TINY)
    assert [each["channel"] for each in dry["plan"]["intensity"]] == ["MRI"]
    assert not (tmp_path / "run").exists()


def test_a_config_whose_labels_are_not_those_of_the_dataset_json_is_refused(scans, tmp_path):
    root, config = as_nnunet(tmp_path / "data", scans[:3]), tmp_path / "config.yaml"
    done("init", root, "-o", config)
    config.write_text(config.read_text().replace("anterior:", "front:"))
    problems = answer("check", "--config", config, code=1)["problems"]
    assert [problem["what"] for problem in problems] == ["dataset.json has the label anterior: 1"]
    done("fit", "--config", config, "--dry-run", *TINY, code=3)


def test_a_file_of_four_volumes_is_read_as_four_channels(tmp_path):
    """As Task01 of the Decathlon has them: check, fit, and a prediction on a folder of such files."""
    for seed, case in enumerate(("B_1", "B_2", "B_3")):
        image, mask = phantoms.scan(GRIDS[0], channels=4, seed=seed)
        write_nifti_image(tmp_path / "data" / "imagesTr" / f"{case}.nii.gz", image)
        write_nifti(tmp_path / "data" / "labelsTr" / f"{case}.nii.gz", mask)
    pairs = [{"image": f"./imagesTr/B_{n}.nii.gz", "label": f"./labelsTr/B_{n}.nii.gz"} for n in (1, 2, 3)]
    modality = dict(zip("0123", ("FLAIR", "T1w", "t1gd", "T2w"), strict=True))
    labels = {"0": "background", "1": "tumour"}
    about = {"modality": modality, "labels": labels, "numTraining": 3, "training": pairs, "tensorImageSize": "4D"}
    write_json(tmp_path / "data" / "dataset.json", about)
    config, run = tmp_path / "config.yaml", tmp_path / "run"
    assert answer("init", tmp_path / "data", "-o", config)["channels"] == ["FLAIR", "T1w", "t1gd", "T2w"]
    done("fit", "--config", config, "--run", run, *TINY[:1], *TINY[2:], *QUICK)
    assert [i["channel"] for i in read(run / "plan.json")["intensity"]] == ["FLAIR", "T1w", "t1gd", "T2w"]
    found = answer("predict", "--run", run, "--images", tmp_path / "data" / "imagesTr", "--out", tmp_path / "out")
    assert found["cases"] == 3


def test_sparse_ids_stay_themselves_from_the_masks_to_the_scores(tmp_path):
    """4, 207 and 2035: uint16 in the files, classes 1 to 3 in between."""
    ids = (4, 207, 2035)
    for seed, case in enumerate(("P1", "P2", "P3")):
        image, mask = phantoms.scan(GRIDS[0], seed=seed)
        array = mask.array.astype(np.uint16)
        place = np.flatnonzero(array)
        array.flat[place] = np.repeat(ids, -(-place.size // 3))[: place.size]
        write_nifti_image(tmp_path / "data" / "images" / f"{case}.nii.gz", Volume(image.array, image.grid))
        write_nifti(tmp_path / "data" / "labels" / f"{case}.nii.gz", LabelMap(array, mask.grid))
    (tmp_path / "data" / "labels.tsv").write_text("4\tliver\n207\tkidney\n2035\tlesion\n")
    config, run, out = tmp_path / "config.yaml", tmp_path / "run", tmp_path / "out"
    labels = answer("init", tmp_path / "data", "-o", config)["labels"]
    assert labels == {"background": 0, "liver": 4, "kidney": 207, "lesion": 2035}
    done("fit", "--config", config, "--run", run, *TINY[:1], *TINY[2:], *QUICK)
    images, masks = tmp_path / "data" / "images", tmp_path / "data" / "labels"
    scores = answer("eval", "--run", run, "--images", images, "--labels", masks, "--out", out)["metrics"]["labels"]
    assert set(scores) == {"liver", "kidney", "lesion"}
    named = [f"--label={name}={label}" for name, label in labels.items() if label]
    again = answer("eval", "--predictions", out / "predictions", "--labels", masks, *named, "--out", tmp_path / "again")
    assert again["metrics"]["labels"]["lesion"]["dice"]["mean"] == scores["lesion"]["dice"]["mean"]
    perfect = answer("eval", "--predictions", masks, "--labels", masks, *named, "--out", tmp_path / "same")
    assert {label["dice"]["mean"] for label in perfect["metrics"]["labels"].values()} == {1.0}
