"""An installation that works is healthy; each way in which it does not is named."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.metadata import requires, version
from pathlib import Path

import pytest

from segtrain.recipes import doctor
from segtrain.recipes.doctor import OPTIONAL, examine, openmp_runtimes, release, required_packages

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.fixture(scope="module")
def health():
    return examine()


@pytest.fixture
def quick(monkeypatch):
    """Nothing but packages is tried."""
    monkeypatch.setattr(doctor, "_try_work", lambda health: None)


def test_this_installation_is_healthy(health):
    assert health.faults == []
    assert health.facts["segtrain"] == version("segtrain")
    assert {"torch", "devices", "formats", "packages", "optional"} <= set(health.facts)
    assert health.facts["devices"][0]["steps"]["float32"]["ok"]
    assert not any(health.facts["formats"].values())


def test_the_facts_are_plain_values(health):
    json.dumps(health.facts, allow_nan=False)


def test_all_that_is_declared_is_tried():
    declared = {re.match(r"[\w.-]+", text)[0] for text in requires("segtrain") if "extra ==" not in text}
    assert set(required_packages()) == declared
    assert required_packages()["numpy"] == "2.0"


def test_a_package_that_does_not_import_is_a_fault_and_the_rest_is_told(quick, monkeypatch):
    monkeypatch.setattr(doctor, "required_packages", lambda: {"numpy": "2.0", "no-such-package": "1"})
    found = examine()
    (problem,) = found.faults
    assert problem.what == "no-such-package cannot be imported"
    assert "ModuleNotFoundError" in problem.why
    assert found.facts["packages"] == {"numpy": version("numpy"), "no-such-package": None}


def test_with_a_broken_package_no_device_is_tried(monkeypatch):
    monkeypatch.setattr(doctor, "required_packages", lambda: {"no-such-package": "1"})
    assert "devices" not in examine().facts


def test_a_package_that_is_too_old_is_a_fault(quick, monkeypatch):
    monkeypatch.setattr(doctor, "required_packages", lambda: {"numpy": "999.1"})
    (problem,) = examine().faults
    assert problem.what.endswith("is older than 999.1")
    assert problem.hint == "pip install 'numpy>=999.1'"


def test_little_memory_and_little_disk_are_warned_of(quick, monkeypatch):
    monkeypatch.setattr(doctor, "ram_bytes", lambda: 2**30)
    monkeypatch.setattr(doctor, "free_disk_bytes", lambda place: 2**20)
    assert {problem.what for problem in examine().warnings} >= {"little memory", "little room on the disk"}


def test_wrong_distances_are_a_fault():
    (problem,) = doctor.distance_faults(lambda mask, spacing: mask.astype(float))
    assert "[0.0, 2.0, 4.0]" not in problem.why
    assert "edt" in problem.hint


@pytest.mark.parametrize(
    ("text", "expected"), [("2.10.0+cpu", (2, 10, 0)), ("3", (3,)), ("1.0rc1", (1, 0)), ("unknown", ())]
)
def test_releases_are_compared_as_numbers(text, expected):
    assert release(text) == expected
    assert release("2.9.1") < release("2.10")


def test_openmp_runtimes_are_known_by_their_names():
    maps = "7f /a/torch/lib/libgomp-a34b.so.1.0.0\n7f /b/libiomp5.so\n7f /c/libcomposite.so\n7f /d/libomp.dylib\n"
    assert openmp_runtimes(maps) == {"gomp", "iomp5", "omp"}
    assert openmp_runtimes("") == set()


def test_every_extra_is_listed_with_the_line_that_installs_it(health):
    extras = set(tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"])
    assert set(OPTIONAL) <= extras
    assert set(health.facts["optional"]) >= set(OPTIONAL)
    assert health.facts["optional"]["mlflow"]["install"] == "pip install 'segtrain[mlflow]'"
