"""`convert`: flags in, words out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import put, segtrain

DONE = {
    "schema_version": 1,
    "part": "network_weights",
    "not_run": ["numpy.dtype"],
    "tensors": {"a": {"shape": [1], "type": "float32"}},
}


def recording(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    calls = []

    def recipe(file: Path, out: Path, **flags: Any) -> dict[str, Any]:
        calls.append(((file, out), flags))
        return {**DONE, **changes, "out": str(out)}

    put(monkeypatch, "convert", convert=recipe)
    return calls


def test_flags_reach_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = recording(monkeypatch)
    done = segtrain("convert", "a.pth", "--to", "out", "--trust", "--part", "ema", "--overwrite")
    assert done.exit_code == 0, done.output
    assert calls == [((Path("a.pth"), Path("out")), {"trust": True, "part": "ema", "overwrite": True})]
    segtrain("convert", "a.pth", "--to", "out")
    assert calls[1][1] == {"trust": False, "part": None, "overwrite": False}


def test_what_was_taken_and_what_was_not_run_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    recording(monkeypatch)
    done = segtrain("convert", "a.pth", "--to", "out", "--trust")
    assert done.stdout.splitlines() == [
        "1 tensors of 'network_weights' in out",
        "named in the file and not run: numpy.dtype",
    ]
    assert "init_from: out" in done.stderr
    recording(monkeypatch, part="", not_run=[])
    assert segtrain("convert", "a.pth", "--to", "out", "--trust").stdout.splitlines() == ["1 tensors in out"]


def test_json_has_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    recording(monkeypatch)
    found = json.loads(segtrain("convert", "a.pth", "--to", "out", "--json").stdout)
    assert found == {**DONE, "out": "out"}
