"""What a comparison may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from segtrain.config.schema import CompareSettings
from segtrain.core.errors import ConfigError
from tests.config.configs import BASE, COMPARE, LOSSES, faults, load


def _compare(folder: Path, text: str = COMPARE) -> CompareSettings:
    compare = load(folder, text).config.compare
    assert compare is not None
    return compare


def test_defaults(tmp_path: Path) -> None:
    compare = _compare(tmp_path)
    assert (compare.folds, compare.seeds, compare.baseline) == (5, (0, 1, 2), "dice_ce")


def test_entries(tmp_path: Path) -> None:
    first, second, third = _compare(tmp_path).losses
    assert (first.name, first.label, first.options) == ("dice_ce", "dice_ce", {})
    assert (second.name, second.label) == ("dice", "dice")
    assert (third.name, third.label, third.options) == ("tversky", "recall", {"fn_weight": 0.8})
    assert third.training.learning_rate == 1e-3
    assert third.training.warmup_share is None


@pytest.mark.parametrize(
    ("name", "label"),
    [("post/dice", "post-dice"), ("'mine.py:Hard'", "Hard"), ("pkg.mod:Soft", "Soft"), ("{name: dice}", "dice")],
)
def test_labels_are_folder_names(tmp_path: Path, name: str, label: str) -> None:
    text = f"{BASE}compare:\n  losses: [dice_ce, {name}]\n"
    assert _compare(tmp_path, text).losses[1].label == label


@pytest.mark.parametrize("label", ["../up", "a b", "", ".hidden", "x" * 65, "a/b", "-x"])
def test_labels_that_are_no_folder_names(tmp_path: Path, label: str) -> None:
    [problem] = faults(tmp_path, f"{BASE}compare:\n  losses: [dice_ce, {{name: dice, label: '{label}'}}]\n")
    assert "label" in problem.what
    assert problem.where == "config.yaml, line 5"


@pytest.mark.parametrize("label", ["aux", "Con", "nul", "prn", "com1", "lpt1", "con.x", "dice."])
def test_labels_that_are_no_folder_names_on_windows(tmp_path: Path, label: str) -> None:
    [problem] = faults(tmp_path, f"{BASE}compare:\n  losses: [dice_ce, {{name: dice, label: {label}}}]\n")
    assert label in problem.what
    assert "set another label" in problem.what
    assert problem.where == "config.yaml, line 5"


def test_a_class_that_is_called_as_a_device_needs_a_label(tmp_path: Path) -> None:
    [problem] = faults(tmp_path, f"{BASE}compare:\n  losses: [dice_ce, 'mine.py:Con']\n")
    assert "set another label" in problem.what
    text = f"{BASE}compare:\n  losses: [dice_ce, {{name: 'mine.py:Con', label: mine}}]\n"
    assert _compare(tmp_path, text).losses[1].label == "mine"


def test_labels_are_unique_also_where_case_does_not_count(tmp_path: Path) -> None:
    [problem] = faults(tmp_path, f"{BASE}compare:\n  losses: [dice_ce, dice, {{name: tversky, label: Dice}}]\n")
    assert "dice" in problem.what
    assert "label" in problem.what


def test_the_baseline_is_the_label_of_a_loss(tmp_path: Path) -> None:
    [problem] = faults(tmp_path, f"{COMPARE}  baseline: tversky\n")
    for label in ("dice_ce", "dice", "recall"):
        assert label in problem.what
    assert _compare(tmp_path, f"{COMPARE}  baseline: recall\n").baseline == "recall"


@pytest.mark.parametrize(
    "line",
    ["folds: 1", "seeds: []", "seeds: [0, 0]", "seeds: [-1]", "losses: [dice_ce]", "losses: dice_ce"],
)
def test_values_out_of_range(tmp_path: Path, line: str) -> None:
    losses = "" if line.startswith("losses") else f"  losses: {LOSSES}\n"
    [problem] = faults(tmp_path, f"{BASE}compare:\n{losses}  {line}\n")
    assert problem.where.startswith("config.yaml, line ")


def test_a_loss_may_not_change_how_long_it_trains(tmp_path: Path) -> None:
    text = COMPARE.replace("learning_rate: 1e-3", "epochs: 3")
    [problem] = faults(tmp_path, text)
    assert "epochs" in problem.what
    assert "no such key" in problem.what


@pytest.mark.parametrize("loss", ["loss: 3\n", "loss: [dice]\n", "loss: {name: 3}\n", "loss: {name: null}\n"])
def test_a_loss_is_a_name_or_a_mapping(tmp_path: Path, loss: str) -> None:
    assert faults(tmp_path, BASE + loss)[0].where == "config.yaml, line 4"


def test_a_loss_with_options_and_no_name_is_the_default_one(tmp_path: Path) -> None:
    loss = load(tmp_path, BASE + "loss: {dice_weight: 2}\n").config.loss
    assert (loss.name, loss.options) == ("dice_ce", {"dice_weight": 2})


@pytest.mark.parametrize("key", ["keep_largest=[lver]", "min_volume_mm3={lver: 5}"])
def test_post_processing_names_labels_of_the_task(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match=r"inference\.postprocess: 'lver' is no label"):
        load(tmp_path, BASE, f"inference.postprocess.{key}")


def test_halving_has_its_defaults_and_is_not_the_default(tmp_path: Path) -> None:
    compare = _compare(tmp_path)
    assert (compare.strategy, compare.margins) == ("full", {})
    halving = _compare(tmp_path, f"{COMPARE}  strategy: halving\n  halving: {{rungs: [0.4, 0.5]}}\n").halving
    assert (halving.rungs, halving.keep_at_least) == ((0.4, 0.5), 2)


@pytest.mark.parametrize(
    "line",
    [
        "strategy: half",
        "halving: {rungs: [0.5]}",
        "halving: {rungs: [0.5, 0.25]}",
        "halving: {rungs: [0.5, 0.5]}",
        "halving: {rungs: [0.5, 1]}",
        "halving: {keep_at_least: 0}",
        "margins: {hd95: 0}",
    ],
)
def test_a_strategy_that_cannot_be(tmp_path: Path, line: str) -> None:
    [problem] = faults(tmp_path, f"{COMPARE}  {line}\n")
    assert problem.where == "config.yaml, line 6"


def test_a_training_has_its_patients_from_the_data_alone(tmp_path: Path) -> None:
    [problem] = faults(tmp_path, BASE + "evaluation: {patient_from: '(P)'}\n")
    assert "evaluation.patient_from" in problem.what
    assert "data.patient_from" in problem.what
