"""Every fault of config and data comes in one list."""

from __future__ import annotations

import pytest

from segtrain.recipes.check import check
from tests.recipes.projects import BROKEN_LOSS, CONFIG, load, write_case, write_study

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


def test_a_fault_that_two_losses_share_is_named_once(tmp_path):
    write_study(tmp_path, CONFIG + "compare: {losses: [dice, {name: nose, label: a}], folds: 2, baseline: dice}\n")
    assert len(check(load(tmp_path, "loss.name=nose"))) == 1


@pytest.mark.parametrize(
    "override", ["data.patient_from='(P)'", "compare={losses: [dice, focal], folds: 9, baseline: dice}"]
)
def test_too_few_patients_to_divide_are_a_fault(tmp_path, override):
    write_study(tmp_path)
    assert "too few patients" in whats(check(load(tmp_path, override)))


def test_nothing_is_written(tmp_path):
    write_study(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    check(load(tmp_path))
    assert sorted(tmp_path.rglob("*")) == before
