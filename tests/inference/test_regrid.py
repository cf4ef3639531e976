"""Block by block on a device: the very numbers of the resampler in core."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from segtrain.core.resample import axis_maps, resample_array
from segtrain.inference.regrid import regrid
from tests.phantoms import grid

NATIVES = [grid(), grid(degrees=200, flips=(-1, 1, -1)), grid((9, 31, 14), (2.4, 0.5, 1.1), degrees=80)]


@pytest.mark.parametrize("native", NATIVES)
@pytest.mark.parametrize("spacing_mm", [None, (1.0, 1.0, 1.0), (0.7, 3.1, 2.2)])
def test_a_whole_volume_is_that_of_core_bit_for_bit(native, spacing_mm):
    work = native.canonical() if spacing_mm is None else native.canonical().respaced(spacing_mm)
    logits = np.random.default_rng(0).normal(size=(3, *work.shape)).astype(np.float32)
    found = regrid(torch.from_numpy(logits), axis_maps(work, native))
    assert np.array_equal(found.numpy(), np.stack([resample_array(one, work, native) for one in logits]))


@pytest.mark.parametrize("native", NATIVES)
def test_a_box_needs_no_more_than_its_span_and_is_the_same(native):
    work = native.canonical().respaced((1.3, 0.9, 1.7))
    logits = np.random.default_rng(0).normal(size=(2, *work.shape)).astype(np.float32)
    maps = axis_maps(work, native)
    box = [(n // 3, 2 * n // 3) for n in native.shape]
    parts = [axis_map.part(*found) for axis_map, found in zip(maps, box, strict=True)]
    spans = {part.axis: part.span for part in parts}
    cut = logits[(slice(None), *(slice(*spans[axis]) for axis in range(3)))]
    counted = [replace(part, index=part.index - part.span[0]) for part in parts]
    whole = regrid(torch.from_numpy(logits), maps)
    found = regrid(torch.from_numpy(cut), counted)
    assert torch.equal(found, whole[(slice(None), *(slice(*side) for side in box))])


def test_half_precision_is_resampled_in_single():
    native = grid()
    maps = axis_maps(native.canonical().respaced((1, 1, 1)), native)
    logits = torch.randn(2, *native.canonical().respaced((1, 1, 1)).shape).half()
    assert torch.equal(regrid(logits, maps), regrid(logits.float(), maps))
