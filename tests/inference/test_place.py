"""Where logits are blended is decided from numbers; the precision from the kind of device alone."""

import pytest
import torch

from segtrain.core.errors import ResourceError
from segtrain.core.machine import available_ram_bytes
from segtrain.inference.blocks import undivided
from segtrain.inference.place import DEVICE_SHARE, blended_dtype, decided, free_device_bytes, placed
from tests.inference.test_blocks import extent

CPU, CUDA, MPS = map(torch.device, ("cpu", "cuda", "mps"))
LARGE = 2**40


def need():
    """Bytes that the scan takes on a device, and its open logits."""
    one = extent(itemsize=2)
    return undivided([one]).open_bytes + one.answer_bytes, undivided([one]).open_bytes


@pytest.mark.parametrize("device", [CUDA, MPS])
def test_a_device_takes_what_fits_and_nobody_is_told(device):
    found = decided([extent(itemsize=2)], device, int(need()[0] / DEVICE_SHARE) + 1, 2**20)
    assert found.store.device == device
    assert found.store.dtype == torch.float16
    assert found.note is None
    assert len(found.blocks.boxes) == 1


@pytest.mark.parametrize("free", [None, 0, int(need()[0] / DEVICE_SHARE) - 10])
def test_what_does_not_fit_beside_the_network_goes_to_the_machine_in_the_same_precision(free):
    found = decided([extent(itemsize=2)], CUDA, free, LARGE)
    assert (found.store.device, found.store.dtype) == (CPU, torch.float16)
    assert "in the machine's memory, as cuda" in found.note


def test_smaller_blocks_come_last():
    found = decided([extent(itemsize=2)], CUDA, 0, need()[1] // 3)
    assert found.store.device == CPU
    assert len(found.blocks.boxes) > 1
    assert "machine's memory" in found.note
    assert f"in {len(found.blocks.boxes)} blocks" in found.note


def test_on_the_cpu_logits_are_in_single_precision_and_only_blocks_are_told():
    assert decided([extent()], CPU, None, LARGE).note is None
    few = decided([extent()], CPU, None, undivided([extent()]).open_bytes // 2)
    assert few.store.dtype == blended_dtype(CPU) == torch.float32
    assert few.note.startswith("in ")


def test_what_fits_nowhere_is_an_error_before_anything_is_predicted():
    with pytest.raises(ResourceError, match="takes at least"):
        placed([extent(outputs=10**7)], CPU, 16)


def test_no_more_is_taken_than_the_machine_has():
    free = available_ram_bytes()
    if free is None:
        pytest.skip("the system does not tell how much memory is free")
    outputs = free // (17 * 50 * 40 * 4)
    assert len(placed([extent(outputs=int(outputs))], CPU, 2**30).blocks.boxes) > 1


def test_the_cpu_has_no_memory_of_its_own():
    assert free_device_bytes(CPU) is None
