from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from segtrain.core.errors import CheckFailed, Problem
from tests.cli.commands import put, segtrain

CHECK = {"largest_difference": 1.26e-5, "largest_logit": 8.0, "allowed": 8e-3}


def recording(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """A recipe that tells what it was called with, and claims to have written what it was asked for."""
    calls = []

    def recipe(run: Path, form: str, out: Path, **flags: bool) -> dict[str, Any]:
        calls.append(((run, form, out), flags))
        model = {"run": str(run), "network": str(out / "model.onnx"), "rules": str(out / "model.json"), "check": CHECK}
        return {"schema_version": 1, "out": str(out), "form": form, "models": [model, model]}

    put(monkeypatch, "export", export=recipe)
    return calls


def test_flags_reach_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = recording(monkeypatch)
    done = segtrain("export", "runs/a", "--to", "torchscript", "--out", "o", "--overwrite", "--allow-code")
    assert done.exit_code == 0, done.output
    assert calls == [((Path("runs/a"), "torchscript", Path("o")), {"allow_code": True, "overwrite": True})]


def test_files_and_how_well_they_agree_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = recording(monkeypatch)
    done = segtrain("export", "runs/a", "--to", "onnx")
    assert calls[0][0][2] == Path("runs/a/export/onnx")
    line = "runs/a/export/onnx/model.onnx and model.json: logits differ by at most 1.3e-05, 0.008 are allowed"
    assert done.stdout.splitlines() == [line, line]
    assert "next: " in done.stderr


def test_json_has_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    recording(monkeypatch)
    found = json.loads(segtrain("export", "runs/a", "--to", "onnx", "--json").stdout)
    assert (found["schema_version"], found["form"], len(found["models"])) == (1, "onnx", 2)
    assert found["models"][0]["check"] == CHECK


def test_the_form_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not recording(monkeypatch)
    for flags in ((), ("--to", "keras")):
        done = segtrain("export", "runs/a", *flags)
        assert done.exit_code == 2
        assert "--to" in done.stderr


def test_help_names_the_extra_and_where_files_go() -> None:
    words = " ".join(segtrain("export", "--help").stdout.replace("│", " ").split())
    assert "segtrain[onnx]" in words
    assert "RUN/export/FORM" in words


def test_a_network_that_answers_otherwise_ends_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def recipe(*args: Any, **flags: Any) -> None:
        raise CheckFailed(Problem("it does not answer as the original does"))

    put(monkeypatch, "export", export=recipe)
    done = segtrain("export", "runs/a", "--to", "onnx")
    assert done.exit_code == 1
    assert "error: it does not answer" in done.stderr
