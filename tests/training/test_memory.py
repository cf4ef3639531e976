"""Memory of the device that trains."""

import pytest
import torch

from segtrain.core.machine import ram_bytes
from segtrain.training.memory import free_bytes, peak_bytes, size_bytes

CPU = torch.device("cpu")


def test_on_the_cpu_it_is_that_of_the_process_and_the_machine():
    held = torch.ones(16 * 2**20)
    peak = peak_bytes(CPU)
    assert peak is None or peak >= held.numel() * held.element_size()
    assert size_bytes(CPU) == ram_bytes()
    assert free_bytes(CPU) is None or free_bytes(CPU) <= size_bytes(CPU)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_on_a_gpu_it_is_what_torch_took_of_it():
    device = torch.device("cuda")
    held = torch.ones(64 * 2**20, device=device)
    assert held.numel() * held.element_size() <= peak_bytes(device) <= size_bytes(device)
    assert free_bytes(device) < size_bytes(device)
