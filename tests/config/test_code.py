"""Code that a config names is found wherever it stands, and refused where it is asked to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from segtrain.config.code import FIT, SWEEP, code_in, require_no_code
from segtrain.core.errors import ConfigError
from tests.config.configs import BASE, load

NESTED = "loss: {name: weighted_sum, of: [dice, {name: 'mine.py:Part', weight: 0.5}, 'other.py:Bare']}\n"


def test_code_is_found_in_every_group_that_holds_components(tmp_path: Path) -> None:
    text = (
        f"{BASE}loss: 'package.module:Loss'\nmodel: {{name: 'net.py:Net'}}\nevaluation: {{metrics: [dice, 'm.py:M']}}\n"
    )
    config = load(tmp_path, text + "compare: {losses: [dice, 'mine.py:Hard'], baseline: dice}\n").config
    assert code_in(config, FIT) == {
        "model.name": f"{tmp_path}/net.py:Net",
        "loss.name": "package.module:Loss",
        "evaluation.metrics.1": f"{tmp_path}/m.py:M",
    }
    assert code_in(config, SWEEP)["compare.losses.1.name"] == f"{tmp_path}/mine.py:Hard"


def test_parts_of_a_loss_lie_beside_the_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = code_in(load(tmp_path, BASE + NESTED).config, FIT)
    assert found == {"loss.of.1.name": f"{tmp_path}/mine.py:Part", "loss.of.2": f"{tmp_path}/other.py:Bare"}


def test_every_name_of_code_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        require_no_code(load(tmp_path, BASE + NESTED + "model: {name: 'net.py:Net'}\n").config)
    assert [problem.where for problem in caught.value.problems] == ["model.name", "loss.of.1.name", "loss.of.2"]
    require_no_code(load(tmp_path, BASE + "loss: {name: weighted_sum, of: [dice, ce]}\n").config)


def test_a_label_or_a_path_with_a_colon_is_no_code(tmp_path: Path) -> None:
    """And a label is not taken for a path, which would be made absolute."""
    text = f"""\
data: {{images: images, labels: labels, channels: [T1]}}
task: {{labels: {{background: 0, 'liver:left': 1, 'a.py:b': 2}}}}
model: {{init_from: '{tmp_path}/a:1'}}
evaluation: {{regions: {{both: ['liver:left', 'a.py:b']}}}}
"""
    loaded = load(tmp_path, text)
    assert code_in(loaded.config, FIT) == {}
    assert loaded.config.evaluation.regions["both"] == ("liver:left", "a.py:b")
    require_no_code(loaded.config)


@pytest.mark.parametrize("name", ["x.py:L ", "x.py:", "x.py:no-such", "x.py:L.x", "C:\\\\x.py:L", "package:L"])
@pytest.mark.parametrize(
    "place",
    [
        "loss: NAME",
        "loss: {name: NAME}",
        "loss: {name: weighted_sum, of: [{name: weighted_sum, of: [dice, NAME]}]}",
        "model: {name: NAME}",
        "evaluation: {metrics: [dice, NAME]}",
        "compare: {losses: [dice, {name: NAME, label: x}], baseline: dice}",
    ],
)
def test_whatever_a_registry_would_import_is_refused(tmp_path: Path, place: str, name: str) -> None:
    with pytest.raises(ConfigError, match="the config names code"):
        require_no_code(load(tmp_path, BASE + place.replace("NAME", f'"{name}"') + "\n").config)
