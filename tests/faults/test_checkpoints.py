"""F12 and F34: checkpoints of strangers, of other programs, of other versions, met by a command."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.commands.conftest import Trained
from tests.commands.projects import answer, files_in, read, refused
from tests.faults.table import fault

COMMANDS = ("predict", "eval")


def places(trained: Trained, run: Path, out: Path) -> tuple[str | Path, ...]:
    return ("--run", run, "--images", trained.root / "images", "--out", out)


@fault("F12", "a checkpoint of a newer version", then="6, `update segtrain`")
def test_a_newer_checkpoint_is_refused(trained: Trained, tmp_path: Path) -> None:
    run = shutil.copytree(trained.run, tmp_path / "run")
    for name in ("best", "last"):
        about = read(run / "checkpoints" / name / "checkpoint.json")
        (run / "checkpoints" / name / "checkpoint.json").write_text(json.dumps({**about, "schema_version": 99}))
    problem = refused("predict", *places(trained, run, tmp_path / "out"), code=6)[0]
    assert "newer" in problem["what"]
    assert "update segtrain" in problem["fix"]
    assert not (tmp_path / "out").exists()


@fault("F12", "tensors that are missing, that nobody knows, of another shape", then="6, which of them")
@pytest.mark.parametrize("what", ["missing", "extra", "shape"])
def test_tensors_that_do_not_fit_are_listed(trained: Trained, tmp_path: Path, what: str) -> None:
    import hashlib

    from safetensors.torch import load_file, save_file

    run = shutil.copytree(trained.run, tmp_path / "run")
    for name in ("best", "last"):
        folder = run / "checkpoints" / name
        tensors = load_file(folder / "model.safetensors")
        first = next(iter(tensors))
        changed = {
            "missing": {key: value for key, value in tensors.items() if key != first},
            "extra": {**tensors, "stranger": torch.zeros(2)},
            "shape": {**tensors, first: torch.zeros(1, 2)},
        }[what]
        save_file(changed, folder / "model.safetensors")
        about = read(folder / "checkpoint.json")
        about["sha256"]["model.safetensors"] = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        (folder / "checkpoint.json").write_text(json.dumps(about))
    text = " ".join(p["what"] for p in refused("predict", *places(trained, run, tmp_path / "out"), code=6))
    assert ("stranger" if what == "extra" else first) in text


def evil_checkpoint(path: Path, canary: Path) -> Path:
    """As nnU-Net writes one, with a call in it."""

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (canary,)

    weights = {"encoder.stages.0.0.convs.0.conv.weight": torch.ones(2, 1, 3, 3, 3)}
    torch.save({"network_weights": weights, "_best_ema": np.float64(0.9), "logging": Evil()}, path)
    return path


@fault("F12", "a checkpoint of nnU-Net in the place of a run", then="6, what a run is")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_checkpoint_of_nnunet_is_no_run(trained: Trained, tmp_path: Path, command: str) -> None:
    file = evil_checkpoint(tmp_path / "checkpoint_final.pth", tmp_path / "canary")
    assert "not a run" in refused(command, *places(trained, file, tmp_path / "out"), code=6)[0]["what"]
    assert not (tmp_path / "canary").exists()


@fault("F12", "an evil pickle as `model.init_from`", then="6, how to convert it; nothing of it runs")
def test_a_pickle_is_no_start(trained: Trained, tmp_path: Path) -> None:
    file = evil_checkpoint(tmp_path / "checkpoint_final.pth", tmp_path / "canary")
    fit = ("fit", "--config", trained.config, f"model.init_from={file}", "--run", tmp_path / "run")
    assert "convert" in refused(*fit, code=6)[0]["fix"]
    assert not (tmp_path / "canary").exists()
    assert not (tmp_path / "run").exists()


@fault("F12", "an evil pickle, `segtrain convert`", then="6 without --trust; 0 with it, and nothing of it runs")
def test_a_pickle_is_read_where_it_is_trusted_and_not_run_even_then(tmp_path: Path) -> None:
    file = evil_checkpoint(tmp_path / "checkpoint_final.pth", tmp_path / "canary")
    out = tmp_path / "out"
    assert "--trust" in refused("convert", file, "--to", out, code=6)[0]["fix"]
    assert not out.exists()
    told = answer("convert", file, "--to", out, "--trust")
    assert list(told["tensors"]) == ["encoder.stages.0.0.convs.0.conv.weight"]
    assert files_in(out) == ["converted.json", "model.safetensors"]
    assert not (tmp_path / "canary").exists()


@fault("F12", "a plain pickle, text and nothing for `segtrain convert --trust`", then="6, no checkpoint of torch")
@pytest.mark.parametrize("content", [pickle.dumps({"a": 1}), b"text", b""])
def test_what_is_no_checkpoint_is_not_converted(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    refused("convert", tmp_path / "a.pth", "--to", tmp_path / "out", "--trust", code=6)
    assert not (tmp_path / "out").exists()
