"""The YAML that `init` writes is read back as what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from segtrain.config.load import load_config
from segtrain.core.task import Task
from segtrain.recipes.guess.text import config_text, flow, from_folder

ODD = [
    "no",
    "yes: 1",
    "1.10",
    "a #b",
    "1e-3",
    "ä ö",
    "x'y\"z",
    "- a",
    "{a}",
    "*",
    "&b",
    "null",
    "(P\\d+)_",
    "",
    "a\\b",
    "brain 🧠",
    "a\x85b\u2028c",
    "~",
]


@pytest.mark.parametrize("text", ODD)
def test_any_text_stays_what_it_is(tmp_path, text):
    task = Task(labels={"background": 0, text or "x": 1})
    data = {"images": "i", "labels": "l", "channels": [text or "x"], "patient_from": text or "x"}
    path = tmp_path / "c.yaml"
    path.write_text(config_text([], data, task, model={}, folds=5), encoding="utf-8")
    config = load_config(path).config
    assert config.data.channels == (text or "x",)
    assert config.data.patient_from == (text or "x")
    assert list(config.task.labels) == ["background", text or "x"]


def test_comments_stay_on_their_line_whatever_they_quote(tmp_path):
    path = tmp_path / "c.yaml"
    data = {"images": "i", "labels": "l"}
    text = config_text(["a\nb: 1"], data, Task(labels={"a": 0, "b": 1}), model={}, folds=5)
    path.write_text(text, encoding="utf-8")
    assert load_config(path).config.data.images == tmp_path / "i"
    assert "# a b: 1" in text


def test_all_that_a_task_says_and_the_dimensions_of_the_network_are_written(tmp_path):
    labels = {"background": 0, "rest": 1, "core": 2}
    task = Task(labels=labels, ignore=9, overlap="later", regions={"whole": ("rest", "core"), "core": ("core",)})
    path = tmp_path / "c.yaml"
    text = config_text([], {"images": "i", "labels": "l"}, task, model={"dims": 2}, folds=5)
    path.write_text(text, encoding="utf-8")
    assert load_config(path).config.task == task
    assert load_config(path).config.model.dims == 2


def test_every_line_that_is_commented_out_is_a_config_when_the_mark_is_taken_away(tmp_path):
    path = tmp_path / "c.yaml"
    text = config_text([], {"images": "i", "labels": "l"}, Task(labels={"a": 0, "b": 1}), model={}, folds=3)
    options = [line for line in text.splitlines() if line.startswith("# ") and ": {" in line]
    assert len(options) == 4
    for line in options:
        path.write_text(text.replace(line, line.removeprefix("# ")), encoding="utf-8")
        load_config(path)


def test_values_in_flow_style():
    assert flow({"T1": "*T1w", "b": [1, None, True]}) == '{T1: "*T1w", b: [1, null, true]}'


def test_paths_are_relative_to_the_config(tmp_path):
    assert from_folder(tmp_path / "data" / "x", tmp_path / "configs") == "../data/x"
    assert from_folder(tmp_path, tmp_path) == "."


def test_paths_across_the_disk_are_whole():
    assert from_folder(Path("/scans/liver"), Path("/projects/one")) == str(Path("/scans/liver").resolve())
