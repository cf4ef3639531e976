"""`init` on each layout: a config that `check` accepts, and nothing done that was not said."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from segtrain.config.load import load_config
from segtrain.core.case import ScanSource
from segtrain.core.errors import ConfigError, DataError
from segtrain.core.volume import LabelMap
from segtrain.data.cases import find_cases
from segtrain.data.files.nifti import write_nifti, write_nifti_image
from segtrain.data.read import read_labels
from segtrain.data.splits import split_share
from segtrain.recipes.check import check
from segtrain.recipes.init import as_config, facts, guess, write_config
from tests import phantoms
from tests.data.dicom_phantoms import write_on_grid
from tests.data.rtstruct_phantoms import outline, write_rtstruct
from tests.recipes.projects import write_case, write_study

GRID = phantoms.grid((16, 14, 6), spacing_mm=(1.0, 1.0, 2.0))


@pytest.fixture
def folders(tmp_path):
    """Two folders, two visits of a patient, and names of the labels."""
    for seed, name in enumerate(("P1_t1", "P1_t2", "P2_t1")):
        write_case(tmp_path / "data", name, seed, label=207)
    (tmp_path / "data" / "labels.tsv").write_text("207\tkidney\n")
    return tmp_path / "data"


def test_two_folders_give_a_config_without_faults(folders, tmp_path):
    told = write_config(folders, tmp_path / "configs" / "new.yaml", overwrite=False)
    loaded = load_config(tmp_path / "configs" / "new.yaml")
    assert check(loaded) == []
    assert loaded.config.task.labels == {"background": 0, "kidney": 207}
    assert [c.patient for c in find_cases(loaded.config.data)] == ["P1", "P1", "P2"]
    assert (told["cases"], told["patients"], told["masks_read"], told["masks"]) == (3, 2, 3, 3)
    assert told["masks_with_label"] == {"0": 3, "207": 3}
    assert any("end in a visit" in sentence for sentence in told["guesses"])
    json.dumps(told)


def test_the_config_says_what_was_found(folders, tmp_path):
    write_config(folders, tmp_path / "new.yaml", overwrite=False)
    text = (tmp_path / "new.yaml").read_text()
    for words in (
        "images: data/images",
        "3 cases of 2 patients",
        "labels from 3 masks",
        "names from labels.tsv",
        "# loss:",
    ):
        assert words in text


def test_what_no_layout_describes_becomes_a_table(tmp_path):
    write_study(tmp_path / "raw", cases=("P1", "P2", "P3"))
    for path in (tmp_path / "raw" / "images").iterdir():
        case = tmp_path / "data" / path.name.partition(".")[0]
        case.mkdir(parents=True)
        path.rename(case / "T1.nii.gz")
        (tmp_path / "raw" / "labels" / path.name).rename(case / "mask.nii.gz")
    told = write_config(tmp_path / "data", tmp_path / "new.yaml", overwrite=False)
    assert told["table"] == str(tmp_path / "new_cases.csv")
    loaded = load_config(tmp_path / "new.yaml")
    assert check(loaded) == []
    assert loaded.config.data.channels == ("T1",)
    before = sorted(tmp_path.rglob("*"))
    with as_config(guess(tmp_path / "data")) as guessed:
        assert check(guessed) == []
    assert sorted(tmp_path.rglob("*")) == before


def test_files_that_are_there_are_kept_unless_they_may_be_replaced(folders, tmp_path):
    out = tmp_path / "new.yaml"
    out.write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        write_config(folders, out, overwrite=False)
    assert out.read_text() == "mine"
    write_config(folders, out, overwrite=True)
    assert load_config(out)


def test_faulty_cases_are_said_and_left_to_check(folders, tmp_path):
    (folders / "labels" / "P2_t1.nii.gz").unlink()
    (folders / "labels" / "P1_t1.nii.gz").write_bytes(b"x")
    told = write_config(folders, tmp_path / "new.yaml", overwrite=False)
    assert any(sentence.startswith("2 faults") for sentence in told["guesses"])
    assert len(check(load_config(tmp_path / "new.yaml"))) == 2


def test_data_without_a_usable_mask_are_refused(folders):
    for path in (folders / "labels").iterdir():
        path.write_bytes(b"x")
    with pytest.raises(DataError):
        guess(folders)


def test_regions_and_ignored_voxels_are_told(folders):
    found = guess(folders)
    task = found.task.model_copy(update={"ignore": 9, "regions": {"all": ("kidney",)}})
    told = facts(replace(found, task=task))
    assert (told["ignore"], told["regions"]) == (9, {"all": ["kidney"]})


def test_a_tree_of_series_with_drawn_masks(tmp_path):
    """RTSTRUCT has names and no ids: the names become labels, which the reader finds again."""
    for number, case in enumerate("ABC"):
        array = np.random.default_rng(number).integers(0, 100, GRID.shape)
        write_on_grid(tmp_path / "data" / case / "ct", array, GRID)
        square = outline(GRID, [(1, 1), (8, 1), (8, 8), (1, 8)], 2)
        write_rtstruct(tmp_path / "data" / case / "rt" / "RS.dcm", {"Liver": [square]}, PatientID=case)
        for path in (tmp_path / "data" / case / "ct").iterdir():
            data = dcmread(path)
            data.PatientID = case
            data.save_as(path)
    told = write_config(tmp_path / "data", tmp_path / "new.yaml", overwrite=False)
    assert (told["labels"], told["patients"]) == ({"background": 0, "Liver": 1}, 3)
    assert check(load_config(tmp_path / "new.yaml")) == []


def test_volumes_of_one_file_are_channels(tmp_path):
    for seed, name in enumerate(("P1", "P2", "P3")):
        image, mask = phantoms.scan(GRID, channels=2, seed=seed)
        write_nifti_image(tmp_path / "data" / "images" / f"{name}.nii.gz", image)
        write_nifti(tmp_path / "data" / "labels" / f"{name}.nii.gz", mask)
    told = write_config(tmp_path / "data", tmp_path / "new.yaml", overwrite=False)
    assert told["channels"] == ["channel_0", "channel_1"]
    assert check(load_config(tmp_path / "new.yaml")) == []


def test_a_name_that_is_no_text_is_refused_in_words(folders, tmp_path):
    odd = folders.rename(folders.with_name(os.fsdecode(b"M\xfcller")))
    with pytest.raises(DataError, match="rename the file or folder"):
        write_config(odd, tmp_path / "new.yaml", overwrite=False)
    assert not (tmp_path / "new.yaml").exists()


def test_pictures_get_a_network_of_pictures(tmp_path):
    for number in range(5):
        array = np.zeros((32, 32), np.uint8)
        array[8 : 20 + number, 8:20] = 1
        for folder, values in (("images", array * 200), ("masks", array)):
            (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(tmp_path / "data" / folder / f"P{number}.png")
    told = write_config(tmp_path / "data", tmp_path / "new.yaml", overwrite=False)
    assert told["model"] == {"dims": 2}
    assert any("have one slice" in sentence for sentence in told["guesses"])
    loaded = load_config(tmp_path / "new.yaml")
    assert loaded.config.model.dims == 2
    assert check(loaded) == []


def test_a_255_in_one_mask_is_ignored_and_said_in_the_config_too(folders, tmp_path):
    for case in ("P1_t1", "P1_t2", "P2_t1"):
        mask = read_labels(ScanSource(folders / "labels" / f"{case}.nii.gz"))
        array = (mask.array > 0).astype(np.uint8)
        array[0, 0, 0] = 255 if case == "P2_t1" else 0
        write_nifti(folders / "labels" / f"{case}.nii.gz", LabelMap(array, mask.grid))
    told = write_config(folders, tmp_path / "new.yaml", overwrite=False)
    assert (told["labels"], told["ignore"]) == ({"background": 0, "foreground": 1}, 255)
    text = (tmp_path / "new.yaml").read_text()
    assert "# - 255 occurs in 1 of 3 masks (case P2_t1), beside other labels" in text
    assert check(load_config(tmp_path / "new.yaml")) == []


@pytest.mark.parametrize(("scans", "trained"), [(["P1", "P2"], "1 of 2 cases"), (["P1_t1", "P1_t2", "P2_t1"], "")])
def test_few_patients_are_told_who_trains_and_who_judges(tmp_path, scans, trained):
    for seed, name in enumerate(scans):
        write_case(tmp_path / "data", name, seed)
    told = write_config(tmp_path / "data", tmp_path / "new.yaml", overwrite=False)
    (said,) = [sentence for sentence in told["guesses"] if sentence.startswith("2 patients only")]
    fold = split_share(find_cases(load_config(tmp_path / "new.yaml").config.data), 0.2, 0).folds[0]
    assert f"trains on {trained or len(fold.train)}" in said
    assert f"is judged by {len(fold.validation)}" in said
    assert "folds: 2, baseline" in (tmp_path / "new.yaml").read_text()


def test_one_patient_is_refused_and_nothing_is_written(tmp_path):
    write_case(tmp_path / "data", "P1")
    with pytest.raises(DataError, match=r"too few patients[\s\S]*1 case of one patient"):
        write_config(tmp_path / "data", tmp_path / "new.yaml", overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_path_where_nothing_is_leaves_nothing_behind(tmp_path):
    with pytest.raises(DataError, match="no such folder or table"):
        write_config(tmp_path / "none", tmp_path / "configs" / "new.yaml", overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_structures_that_overlap_are_said_and_the_config_trains(tmp_path):
    for number in range(2):
        image, mask = phantoms.scan(GRID, seed=number)
        case = tmp_path / "data" / f"s{number:04}"
        write_nifti_image(case / "ct.nii.gz", image)
        for name in ("liver", "spleen"):
            write_nifti(case / "segmentations" / f"{name}.nii.gz", mask)
    told = write_config(tmp_path / "data", tmp_path / "new.yaml", overwrite=False)
    assert told["overlap"] == "later"
    assert any(sentence.startswith("structures overlap in 2 of 2 masks") for sentence in told["guesses"])
    assert check(load_config(tmp_path / "new.yaml")) == []


def test_one_slice_in_the_first_scan_alone_makes_no_network_of_pictures(folders, tmp_path):
    image, mask = phantoms.scan(phantoms.grid((16, 14, 1)))
    write_nifti_image(folders / "images" / "P1_t1.nii.gz", image)
    write_nifti(folders / "labels" / "P1_t1.nii.gz", mask)
    told = write_config(folders, tmp_path / "new.yaml", overwrite=False)
    assert "model" not in told
    assert any(sentence.startswith("one slice in 1 of 3 scans (case P1_t1)") for sentence in told["guesses"])
