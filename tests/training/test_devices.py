"""The device asked for, or a refusal that says which there are."""

import pytest
import torch
from torch import nn

from segtrain.core.errors import ResourceError
from segtrain.training.devices import autocast, find_device, on_device

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
