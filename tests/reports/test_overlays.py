import re

import numpy as np
import pytest

from segtrain.core.case import ScanSource
from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap, Volume
from segtrain.data.read import read_labels, read_volume
from segtrain.reports.overlays import Overlay, case_view
from tests.phantoms import grid, real_data
from tests.reports.builders import overlay


def block(numbers=((10, 20), (12, 18), (5, 9)), shape=(40, 30, 20), label=1):
    """A case whose prediction is a box of voxels, on an upright grid of 1 mm with its corner at (-20, -15, -10)."""
    affine = np.eye(4)
    affine[:3, 3] = (-20, -15, -10)
    on = Grid(shape, affine)
    mask = np.zeros(shape, np.uint8)
    mask[tuple(slice(*pair) for pair in numbers)] = label
    return Overlay("c", "", Volume(np.zeros((1, *shape), np.float32), on), LabelMap(mask, on), None, {1: "a", 3: "b"})


def test_both_masks_are_outlined_in_every_plane():
    view = case_view(overlay())
    assert view.roles == ("reference", "prediction")
    assert [p.plane.title for p in view.planes] == ["axial", "coronal", "sagittal"]
    assert all(p.path(role).startswith("M") for p in view.planes for role in view.roles)
    assert view.label_names == {1: "organ"}


def test_without_a_reference_there_is_one_outline():
    view = case_view(overlay(with_reference=False))
    assert view.roles == ("prediction",)
    assert all(set(p.outlines) == {"prediction"} for p in view.planes)


def test_a_slice_says_its_number_and_where_it_is():
    axial, coronal, sagittal = case_view(block()).planes
    assert axial.words[axial.first] == "slice 6 · I 5.0 mm"
    assert coronal.words[coronal.first] == "slice 13 · P 3.0 mm"
    assert sagittal.words[sagittal.first] == "slice 11 · L 10.0 mm"
    assert sagittal.words[-1] == "slice 32 · R 11.0 mm"


def test_a_picture_has_the_proportions_of_the_patient():
    axial, coronal, sagittal = case_view(overlay(on=grid(spacing_mm=(1, 2, 8)))).planes
    assert axial.aspect * sagittal.aspect == pytest.approx(coronal.aspect)
    assert axial.box == (2 * 24, 2 * 20)
    assert axial.aspect == pytest.approx(24 / 40)


@pytest.mark.parametrize("spacing", [(1, 1, 8), (0.3, 4, 1)])
def test_an_empty_mask_has_no_outline_and_no_label(spacing):
    view = case_view(overlay(on=grid(spacing_mm=spacing), empty=True))
    assert all(p.path(role) == "" for p in view.planes for role in view.roles)
    assert view.label_names == {}


def test_only_labels_that_are_drawn_are_named():
    assert case_view(block()).label_names == {1: "a"}
    assert case_view(block(label=3)).label_names == {3: "b"}
    assert case_view(block(label=2)).label_names == {}


def test_a_long_box_says_which_slices_it_shows():
    assert case_view(block()).thinned == ""
    long = block(((0, 130), (0, 30), (0, 20)), shape=(130, 30, 20))
    assert case_view(long).thinned == "Slices, evenly chosen: 48 of 130 sagittal."


def test_a_single_slice_and_a_mask_that_fills_the_scan():
    on = Grid((6, 5, 1), np.eye(4))
    full = LabelMap(np.ones(on.shape, np.uint8), on)
    view = case_view(Overlay("c", "", Volume(np.full((1, 6, 5, 1), 7.0), on), full, full, {1: "a"}))
    assert [len(p.offsets) for p in view.planes] == [1, 5, 6]


def test_what_the_script_reads_is_numbers_and_letters_of_paths():
    view = case_view(overlay())
    for plane in view.planes:
        packed = plane.packed("prediction")
        assert re.fullmatch(r"[-0-9Mlz :;|]*", packed)
        assert packed.count("|") == len(plane.offsets) - 1
        assert re.fullmatch(r"[-0-9A-Za-z .·|]*", "|".join(plane.words))


def test_a_real_case_takes_little_room():
    folder = real_data("hippocampus")
    name = min(path.name for path in (folder / "labels").glob("*.nii.gz"))
    image = read_volume((ScanSource(folder / "images" / name),))
    found = read_labels(ScanSource(folder / "labels" / name))
    mask = LabelMap(found.array, image.grid)
    view = case_view(Overlay(name, "", image, mask, mask, {1: "anterior", 2: "posterior"}))
    assert view.label_names == {1: "anterior", 2: "posterior"}
    letters = [len(p.sheet.url) + 2 * len(p.packed("prediction")) for p in view.planes]
    assert sum(letters) < 600_000, "five of them make less than 3 MB"
