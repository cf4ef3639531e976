"""The demo is written whole, and over nothing that is somebody's own."""

from __future__ import annotations

import pytest

from segtrain.core.errors import ConfigError
from segtrain.data.cases import find_cases
from segtrain.recipes import demo
from segtrain.recipes.demo import write_demo_project
from segtrain.recipes.sweep.plan import settings_of
from tests.recipes.projects import load, write_study


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return folder, write_demo_project(folder, overwrite=False)


def test_what_is_told_is_there(project):
    folder, told = project
    assert told["cases"] == len(list((folder / "labels").iterdir())) == 18
    assert told["test_cases"] == len(list((folder / "test" / "labels").iterdir())) == 6
    assert told["config"] == str(folder / "config.yaml")


def test_its_config_fits_its_scans(project):
    loaded = load(project[0])
    cases = find_cases(loaded.config.data)
    assert (len(cases), len({case.patient for case in cases})) == (18, 12)
    assert len(settings_of(loaded).losses) == 3


def test_a_demo_is_not_written_over_without_a_word(project):
    with pytest.raises(ConfigError, match=r"it is not empty\n[\s\S]*--overwrite"):
        write_demo_project(project[0], overwrite=False)


def test_a_demo_is_written_anew_on_request(project, monkeypatch, tmp_path):
    (tmp_path / "config.yaml").write_text((project[0] / "config.yaml").read_text() + "# mine\n")
    (tmp_path / "images").mkdir()
    (tmp_path / "fit").mkdir()
    monkeypatch.setattr(demo, "write_demo", lambda folder: (write_study(folder), write_study(folder / "test")))
    write_demo_project(tmp_path, overwrite=True)
    assert "# mine" not in (tmp_path / "config.yaml").read_text()
    assert not (tmp_path / "fit").exists()


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("config", [True, False])
def test_a_folder_of_other_scans_is_never_written_over(tmp_path, overwrite, config):
    write_study(tmp_path)
    if not config:
        (tmp_path / "config.yaml").unlink()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match="not a demo folder"):
        write_demo_project(tmp_path, overwrite=overwrite)
    assert sorted(tmp_path.rglob("*")) == before
