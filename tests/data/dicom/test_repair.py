"""A series with a gap, uneven slices or a tilt is repaired where that is asked for, and refused otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from segtrain.core.case import ScanSource
from segtrain.core.errors import UnreadableScan
from segtrain.data.dicom.repair import stacked
from segtrain.data.dicom.scan import read_dicom
from segtrain.data.read_repaired import read_repaired
from segtrain.data.repair.repairs import NO_REPAIR, Repairs
from tests import phantoms
from tests.data.dicom_phantoms import pixels_of, write_series, write_slice
from tests.data.stack_phantoms import CENTRE_MM, EVEN, RADII_MM, STACKS, write_stack
from tests.faults.table import fault

EVERY = Repairs(missing_slices=True, uneven_slices=True, tilt=True)
NEEDED = {
    "missing": Repairs(missing_slices=True),
    "uneven": Repairs(uneven_slices=True),
    "tilt": Repairs(tilt=True),
    "missing and tilt": Repairs(missing_slices=True, tilt=True),
}
SAID = {
    "missing": "3 missing slices interpolated between the neighbours, at 15, 17.5, 27.5 mm along the normal",
    "uneven": "14 slices at distances of 2.5 to 3.5 mm interpolated to 16, 2.5 mm apart",
    "tilt": "a gantry tilt of 15.0 degrees taken out: slices moved by up to 10.7 mm within their plane",
    "missing and tilt": "a gantry tilt of 12.0 degrees taken out",
}


def truth(grid) -> np.ndarray:
    """What the phantom is at the voxels of a grid."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    points = grid.positions_mm(index.astype(float)) * (-1, -1, 1)
    far = (((points - CENTRE_MM) / RADII_MM) ** 2).sum(axis=1)
    return (2000 * np.exp(-far) - 1000).reshape(grid.shape)


@pytest.mark.parametrize("kind", STACKS)
@fault("F9", "gaps, uneven slices and a tilt, and `--repair`", then="repaired, every value at its place in mm")
def test_every_value_of_the_repaired_scan_is_that_of_the_phantom_at_its_place(tmp_path, kind):
    heights, degrees = STACKS[kind]
    write_stack(tmp_path / "s", heights, degrees)
    with pytest.raises(UnreadableScan):
        read_dicom(tmp_path / "s")
    scan = read_repaired([ScanSource(tmp_path / "s")], NEEDED[kind])
    found, grid = scan.image.array[0], scan.image.grid
    assert found.dtype.kind == "i"
    np.testing.assert_allclose(grid.spacing_mm, (0.9, 1.2, 2.5), atol=1e-6)
    np.testing.assert_allclose(grid.affine[:3, 2], (0, 0, 2.5), atol=1e-6)
    wanted = truth(grid)
    seen = (wanted > -900) & (found > found.min())  # beyond the slices of a tilted stack there is nothing
    assert seen.sum() > 5000
    error = np.abs(found - wanted)[seen]
    # The hill is curved, and interpolation is linear: off by f'' h^2 / 8 at most, across the slices and within them.
    curved = 4000 * (max(np.diff(heights)) / RADII_MM[2]) ** 2 / 8 + 4000 * (1.2 / RADII_MM[1]) ** 2 / 8
    assert error.max() < curved + 1
    assert np.median(error) < 3
    assert any(SAID[kind] in change for change in scan.changes)


@pytest.mark.parametrize("kind", STACKS)
def test_slices_that_there_are_stay_as_they_are_where_nothing_leans(tmp_path, kind):
    heights, degrees = STACKS[kind]
    write_stack(tmp_path / "s", heights, degrees)
    write_stack(tmp_path / "whole", EVEN, degrees if kind == "missing and tilt" else 0)
    found = read_repaired([ScanSource(tmp_path / "s")], NEEDED[kind]).image
    whole = read_repaired([ScanSource(tmp_path / "whole")], EVERY).image
    if kind == "missing":
        assert found.grid.same_space(whole.grid)
    for height in set(heights) & set(EVEN):
        number = round(height / 2.5)
        if degrees == 0 and np.isclose(number * 2.5, height) and number < found.grid.shape[2]:
            np.testing.assert_array_equal(found.array[..., number], whole.array[..., number])


@pytest.mark.parametrize("kind", STACKS)
def test_what_was_not_asked_for_is_refused_with_the_name_of_its_repair(tmp_path, kind):
    heights, degrees = STACKS[kind]
    write_stack(tmp_path / "s", heights, degrees)
    with pytest.raises(UnreadableScan) as error:
        stacked(tmp_path / "s", "", NO_REPAIR)
    for word in kind.replace("missing", "missing-slices").replace("uneven", "uneven-slices").split(" and "):
        assert f"--fix DIR --repair {word}" in str(error.value)
    if kind == "missing and tilt":
        with pytest.raises(UnreadableScan, match="--repair tilt"):
            stacked(tmp_path / "s", "", Repairs(missing_slices=True))


def test_a_sound_series_is_read_as_it_is(tmp_path):
    write_series(tmp_path)
    scan = read_repaired([ScanSource(tmp_path)], EVERY)
    strict = read_dicom(tmp_path)
    assert scan.changes == ()
    assert scan.evened is None
    np.testing.assert_array_equal(scan.image.array, strict.array)
    np.testing.assert_array_equal(scan.image.grid.affine, strict.grid.affine)
    assert scan.image.origins == strict.origins


def refusal(place):
    with pytest.raises(UnreadableScan) as error:
        stacked(place, "", EVERY)
    return str(error.value)


def test_what_nothing_mends_is_refused_all_the_same(tmp_path):
    write_series(tmp_path / "twice", (0, 2.5, 2.5, 5))
    assert "one position" in refusal(tmp_path / "twice")
    for n, height in enumerate([0, 2.5, 5, 10, 12.5]):
        write_slice(tmp_path / "aside" / f"{n}.dcm", pixels_of(n), "1.2.9", (3 if n == 2 else 0, 0, height))
    assert "shifted against each other" in refusal(tmp_path / "aside")
    write_series(tmp_path / "far", (0, 2.5, 5, 100))
    message = refusal(tmp_path / "far")
    assert "too far apart to be repaired" in message
    assert "4 slices would become 41" in message
    write_stack(tmp_path / "lying", EVEN, 60)
    assert "lean by 60 degrees" in refusal(tmp_path / "lying")


def test_a_lean_that_is_no_tilt_is_none_across_a_gap_either(tmp_path):
    """0.4 degrees are kept in the affine; over a gap of four steps they are four times as many mm."""
    heights = [height for n, height in enumerate(EVEN) if n not in (6, 7, 8)]
    write_stack(tmp_path / "s", heights, 0.4)
    whole = read_dicom(write_stack(tmp_path / "whole", EVEN, 0.4)).grid
    scan = read_repaired([ScanSource(tmp_path / "s")], Repairs(missing_slices=True))
    assert scan.image.grid.same_space(whole)
    assert len(scan.changes) == 1


def test_real_series_are_repaired_to_the_places_of_their_slices():
    failing = phantoms.real_data("awkward") / "dicom" / "failing"
    for name, shape in (("gantrytilting/001", (512, 521, 4)), ("sliceincrement/001", (512, 512, 5))):
        stack = stacked(failing / name, "", EVERY)
        scan = read_repaired([ScanSource(failing / name)], EVERY)
        grid, places = scan.image.grid, stack.evened.stack.places_mm
        assert grid.shape == shape
        index = (places - grid.affine[:3, 3]) @ np.linalg.inv(grid.affine[:3, :3]).T
        np.testing.assert_allclose(index[:, 2], np.round(index[:, 2]), atol=0.01)
        assert (index[:, :2] > -0.01).all()
