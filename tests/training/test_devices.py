"""The device asked for, or a refusal that says which there are."""

import pytest
import torch
from torch import nn

from segtrain.core.errors import ResourceError
from segtrain.training.devices import autocast, find_device, on_device, with_threads
from tests.faults.table import fault

CPU = torch.device("cpu")


@pytest.fixture
def machine(monkeypatch):
    """Make this machine one that has these devices beside its CPU."""

    def has(*devices):
        monkeypatch.setattr("torch.cuda.is_available", lambda: "cuda" in devices)
        monkeypatch.setattr("torch.backends.mps.is_available", lambda: "mps" in devices)

    return has


@pytest.mark.parametrize(
    ("devices", "taken"), [((), "cpu"), (("mps",), "mps"), (("cuda",), "cuda"), (("cuda", "mps"), "cuda")]
)
@fault("F26", "no GPU at all", then="0, the CPU is taken")
def test_auto_takes_the_fastest_there_is(machine, devices, taken):
    machine(*devices)
    assert find_device("auto") == torch.device(taken)


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_a_device_that_is_there_is_taken_by_name(machine, name):
    machine("cuda", "mps")
    assert find_device(name) == torch.device(name)


@pytest.mark.parametrize("name", ["cuda", "tpu", ""])
def test_a_device_that_is_not_there_is_a_resource_error_with_those_that_are(machine, name):
    machine("mps")
    with pytest.raises(ResourceError, match=f"no device '{name}'") as error:
        find_device(name)
    assert "mps, cpu" in str(error.value)
    assert error.value.exit_code == 4


def test_each_process_of_a_host_takes_a_gpu_of_its_own(machine, monkeypatch):
    machine("cuda")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert [find_device("auto", rank) for rank in (0, 1)] == [torch.device("cuda", 0), torch.device("cuda", 1)]
    assert find_device("cpu", 5) == CPU
    with pytest.raises(ResourceError, match=r"process 2 of this host finds 2 GPUs[\s\S]*--nproc-per-node=gpu"):
        find_device("cuda", 2)


def test_several_processes_do_not_share_an_mps_device(machine):
    machine("mps")
    assert find_device("auto", 1) == CPU
    with pytest.raises(ResourceError, match=r"no device 'mps' for several processes[\s\S]*one of: cpu"):
        find_device("mps", 0)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("auto", torch.float32), ("float32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_a_cpu_computes_in_half_precision_only_where_it_was_asked_for(precision, dtype):
    with autocast(CPU, precision):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
    assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_a_network_that_does_not_fit_the_device_is_a_resource_error(monkeypatch):
    def full(*_):
        raise RuntimeError("MPS backend out of memory (MPS allocated: 9.05 GB)")

    model = nn.Linear(1, 1)
    assert on_device(model, CPU) is model
    monkeypatch.setattr(model, "to", full)
    with pytest.raises(ResourceError, match="out of memory moving the network to the device"):
        on_device(model, CPU)


def test_threads_are_as_before_afterwards_whatever_happens():
    before = torch.get_num_threads()
    with pytest.raises(KeyError, match=str(before + 2)), with_threads(before + 2):
        {}[torch.get_num_threads()]
    assert torch.get_num_threads() == before
