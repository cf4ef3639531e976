"""`KEY=VALUE` on a command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segtrain.config.overrides import mapping_of
from segtrain.core.errors import ConfigError
from tests.config.configs import BASE, COMPARE, faults, load

LOSS = "loss: {name: focal, gamma: 3, alpha: 0.5}\n"


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("training.learning_rate=1e-3", 1e-3),
        ("training.epochs=5", 5),
        ("training.budget_minutes=2.5", 2.5),
        ("training.budget_minutes=null", None),
        ("model.deep_supervision=false", False),
        ("model.widths=[8, 16]", (8, 16)),
        ("evaluation.metrics=[dice]", ("dice",)),
        ("task.labels={bg: 0, x: 2}", {"bg": 0, "x": 2}),
        ("data.patient_from=(P[0-9]+)_.*", "(P[0-9]+)_.*"),
        ("data.patient_from=a=b", "a=b"),
    ],
)
def test_types_come_from_the_schema(tmp_path: Path, override: str, value: Any) -> None:
    found: Any = load(tmp_path, BASE, override).config
    for part in override.partition("=")[0].split("."):
        found = getattr(found, part)
    assert found == value


def test_a_label_is_added(tmp_path: Path) -> None:
    assert load(tmp_path, BASE, "task.labels.kidney=2").config.task.labels == {"background": 0, "liver": 1, "kidney": 2}


def test_the_last_one_wins(tmp_path: Path) -> None:
    assert load(tmp_path, BASE, "training.epochs=5", "training.epochs=6").config.training.epochs == 6


def test_naming_another_loss_drops_the_options_of_the_files(tmp_path: Path) -> None:
    loaded = load(tmp_path, BASE + LOSS, "loss.fn_weight=0.7", "loss.name=tversky")
    assert loaded.config.loss.name == "tversky"
    assert loaded.config.loss.options == {"fn_weight": 0.7}
    assert loaded.origins["loss.fn_weight"] == "command line"


def test_naming_the_same_loss_keeps_them(tmp_path: Path) -> None:
    assert load(tmp_path, BASE + LOSS, "loss.name=focal", "loss.gamma=1").config.loss.options == {
        "gamma": 1,
        "alpha": 0.5,
    }


def test_a_loss_of_a_comparison(tmp_path: Path) -> None:
    loaded = load(tmp_path, COMPARE, "compare.losses.2.fn_weight=0.9", "compare.losses.1.name=focal")
    assert loaded.config.compare is not None
    _, second, third = loaded.config.compare.losses
    assert third.options == {"fn_weight": 0.9}
    assert second.name == "focal"
    assert loaded.origins["compare.losses"] == "command line"
    assert loaded.origins["compare.folds"] == "default"


def test_a_bare_name_can_be_given_options(tmp_path: Path) -> None:
    assert load(tmp_path, BASE + "loss: focal\n", "loss.gamma=1").config.loss.options == {"gamma": 1}


def test_a_group_that_the_file_leaves_out(tmp_path: Path) -> None:
    loaded = load(tmp_path, BASE, "compare.losses=[dice_ce, dice]", "compare.folds=3")
    assert loaded.config.compare is not None
    assert loaded.config.compare.folds == 3


@pytest.mark.parametrize(
    ("override", "near"),
    [
        ("training.epoch=5", "epochs"),
        ("trainig.epochs=5", "training"),
        ("epochs=5", "training.epochs"),
        ("training.epochs.x=5", ""),
        ("evaluation.metrics.7=dice", ""),
    ],
)
def test_unknown_keys(tmp_path: Path, override: str, near: str) -> None:
    [problem] = faults(tmp_path, BASE + "training: {epochs: 3}\nevaluation: {metrics: [dice]}\n", [override])
    assert problem.where == "command line"
    assert near in problem.hint


@pytest.mark.parametrize("text", ["training.epochs", "=5", "training..epochs=5", ".epochs=5", "--epochs"])
def test_no_override_at_all(tmp_path: Path, text: str) -> None:
    [problem] = faults(tmp_path, BASE, [text])
    assert text in problem.what
    assert "KEY=VALUE" in problem.hint


def test_faults_of_file_and_command_line_together(tmp_path: Path) -> None:
    found = faults(tmp_path, BASE + "training: {epochs: x}\n", ["nonsense", "training.seed=-1"])
    assert sorted(p.where for p in found) == ["command line", "command line", "config.yaml, line 4"]


def test_a_wrong_value_on_the_command_line(tmp_path: Path) -> None:
    [problem] = faults(tmp_path, BASE + "training: {epochs: 3}\n", ["training.epochs=many"])
    assert (problem.where, "many" in problem.what) == ("command line", True)


def test_options_alone_are_nested_values() -> None:
    assert mapping_of(["gamma=2", "ce.label_smoothing=0.1"]) == {"gamma": 2, "ce": {"label_smoothing": 0.1}}
    with pytest.raises(ConfigError, match="is no override"):
        mapping_of(["gamma"])
