import numpy as np
import pytest

from segtrain.core.errors import GridMismatch
from segtrain.core.grid import Grid
from segtrain.data.same_grid import apart, require_same_grid
from tests import phantoms
from tests.faults.table import fault

GRID = phantoms.grid((5, 4, 3), degrees=10)


def moved(grid, voxels):
    """The grid, pushed along its first axis."""
    affine = grid.affine.copy()
    affine[:3, 3] += voxels * affine[:3, 0]
    return Grid(grid.shape, affine)


def test_how_far_two_grids_are_apart_is_told_in_voxels_and_mm():
    """The first axis has 0.8 mm a voxel."""
    spacing = GRID.spacing_mm[0]
    assert apart(GRID, moved(GRID, 5)) == f"they are 5 voxels ({5 * spacing:.3g} mm) apart"
    assert apart(GRID, Grid((5, 4, 2), GRID.affine)) == "their shapes differ"


@fault("F6", "a mask off by shares of a voxel", then="read up to 0.01 voxel, noted up to 0.5, refused beyond")
def test_an_offset_is_passed_noted_or_refused_by_its_size():
    assert require_same_grid(GRID, moved(GRID, 1e-6)) is None
    assert "P7" in (require_same_grid(GRID, moved(GRID, 0.1), "P7") or "")
    with pytest.raises(GridMismatch, match="case P7") as error:
        require_same_grid(GRID, moved(GRID, 5), "P7", names=("image", "prediction"))
    assert "prediction" in str(error.value)


def test_a_flipped_axis_another_spacing_and_another_shape_are_refused():
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = GRID.shape[0] - 1
    for other in (
        Grid(GRID.shape, GRID.affine @ flip),
        GRID.respaced((1.0, 1.2, 5.0)),
        Grid((5, 4, 2), GRID.affine),
    ):
        with pytest.raises(GridMismatch):
            require_same_grid(GRID, other)
    wider = Grid(GRID.shape, GRID.affine @ np.diag([2.0, 1, 1, 1]))
    with pytest.raises(GridMismatch, match=r"2x1\.2x2\.5 mm"):
        require_same_grid(GRID, wider)


def hint_for(other, **names):
    with pytest.raises(GridMismatch) as refused:
        require_same_grid(GRID, other, **names)
    return refused.value.problems[0].hint


def mirrored(*axes, begins=True):
    """The grid with axes that run the other way: over the same voxels, or from where it begins away from them."""
    flip = np.eye(4)
    for axis in axes:
        flip[axis, axis], flip[axis, 3] = -1, (GRID.shape[axis] - 1) * begins
    return Grid(GRID.shape, GRID.affine @ flip)


@pytest.mark.parametrize(("axes", "said"), [((0,), "x axis mirrored: "), ((0, 2), "x, z axes mirrored: ")])
def test_mirrored_axes_are_told_with_the_command_that_turns_them(axes, said):
    assert hint_for(mirrored(*axes)).startswith(f"{said}`segtrain check --fix DIR` brings the label onto")


def test_a_grid_of_another_shape_may_be_brought_onto_that_of_the_image():
    assert hint_for(Grid((5, 4, 2), GRID.affine)).startswith("`segtrain check --fix DIR` brings the label onto")


def test_what_no_command_mends_is_not_promised():
    elsewhere, moved_away = hint_for(mirrored(0, begins=False)), hint_for(moved(GRID, 5))
    assert elsewhere.startswith(
        "x axis mirrored, and it lies elsewhere; which header is wrong, neither tells: find the label"
    )
    assert moved_away.startswith("only where they begin differs; which header is wrong, neither tells: find the label")
    prediction = hint_for(mirrored(1), names=("reference", "prediction"))
    assert prediction.startswith("y axis mirrored: resample the prediction onto the grid of the reference")
    assert "--fix" not in elsewhere + moved_away + prediction


def test_the_file_of_a_label_on_another_grid_is_named():
    with pytest.raises(GridMismatch) as refused:
        require_same_grid(GRID, moved(GRID, 5), "P7", file="masks/P7.nii.gz")
    assert refused.value.problems[0].where == "case P7, masks/P7.nii.gz"
