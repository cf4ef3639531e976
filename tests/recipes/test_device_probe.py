"""A real step on each device, and what torch says of itself."""

from __future__ import annotations

import pytest
import torch

from segtrain.recipes import device_probe
from segtrain.recipes.device_probe import Device, Tried, device_faults, devices, probe, torch_facts, torch_warnings

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def here():
    return probe(CPU)


def device(name="cuda:0", float32=None, bf16=None):
    return Device(name, "GPU", None, {"float32": float32 or Tried(0.1, 1.0), "bf16": bf16 or Tried(0.1, 1.0)})


def test_the_cpu_is_the_first_device():
    assert devices()[0] == CPU


def test_a_step_runs_on_the_cpu_and_its_loss_is_that_of_a_network_that_knows_nothing(here):
    tried = here.tried["float32"]
    assert tried.error == ""
    assert tried.seconds > 0
    assert 0.5 < tried.loss < 3
    assert list(device_faults([here])) == []
    assert here.to_json()["steps"]["float32"] == {"ok": True, "step_seconds": tried.seconds, "error": None}


@pytest.mark.gpu
@pytest.mark.skipif(len(devices()) < 2, reason="there is no other device than the CPU")
def test_every_other_device_gives_what_the_cpu_gives(here):
    assert list(device_faults([here, *(probe(other) for other in devices()[1:])])) == []


def test_an_error_of_a_device_is_what_was_found(monkeypatch):
    def broken(*_):
        raise RuntimeError("no kernel image is\navailable")

    monkeypatch.setattr(device_probe, "train", broken)
    found = device_probe.try_steps(CPU, "float32")
    assert found.error == "RuntimeError: no kernel image is available"
    assert found.to_json()["ok"] is False


class TestFaults:
    def test_a_device_that_fails_or_gives_something_else_is_one(self, here):
        loss = here.tried["float32"].loss
        other = Tried(0.1, 1.5 * loss)
        failing = Tried(error="boom")
        same = Tried(0.1, 1.001 * loss)
        problems = list(device_faults([here, device(float32=same, bf16=failing), device("mps", float32=other)]))
        assert [problem.where for problem in problems] == ["cuda:0, bf16", "mps, float32"]
        assert problems[0].why == "boom"
        assert "--device cpu" in problems[1].hint

    def test_bf16_on_the_cpu_is_nobodys_default(self):
        cpu = device("cpu", bf16=Tried(error="not supported"))
        assert list(device_faults([cpu])) == []


class TestTorch:
    def test_it_tells_how_it_was_built(self):
        facts = torch_facts()
        assert facts["version"] == torch.__version__
        assert facts["threads"] == torch.get_num_threads()
        assert facts["blas"] in torch.__config__.show()

    def test_more_threads_than_cores_are_warned_of(self, monkeypatch):
        monkeypatch.setattr(device_probe, "usable_cores", lambda: 2)
        facts = {**torch_facts(), "threads": 64, "gpus_of_the_system": [], "instructions": "AVX2"}
        (problem,) = [p for p in torch_warnings(facts) if "threads" in p.what]
        assert problem.hint == "export OMP_NUM_THREADS=2"

    @pytest.mark.skipif(torch.cuda.is_available(), reason="torch uses the GPU of this machine")
    @pytest.mark.parametrize(("built", "why"), [(None, "build for the CPU"), ("12.8", "built for CUDA 12.8")])
    def test_a_gpu_that_torch_cannot_use_is_warned_of(self, built, why):
        gpu = "NVIDIA H100, 550.1, 81559 MiB"
        facts = {**torch_facts(), "gpus_of_the_system": [gpu], "cuda_build": built, "threads": 1}
        problem = next(p for p in torch_warnings(facts) if p.where == gpu)
        assert why in problem.why
