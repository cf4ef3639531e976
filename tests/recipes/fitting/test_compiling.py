"""torch.compile is used where it pays, and a resumed run keeps to what was decided."""

from __future__ import annotations

import json
import time

import pytest
import torch
from torch import nn

from segtrain.core.events import Note
from segtrain.recipes.fit import fit
from segtrain.recipes.fitting import compiling
from segtrain.recipes.fitting.compiling import compile_where_it_pays
from segtrain.recipes.fitting.set_up import set_up
from segtrain.recipes.fitting.sound import try_config
from segtrain.recipes.run_folder import RunFolder
from segtrain.training.loop import train
from tests.recipes.projects import close_at, load, result_of, step


class Slow(nn.Module):
    """What a compiler makes of a network in these tests: the network, after a while."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        time.sleep(0.1)
        return self.network(images)


@pytest.fixture
def job(study, tmp_path):
    return result_of(set_up(try_config(load(study), None), RunFolder(tmp_path), None, None, torch.device("cpu")))


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setattr(torch, "compile", Slow)
    monkeypatch.setattr(compiling, "ENOUGH_SECONDS", 0.0)


def test_it_is_left_where_it_does_not_pay_and_that_is_told(job, slow):
    (note,) = compile_where_it_pays(job, None)
    assert job.state.compiled is None
    assert "not used" in note.text


def test_what_was_decided_stays_without_timing_anew(job, slow):
    assert list(compile_where_it_pays(job, True)) == []
    assert isinstance(job.state.network, Slow)
    assert job.state.network.network is job.state.model
    job.state.compiled = None
    assert list(compile_where_it_pays(job, False)) == []
    assert job.state.network is job.state.model


def test_a_compiler_that_fails_is_told_and_not_used(job, monkeypatch):
    def fails(network):
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(torch, "compile", fails)
    monkeypatch.setattr(compiling, "ENOUGH_SECONDS", 0.0)
    (note,) = compile_where_it_pays(job, None)
    assert "RuntimeError: no C++ compiler" in note.text
    assert job.state.compiled is None


def test_timing_leaves_the_training_as_it_was(job, slow):
    before = {name: value.clone() for name, value in job.state.model.state_dict().items()}
    list(compile_where_it_pays(job, None))
    assert job.state.step == 0
    assert all(torch.equal(value, before[name]) for name, value in job.state.model.state_dict().items())


def test_a_run_records_the_decision_and_goes_on_with_it(study, tmp_path, slow):
    loaded = load(study, "training.compile=true")
    close_at(fit(loaded, tmp_path / "run"), step(2))
    record = tmp_path / "run" / "run.json"
    assert json.loads(record.read_text())["compiled"] is False
    notes = [event.text for event in fit(loaded, tmp_path / "run", resume=True) if isinstance(event, Note)]
    assert not any("torch.compile" in note for note in notes)


def test_a_compiled_network_is_called_and_trains_the_models_own_weights(job, monkeypatch):
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda network: real(network, backend="eager"))
    assert list(compile_where_it_pays(job, True)) == []
    assert job.state.network is job.state.compiled
    before = next(job.state.model.parameters()).clone()
    list(train(job.state, job.loader.batches(0, 2), job.loss, job.loaded.config.training, job.device))
    assert not torch.equal(before, next(job.state.model.parameters()))
