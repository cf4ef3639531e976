"""Whatever an allocator raises becomes one error; everything else stays what it is."""

import numpy as np
import pytest
import torch

from segtrain.core.errors import ResourceError
from segtrain.core.memory import is_memory_error, memory_errors

SAID = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has 1 GiB."),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9.05 GB)"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory: you tried to"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    MemoryError(),
]


@pytest.mark.parametrize("error", SAID, ids=str)
def test_a_failed_allocation_says_what_was_being_done_and_how_to_mend_it(error):
    with pytest.raises(ResourceError) as found, memory_errors("predicting", "take a smaller window", where="cuda"):
        raise error
    (problem,) = found.value.problems
    assert (problem.what, problem.where, problem.hint) == ("out of memory predicting", "cuda", "take a smaller window")
    assert problem.why == str(error).partition("\n")[0]
    assert found.value.exit_code == 4


def test_real_allocations_that_cannot_be():
    with pytest.raises(ResourceError, match="out of memory making room"), memory_errors("making room", "less"):
        torch.empty(1 << 55)
    with pytest.raises(ResourceError, match="out of memory making room"), memory_errors("making room", "less"):
        np.empty(1 << 55)


@pytest.mark.parametrize("error", [RuntimeError("shapes do not fit"), ValueError("out of memory"), ResourceError("x")])
def test_other_errors_are_left_alone(error):
    with pytest.raises(type(error)) as found, memory_errors("predicting", "less"):
        raise error
    assert found.value is error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_an_allocation_that_failed_is_told_from_other_errors(error, expected):
    assert is_memory_error(error) is expected
