"""Every fault of config and data comes in one list."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from segtrain.config.load import load_config
from segtrain.core.case import ScanSource
from segtrain.core.errors import ConfigError
from segtrain.core.events import Note
from segtrain.data.read import read_labels
from segtrain.recipes.api import fit
from segtrain.recipes.check import check, check_and_show, checking
from segtrain.recipes.predict import predict
from segtrain.recipes.scoring.predict_cases import Manner
from tests.data.data_sets import write_nnunet
from tests.data.dicom_phantoms import write_series
from tests.recipes.projects import BROKEN_LOSS, CONFIG, finished, load, write_case, write_study

COMPARE = "compare: {losses: [dice, {name: tversky, fn_wight: 1}, no_loss], folds: 2, baseline: dice}\n"


def whats(problems) -> str:
    return "\n".join(problem.what for problem in problems)


def test_a_sound_study_has_no_fault(study):
    assert check(load(study)) == []


def test_loss_metric_and_data_are_judged_in_one_go(tmp_path):
    write_study(tmp_path)
    write_case(tmp_path, "P2_a", label=7)
    (tmp_path / "images" / "P3_a.nii.gz").write_bytes(b"no scan")
    found = check(load(tmp_path, "loss={name: dice, smoth: 1}", "evaluation.metrics=[dice, dicee, iuo]"))
    assert [problem.what for problem in found[:3]] == [
        "smoth: there is no such key",
        "no metric is called 'dicee'",
        "no metric is called 'iuo'",
    ]
    assert [problem.where.partition(",")[0] for problem in found[3:]] == ["case P2_a", "case P3_a"]


def test_the_losses_of_a_comparison_are_judged_as_well(tmp_path):
    write_study(tmp_path, CONFIG + COMPARE)
    found = whats(check(load(tmp_path)))
    assert "fn_wight" in found
    assert "no loss is called 'no_loss'" in found


def test_a_loss_of_ones_own_is_tried(tmp_path):
    (tmp_path / "mine.py").write_text(BROKEN_LOSS)
    write_study(tmp_path, CONFIG.replace("dice_ce", "'mine.py:Vector'"))
    assert "not one number" in whats(check(load(tmp_path)))


def test_a_loss_of_ones_own_in_a_comparison_is_tried(tmp_path):
    (tmp_path / "mine.py").write_text(BROKEN_LOSS)
    compare = "compare: {losses: [dice, 'mine.py:Vector'], folds: 2, baseline: dice}\n"
    write_study(tmp_path, CONFIG + compare)
    assert "not one number" in whats(check(load(tmp_path)))


def test_scans_without_masks_are_named(tmp_path):
    write_study(tmp_path)
    (tmp_path / "labels" / "P1_a.nii.gz").unlink()
    (tmp_path / "images" / "P3_a.nii.gz").unlink()
    assert [p.what for p in check(load(tmp_path))] == ["image P1_a has no label", "label P3_a has no image"]


def test_a_missing_label_hides_neither_a_broken_scan_nor_a_wrong_id_nor_a_leak(tmp_path):
    write_study(tmp_path)
    (tmp_path / "labels" / "P3_a.nii.gz").unlink()
    for folder in ("images", "labels"):
        shutil.copy(tmp_path / folder / "P1_a.nii.gz", tmp_path / folder / "P2_a.nii.gz")
    write_case(tmp_path, "P4_a", seed=4, label=7)
    write_case(tmp_path, "P5_a", seed=5)
    (tmp_path / "images" / "P5_a.nii.gz").write_bytes(b"no scan")
    found = check(load(tmp_path, "compare={losses: [dice, focal], folds: 4, baseline: dice}"))
    assert found[0].what == "image P3_a has no label"
    assert [problem.where.partition(",")[0] for problem in found[1:]] == [
        "case P4_a",
        "case P5_a",
        "cases P1_a and P2_a",
    ]


def test_the_caution_of_a_loss_is_told_where_the_config_is_sound(tmp_path):
    write_study(tmp_path)
    told = [event.text for event in checking(load(tmp_path, "loss=post/combo")) if isinstance(event, Note)]
    assert any("its sign is wrong" in text for text in told)


def test_a_sheet_is_called_as_the_config_or_its_folder(tmp_path):
    write_study(tmp_path / "brains")
    (tmp_path / "brains" / "mri.yaml").write_text(CONFIG, encoding="utf-8")
    for name, title in (("config", "brains"), ("mri", "mri")):
        loaded = load_config(tmp_path / "brains" / f"{name}.yaml")
        finished(check_and_show(loaded, sheet=tmp_path / "all.html"))
        assert f"All cases of {title}" in (tmp_path / "all.html").read_text(encoding="utf-8")


def test_the_sheet_is_made_where_no_case_is_whole(tmp_path):
    write_study(tmp_path)
    for path in (tmp_path / "labels").iterdir():
        path.unlink()
    result = finished(check_and_show(load(tmp_path), sheet=tmp_path / "all.html", name="scans")).result
    assert result["problems"]
    assert "All cases of scans" in (tmp_path / "all.html").read_text(encoding="utf-8")


def test_a_fault_that_two_losses_share_is_named_once(tmp_path):
    write_study(tmp_path, CONFIG + "compare: {losses: [dice, {name: nose, label: a}], folds: 2, baseline: dice}\n")
    assert len(check(load(tmp_path, "loss.name=nose"))) == 1


@pytest.mark.parametrize(
    "override", ["data.patient_from='(P)'", "compare={losses: [dice, focal], folds: 9, baseline: dice}"]
)
def test_too_few_patients_to_divide_are_a_fault(tmp_path, override):
    write_study(tmp_path)
    assert "too few patients" in whats(check(load(tmp_path, override)))


def test_copies_on_both_sides_of_any_split_are_named(tmp_path):
    write_study(tmp_path)
    for folder in ("images", "labels"):
        shutil.copy(tmp_path / folder / "P1_a.nii.gz", tmp_path / folder / "P2_a.nii.gz")
    found = check(load(tmp_path, "compare={losses: [dice, focal], folds: 4, baseline: dice}"))
    assert [(problem.what, problem.where) for problem in found] == [
        ("the same image trains and judges", "cases P1_a and P2_a")
    ]


def test_labels_that_are_not_those_of_a_dataset_json_are_a_fault(tmp_path):
    write_nnunet(tmp_path / "data", ["a", "b"])
    text = "data: {layout: nnunet, root: data, channels: [MRI]}\ntask: {labels: {background: 0, anterior: 2, x: 1}}\n"
    found = whats(check(load(tmp_path, text=text)))
    assert "dataset.json has the label anterior: 1" in found
    assert "dataset.json has the label posterior: 2" in found


def test_nothing_is_written(tmp_path):
    write_study(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    check(load(tmp_path))
    assert sorted(tmp_path.rglob("*")) == before


def test_what_was_assumed_of_pictures_is_told_once_and_is_no_fault(tmp_path):
    write_pictures(tmp_path)
    text = "data: {images: images, labels: labels}\ntask: {labels: {background: 0, disk: 1}}\nmodel: {dims: 2}\n"
    *events, end = check_and_show(load(tmp_path, text=text))
    assert end.result["problems"] == []
    told = [event.text for event in events if isinstance(event, Note)]
    assert told[0] == "c0: a picture does not say how large its pixels are: 1 mm is assumed"
    assert told[1:] == ["5 more cases: a picture does not say how large its pixels are: 1 mm is assumed"]


@pytest.mark.slow
def test_pictures_train_and_become_pictures_again(tmp_path):
    """From check to fit to predict: masks of the same size, as NIfTI and as PNG."""
    write_pictures(tmp_path)
    (tmp_path / "c.yaml").write_text(
        "data: {images: images, labels: labels}\ntask: {labels: {background: 0, disk: 1}}\nmodel: {dims: 2}\n"
        "training: {epochs: 2, steps_per_epoch: 15}\n"
    )
    fit(tmp_path / "c.yaml", tmp_path / "run")
    for form in ("nii.gz", "png"):
        list(predict(tmp_path / "run", tmp_path / "images", tmp_path / form, manner=Manner(form)))
        made = read_labels(ScanSource(tmp_path / form / "predictions" / f"c0.{form}"))
        drawn = read_labels(ScanSource(tmp_path / "labels" / "c0.png"))
        assert made.grid.same_space(drawn.grid)
        overlap = 2 * (made.array & drawn.array).sum() / (made.array.sum() + drawn.array.sum())
        assert overlap > 0.6


def write_pictures(folder):
    """Six pictures of a disk in noise, and their masks."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:48, :40]
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for n in range(6):
        disk = (rows - rng.uniform(15, 25)) ** 2 + (columns - rng.uniform(15, 25)) ** 2 < 64
        Image.fromarray(disk.astype(np.uint8)).save(folder / "labels" / f"c{n}.png")
        values = np.clip(disk * 120 + 60 + rng.normal(0, 12, disk.shape), 0, 255)
        Image.fromarray(values.astype(np.uint8)).save(folder / "images" / f"c{n}.png")


def test_a_sheet_and_a_mended_data_set_are_made_when_asked_for(tmp_path):
    write_study(tmp_path / "study")
    write_case(tmp_path / "study", "P2_a", seed=9, label=255)
    places = {"sheet": tmp_path / "all.html", "fix": tmp_path / "mended"}
    result = finished(check_and_show(load(tmp_path / "study"), **places)).result
    assert "ids that the task does not know" in whats(result["problems"])
    assert list(result["fixed"]["mended"]) == ["P2_a"]
    assert "P2_a" in places["sheet"].read_text(encoding="utf-8")
    assert check(load_config(tmp_path / "mended" / "config.yaml")) == []


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path):
    write_study(tmp_path)
    for places in ({"sheet": tmp_path / "all.pdf"}, {"fix": tmp_path}):
        with pytest.raises(ConfigError):
            next(check_and_show(load(tmp_path), **places))


def test_scans_that_no_case_claims_are_told_and_are_no_fault(tmp_path):
    for number in range(4):
        for name in ("T1", "mask"):
            write_series(tmp_path / "tree" / f"P{number}" / "visit" / name)
    write_series(tmp_path / "tree" / "P9")
    tree = "data: {layout: dicom, root: tree, case: '*/*', channels: {T1: 'T1'}, label: mask}"
    events = checking(load(tmp_path, text=CONFIG.replace(CONFIG.splitlines()[0], tree)))
    told = [event.text for event in events if isinstance(event, Note)]
    assert [text for text in told if "4 files below data.root in no folder of a case" in text]
