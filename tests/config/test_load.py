"""A file and a command line -> a checked config, with the origin of each value and the line of each fault."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from segtrain.config.load import MAX_BYTES, from_python, load_config
from segtrain.config.schema import FitConfig
from segtrain.core.errors import ConfigError
from tests.config.configs import BASE, COMPARE, faults, load


def test_defaults_are_filled_in(tmp_path: Path) -> None:
    config = load(tmp_path, BASE).config
    assert config.loss.name == "dice_ce"
    assert config.loss.options == {}
    assert config.training.epochs == 200
    assert config.compare is None


def test_origins(tmp_path: Path) -> None:
    text = BASE + "training: {epochs: 3, learning_rate: 1e-3}\nloss: focal\n"
    loaded = load(tmp_path, text, "training.epochs=5", "evaluation.metrics=[dice]")
    assert loaded.config.training.epochs == 5
    assert loaded.config.training.learning_rate == 1e-3
    expected = {
        "training.epochs": "command line",
        "training.learning_rate": "file",
        "training.seed": "default",
        "loss.name": "file",
        "task.labels.liver": "file",
        "evaluation.metrics": "command line",
        "model.name": "default",
        "compare": "default",
        "data.images": "file",
    }
    assert {key: loaded.origins[key] for key in expected} == expected
    with pytest.raises(TypeError):
        loaded.origins["loss.name"] = "default"  # type: ignore[index]


def test_paths_start_at_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    text = BASE.replace("images: images, labels: labels", "images: ../scans, labels: ~/masks")
    loaded = load(folder, text)
    assert loaded.config.data.images == tmp_path / "scans"
    assert loaded.config.data.labels == tmp_path / "home" / "masks"
    assert loaded.folder == folder
    assert loaded.path == folder / "config.yaml"


def test_an_absolute_path_stays(tmp_path: Path) -> None:
    text = BASE.replace("images: images", f"images: {tmp_path / 'x'}")
    assert load(tmp_path, text).config.data.images == tmp_path / "x"


def test_the_root_of_a_dicom_tree_is_relative_too(tmp_path: Path) -> None:
    text = 'data: {layout: dicom, root: tree, channels: {T1: "*T1*"}, label: "*Mask*"}\n'
    assert load(tmp_path, text + BASE.partition("\n")[2]).config.data.root == tmp_path / "tree"


def test_paths_on_the_command_line_start_where_it_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    assert load(folder, BASE, "data.images=other").config.data.images == tmp_path / "other"


def test_code_of_a_loss_lies_beside_the_file(tmp_path: Path) -> None:
    loaded = load(tmp_path, BASE + "loss: {name: 'mine.py:Hard', margin: 2}\n")
    assert loaded.config.loss.name == f"{tmp_path / 'mine.py'}:Hard"
    assert loaded.config.loss.options == {"margin": 2}
    assert load(tmp_path, BASE + "loss: package.module:Loss\n").config.loss.name == "package.module:Loss"


def test_code_of_a_metric_lies_beside_the_file_and_that_of_an_override_where_it_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path)
    text = BASE + "evaluation: {metrics: [dice, 'mine.py:Hard', 'package:Metric', '/there/mine.py:Hard']}\n"
    beside = f"{tmp_path / 'project' / 'mine.py'}:Hard"
    found = load(tmp_path / "project", text).config.evaluation.metrics
    assert found == ("dice", beside, "package:Metric", "/there/mine.py:Hard")
    typed = load(tmp_path / "project", text, "evaluation.metrics.0=own.py:Soft").config.evaluation.metrics
    assert typed[:2] == (f"{tmp_path / 'own.py'}:Soft", beside)


def test_a_network_is_a_name_or_a_group_and_its_code_lies_beside_the_file(tmp_path: Path) -> None:
    bare = load(tmp_path, BASE + "model: residual_unet\n")
    assert (bare.config.model.name, bare.origins["model.name"]) == ("residual_unet", "file")
    assert (bare.config.model.preset, bare.origins["model.preset"]) == ("M", "default")
    own = load(tmp_path, BASE + "model: {name: 'mine.py:Net', growth: 2}\n")
    assert own.config.model.name == f"{tmp_path / 'mine.py'}:Net"
    assert own.origins["model.growth"] == "file"


def test_the_run_to_start_from_is_relative_to_where_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path)
    text = BASE + "model: {init_from: runs/old}\n"
    assert load(tmp_path / "project", text).config.model.init_from == tmp_path / "project" / "runs" / "old"
    typed = load(tmp_path / "project", BASE, "model.init_from=runs/old")
    assert typed.config.model.init_from == tmp_path / "runs" / "old"


def test_keys_that_no_network_has_are_told_with_the_nearest(tmp_path: Path) -> None:
    (problem,) = faults(tmp_path, BASE + "model: {name: residual_unet, widhts: [4]}\n")
    assert (problem.what, problem.hint) == ("model.widhts: there is no such key", "did you mean 'widths'?")


def test_all_faults_at_once_with_their_lines(tmp_path: Path) -> None:
    text = (
        "data: {images: images, labels: labels}\n"
        "task:\n"
        "  labels: {background: 1, liver: 2}\n"
        "training:\n"
        "  epochs: many\n"
        "  learning_rate: -1\n"
        "  epoch: 5\n"
        "modle: {dims: 2}\n"
    )
    found = {p.what.split(":")[0]: p for p in faults(tmp_path, text, ["training.sed=1"])}
    where = {key: problem.where for key, problem in found.items()}
    assert where == {
        "task": "config.yaml, line 2",
        "training.epochs": "config.yaml, line 5",
        "training.learning_rate": "config.yaml, line 6",
        "training.epoch": "config.yaml, line 7",
        "modle": "config.yaml, line 8",
        "training.sed": "command line",
    }
    assert "'model'" in found["modle"].hint
    assert "'epochs'" in found["training.epoch"].hint
    assert "'seed'" in found["training.sed"].hint
    assert "many" in found["training.epochs"].what


def test_a_key_in_the_wrong_place_is_told_where_it_belongs(tmp_path: Path) -> None:
    [problem] = faults(tmp_path, BASE + "learning_rate: 1e-3\n")
    assert "'training.learning_rate'" in problem.hint


def test_missing_groups(tmp_path: Path) -> None:
    assert [p.what.split(":")[0] for p in faults(tmp_path, "model: {dims: 2}\n")] == ["data", "task"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n- b\n", "only text\n", "3\n"])
def test_the_top_is_a_mapping(tmp_path: Path, text: str) -> None:
    [problem] = faults(tmp_path, text)
    assert "config.yaml" in problem.where
    assert "`data:`" in problem.hint


def test_a_group_that_is_a_value(tmp_path: Path) -> None:
    [problem] = faults(tmp_path, BASE + "training: 5\n")
    assert problem.where == "config.yaml, line 4"


@pytest.mark.parametrize("value", ["true", ".inf", "1e999", "no"])
def test_numbers_are_numbers(tmp_path: Path, value: str) -> None:
    [problem] = faults(tmp_path, BASE + f"training:\n  learning_rate: {value}\n")
    assert problem.where == "config.yaml, line 5"


def test_names_that_yaml_1_1_would_change(tmp_path: Path) -> None:
    text = BASE.replace("liver: 1", "no: 1, on: 2, 1:30: 3, 007: 4").replace("[T1]", "[yes, 2024-01-01]")
    config = load(tmp_path, text).config
    assert list(config.task.labels) == ["background", "no", "on", "1:30", "007"]
    assert config.data.channels == ("yes", "2024-01-01")


def test_syntax_errors_name_file_and_line(tmp_path: Path) -> None:
    [problem] = faults(tmp_path, BASE + "training:\n\tepochs: 3\n")
    assert problem.where == "config.yaml, line 5"
    assert "tab" in problem.hint


def test_not_text(tmp_path: Path) -> None:
    [problem] = faults(tmp_path, BASE.encode() + b"loss: \xff\xfe\n")
    assert problem.where == "config.yaml, line 4"
    assert "UTF-8" in problem.what


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    assert load(tmp_path, "\ufeff" + BASE).config.data.channels == ("T1",)


def test_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(BASE.replace("\n", "\r\n").encode())
    assert load_config(path).config.task.labels == {"background": 0, "liver": 1}


def test_too_large(tmp_path: Path) -> None:
    [problem] = faults(tmp_path, BASE + "# " + "x" * MAX_BYTES)
    assert str(MAX_BYTES) in problem.why


def test_a_missing_file_names_one_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(BASE, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"did you mean .*config\.yaml"):
        load_config(tmp_path / "confg.yaml")
    with pytest.raises(ConfigError, match=r"there is no config[\s\S]*segtrain init DATA -o .*config\.yaml"):
        load_config(tmp_path / "nowhere" / "config.yaml")


def test_a_folder_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(tmp_path)


def test_a_config_made_in_python(tmp_path: Path) -> None:
    config = FitConfig.model_validate(
        {"data": {"images": "images", "labels": "labels"}, "task": {"labels": {"background": 0, "liver": 1}}}
    )
    loaded = from_python(config, tmp_path)
    assert loaded.config.data.images == tmp_path / "images"
    assert loaded.folder == tmp_path
    assert loaded.origins["data.images"] == "python"
    assert loaded.origins["training.epochs"] == "default"


def test_the_same_fault_is_said_once(tmp_path: Path) -> None:
    found = faults(tmp_path, COMPARE.replace("dice_ce, dice,", "dice_ce, {nme: dice},"))
    assert len(found) == len(set(found))


def test_no_torch_is_imported() -> None:
    code = "import sys, segtrain.config.load, segtrain.config.dump; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
