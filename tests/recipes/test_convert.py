"""Weights of another program: read where they are trusted, never run, and a start for a network of one's own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from segtrain.core.errors import CheckpointError, ConfigError
from segtrain.recipes.assemble import Answer
from segtrain.recipes.convert import CONVERTED, Converted, convert
from segtrain.recipes.fit import fit
from segtrain.recipes.fitting.decide import read_plan
from segtrain.recipes.fitting.init_from import followed, start
from segtrain.training.checkpoint import MODEL
from tests.recipes.projects import CONFIG, finished, load, write_study

NET = """\
from torch import nn


class Block(nn.Module):
    '''As nnU-Net names its parts; the normalisation follows a convolution with a bias.'''

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, 3, padding=1)
        self.norm = nn.InstanceNorm3d(outputs, affine=True)
        self.nonlin = nn.LeakyReLU(0.01)
        self.all_modules = nn.Sequential(self.conv, self.norm, self.nonlin)

    def forward(self, x):
        return self.all_modules(x)


class Net(nn.Module):
    def __init__(self, plan, outputs):
        super().__init__()
        self.encoder = nn.ModuleList([Block(len(plan.channels), 4)])
        self.seg_layers = nn.ModuleList([nn.Conv3d(4, outputs, 1)])

    def forward(self, x):
        return self.seg_layers[0](self.encoder[0](x))
"""


@pytest.fixture
def theirs(tmp_path) -> tuple[torch.nn.Module, Path]:
    """A network of another program, and its checkpoint as nnU-Net writes it."""
    found: dict[str, type[torch.nn.Module]] = {}
    exec(NET, found)
    torch.manual_seed(3)

    class Plan:
        channels = ("T1",)

    network = found["Net"](Plan(), 2)
    beside = {"current_epoch": 4, "_best_ema": np.float64(0.7), "init_args": {"fold": 0}}
    file = tmp_path / "checkpoint_final.pth"
    torch.save({"network_weights": network.state_dict(), "optimizer_state": {"state": {}}, **beside}, file)
    return network, file


def test_without_trust_nothing_is_read(tmp_path, theirs):
    with pytest.raises(CheckpointError, match=r"only where it is trusted[\s\S]*--trust"):
        convert(theirs[1], tmp_path / "out", trust=False)
    with pytest.raises(CheckpointError, match="--trust"):
        convert(tmp_path / "missing.pth", tmp_path / "out", trust=False)
    assert not (tmp_path / "out").exists()


def test_tensors_and_where_they_came_from_are_written(tmp_path, theirs):
    network, file = theirs
    told = convert(file, tmp_path / "out", trust=True)
    about = json.loads((tmp_path / "out" / CONVERTED).read_text())
    assert told == {**about, "out": str(tmp_path / "out")}
    assert (about["part"], about["source"]) == ("network_weights", file.name)
    assert about["source_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert about["sha256"][MODEL] == hashlib.sha256((tmp_path / "out" / MODEL).read_bytes()).hexdigest()
    assert any("numpy" in name for name in about["not_run"])
    tensors = load_file(tmp_path / "out" / MODEL)
    assert tensors.keys() == network.state_dict().keys() == about["tensors"].keys()
    assert about["tensors"]["seg_layers.0.weight"] == {"shape": [2, 4, 1, 1, 1], "type": "float32"}
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensors[name], tensor)


def test_what_lies_in_the_folder_is_replaced_only_where_it_was_converted_and_may_go(tmp_path, theirs):
    out = tmp_path / "out"
    convert(theirs[1], out, trust=True)
    with pytest.raises(ConfigError, match="--overwrite"):
        convert(theirs[1], out, trust=True)
    convert(theirs[1], out, trust=True, overwrite=True)
    (out / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="something else"):
        convert(theirs[1], out, trust=True, overwrite=True)
    assert (out / "mine.txt").read_text() == "mine"


def test_a_file_that_is_none_leaves_no_folder(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"no zip")
    with pytest.raises(CheckpointError, match="no checkpoint of torch"):
        convert(tmp_path / "a.pth", tmp_path / "out", trust=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("fault", ["flipped", "gone", "no json", "no hash"])
def test_converted_weights_that_are_damaged_are_refused(tmp_path, theirs, fault):
    out = tmp_path / "out"
    convert(theirs[1], out, trust=True)
    if fault == "flipped":
        data = bytearray((out / MODEL).read_bytes())
        data[-1] ^= 1
        (out / MODEL).write_bytes(data)
    elif fault == "gone":
        (out / MODEL).unlink()
    else:
        (out / CONVERTED).write_text("{" if fault == "no json" else "{}")
    with pytest.raises(CheckpointError, match="damaged"):
        Converted.at(out)


def test_nothing_converted_is_none(tmp_path):
    assert Converted.at(tmp_path) is None


@pytest.fixture
def study(tmp_path, theirs) -> Path:
    """Scans, a network of one's own beside them, and converted weights for it."""
    root = tmp_path / "study"
    write_study(root, CONFIG)
    (root / "net.py").write_text(NET)
    convert(theirs[1], root / "weights", trust=True)
    return root


def own(study: Path, *overrides: str):
    name = f"model={{name: '{study}/net.py:Net', init_from: {study}/weights, patch_size: [16, 8, 8], widths: [4]}}"
    return load(study, name, *overrides)


def test_a_network_of_ones_own_with_those_names_answers_as_the_other_program_s(study, theirs, tmp_path):
    loaded = followed(own(study, "training.epochs=1", "training.steps_per_epoch=1"))
    done = finished(fit(loaded, tmp_path / "run"))
    record = json.loads((tmp_path / "run" / "run.json").read_text())["init_from"]
    assert record["path"] == str(study / "weights")
    assert [(part["kept"], part["tensors"]) for part in record["parts"]] == [(6 + 4, 6 + 4)]
    plan = read_plan(done.folder / "plan.json")
    from segtrain.recipes.assemble import make_model

    answer = Answer("multiclass", "softmax", 2)
    model = make_model(plan, loaded.config.model, answer, 0)
    begun = start(loaded.config, plan, answer, model)
    assert begun is not None
    assert "10 of 10 tensors kept" in begun.told
    image = torch.randn(1, 1, 16, 8, 8)
    with torch.no_grad():
        assert torch.equal(model.eval()(image)[0], theirs[0].eval()(image))


def test_networks_of_segtrain_have_other_names(study):
    with pytest.raises(ConfigError, match=r"do not start the network unet[\s\S]*net\.py:Net"):
        followed(load(study, f"model.init_from={study}/weights"))


def test_a_pickle_is_no_start_and_the_way_to_convert_it_is_said(study, theirs):
    with pytest.raises(CheckpointError, match=r"convert checkpoint_final\.pth --trust"):
        followed(load(study, f"model.init_from={theirs[1]}"))
