"""How a scan is divided follows from sizes alone, covers every voxel once, and fits."""

import numpy as np
import pytest

from segtrain.core.errors import ResourceError
from segtrain.core.resample import axis_maps
from segtrain.inference.blocks import CHUNK_BYTES, Extent, chunks, divided, undivided
from tests.phantoms import grid


def extent(native=None, spacing_mm=(1.0, 1.2, 2.5), outputs=9, window=(16, 12, 8), itemsize=4):
    native = native or grid((60, 50, 40))
    work = native.canonical().respaced(spacing_mm)
    return Extent(axis_maps(work, native), work.shape, window, 0.5, outputs, itemsize)


def test_the_open_planes_are_as_many_as_a_window_is_thick_and_an_output_plane_needs():
    one = extent()
    assert one.open_bytes(0, (50, 40)) == (16 + 1) * 50 * 40 * (9 * 4 + 4)


def test_the_whole_scan_is_one_block_where_it_fits():
    one = extent()
    whole = undivided([one])
    assert divided([one], whole.open_bytes) == whole
    assert whole.boxes == (((0, 60), (0, 50), (0, 40)),)


def test_planes_are_given_away_along_the_axis_that_leaves_the_fewest_open_but_the_first():
    assert undivided([extent(grid((30, 30, 200)), window=(8, 8, 8))]).along == 2
    assert undivided([extent(grid((30, 200, 30)), window=(8, 8, 8))]).along == 1
    assert undivided([extent(grid((200, 30, 30)), window=(8, 8, 8))]).along in (1, 2)


@pytest.mark.parametrize("share", [0.6, 0.3, 0.1, 0.05])
def test_blocks_fit_and_cover_every_voxel_once(share):
    extents = [extent(), extent(spacing_mm=(0.8, 1.5, 2.0))]
    budget = int(share * undivided(extents).open_bytes)
    blocks = divided(extents, budget)
    assert blocks.open_bytes <= budget
    assert blocks.along == undivided(extents).along
    count = np.zeros((60, 50, 40), int)
    for box in blocks.boxes:
        count[tuple(slice(*side) for side in box)] += 1
    assert (count == 1).all()


def test_the_division_that_reads_the_fewest_windows_is_taken():
    one = extent(grid((240, 30, 16), (1, 1, 1)), (1, 1, 1), window=(8, 8, 16))
    blocks = divided([one], undivided([one]).open_bytes // 4)
    assert blocks.along == 1
    assert {box[2] for box in blocks.boxes} == {(0, 16)}


def test_slices_are_divided_between_each_other():
    one = extent(grid((20, 64, 64), (5, 1, 1)), (5, 1, 1), window=(1, 64, 64))
    blocks = divided([one], undivided([one]).open_bytes // 5)
    assert {box[1:] for box in blocks.boxes} == {((0, 64), (0, 64))}
    assert len(blocks.boxes) == 5


def test_a_scan_that_fits_in_no_division_is_an_error_with_the_estimate():
    with pytest.raises(ResourceError, match=r"takes at least \d+ MiB") as error:
        divided([extent(outputs=10**6)], 2**20)
    assert "inference.memory_mib=" in str(error.value)
    assert error.value.exit_code == 4


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, -1, -1)])
def test_chunks_come_as_the_planes_of_the_network_do_and_are_small(flips):
    one = extent(grid((60, 50, 40), flips=flips), outputs=800)
    box = ((0, 60), (10, 50), (0, 40))
    found = list(chunks(box, [one], 2))
    order = [side[2] for side in found]
    assert order == sorted(order, reverse=flips[2] < 0)
    assert [n for side in sorted(order) for n in range(*side)] == list(range(40))
    assert {side[:2] for side in found} == {((0, 60), (10, 50))}
    assert all(4 * 800 * 60 * 40 * (side[1] - side[0]) <= CHUNK_BYTES for side in order)
