"""A resolved config as YAML: readable, and read back the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segtrain.config.dump import flat, to_yaml
from segtrain.config.load import from_python, load_config
from segtrain.config.schema import FitConfig
from tests.config.configs import BASE, COMPARE, load

TEXTS = {
    "plain": BASE,
    "comparison": COMPARE,
    "loss": BASE + "loss: {name: 'mine.py:Hard', nested: {a: [1, {b: null}], c: 'no'}, text: '1e-3', none: null}\n",
    "labels": BASE.replace("liver: 1", "'no': 1, 'on': 2, '1:30': 3, '010': 4, 'a b': 5, 'ä': 6, '# x': 7, 'a: b': 8"),
    "dicom": 'data: {layout: dicom, root: t, channels: {"T 1": "*T1*", FLAIR: "[a-z]*"}, label: "*Mask"}\n'
    + BASE.partition("\n")[2],
    "regex": BASE.replace("channels: [T1]", "channels: [T1], patient_from: '(P\\d+)_#'"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_reading_back_gives_an_equal_config(tmp_path: Path, name: str) -> None:
    loaded = load(tmp_path, TEXTS[name], "training.epochs=5", "training.learning_rate=1e-5")
    copy = tmp_path / "elsewhere" / "copy.yaml"
    copy.parent.mkdir()
    copy.write_text(to_yaml(loaded), encoding="utf-8")
    assert load_config(copy).config == loaded.config
    assert yaml.safe_load(to_yaml(loaded))["training"]["learning_rate"] == 1e-5


def test_each_value_has_its_origin(tmp_path: Path) -> None:
    text = to_yaml(load(tmp_path, COMPARE + "loss: dice\n", "training.epochs=5"))
    lines = [line for line in text.splitlines() if not line.rstrip().endswith(":")]
    assert "  epochs: 5  # command line" in lines
    assert "  seed: 0  # default" in lines
    assert "  name: dice  # file" in lines
    entries = [line for line in lines if line.strip().startswith("- ")]
    assert len(entries) == 3
    assert all(line in entries or line.rpartition("  # ")[1] for line in lines)


def test_flat_lists_every_value(tmp_path: Path) -> None:
    loaded = load(tmp_path, BASE, "training.epochs=5")
    rows = flat(loaded)
    assert ("training.epochs", 5, "command line") in rows
    assert ("loss.name", "dice_ce", "default") in rows
    assert [key for key, _, _ in rows] == list(loaded.origins)


PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.text(max_size=12)
    | st.floats(allow_nan=False, allow_infinity=False, width=32),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=PLAIN, label=st.text(min_size=1, max_size=12))
def test_any_option_survives(tmp_path: Path, value: Any, label: str) -> None:
    config = FitConfig.model_validate(
        {
            "data": {"images": "/a", "labels": "/b"},
            "task": {"labels": {"background": 0, label: 1} if label != "background" else {"background": 0, "x": 1}},
            "loss": {"name": "dice", "option": value},
        }
    )
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(from_python(config, tmp_path)), encoding="utf-8", newline="")
    assert load_config(path).config == config
