"""What masks hold, by reading as many as there is time for."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import DataError
from segtrain.core.volume import LabelMap, Volume
from segtrain.data.files.nifti import write_nifti, write_nifti_image
from segtrain.recipes.guess.masks import ids_in_masks, spread
from tests import phantoms
from tests.data.folders import write_structures
from tests.data.rtstruct_phantoms import write_rtstruct

GRID = phantoms.grid((4, 3, 2))


def case(folder, name, ids):
    array = np.resize(np.array(ids, np.int32), GRID.shape)
    write_nifti(folder / f"{name}.nii.gz", LabelMap(array, GRID))
    source = ScanSource(folder / f"{name}.nii.gz")
    return Case(name, name, (source,), source)


def test_ids_are_counted_by_the_masks_that_hold_them(tmp_path):
    cases = [case(tmp_path, "a", [0, 4, 2035]), case(tmp_path, "b", [0, 4]), case(tmp_path, "c", [0])]
    found = ids_in_masks(cases)
    assert (found.masks, found.read, found.total) == ({0: 3, 4: 2, 2035: 1}, 3, 3)
    assert (found.first[2035], dict(found.alone)) == ("a", {4: 1})


def test_reading_ends_with_the_time_and_not_before_one_mask(tmp_path):
    cases = [case(tmp_path, f"{n:03}", [0, n + 1]) for n in range(5)]
    found = ids_in_masks(cases, seconds=-1)
    assert (found.read, found.total) == (1, 5)


def test_a_mask_that_cannot_be_used_is_kept_as_a_fault(tmp_path):
    cases = [case(tmp_path, "a", [0, 1]), case(tmp_path, "b", [0, 1])]
    cases[1].label.path.write_bytes(b"x")
    found = ids_in_masks(cases)
    assert (found.read, len(found.unread)) == (1, 1)
    with pytest.raises(DataError, match="not compressed"):
        ids_in_masks(cases[1:])


def test_grey_values_and_fractions_are_no_labels(tmp_path):
    grid = phantoms.grid((10, 10, 4))
    write_nifti(tmp_path / "a.nii.gz", LabelMap(np.arange(400).reshape(grid.shape).astype(np.int16), grid))
    source = ScanSource(tmp_path / "a.nii.gz")
    with pytest.raises(DataError, match="no masks of labels"):
        ids_in_masks([Case("a", "a", (source,), source)])
    write_nifti_image(tmp_path / "b.nii.gz", Volume(np.full((1, *grid.shape), 0.5, np.float32), grid))
    source = ScanSource(tmp_path / "b.nii.gz")
    with pytest.raises(DataError, match="fractions"):
        ids_in_masks([Case("b", "b", (source,), source)])


def test_drawings_name_their_structures_themselves(tmp_path):
    cases = []
    for name, structures in (("a", ("liver", "heart", "BODY")), ("b", ("heart", "liver"))):
        source = ScanSource(write_rtstruct(tmp_path / f"{name}.dcm", dict.fromkeys(structures)))
        cases.append(Case(name, name, (source,), source))
    found = ids_in_masks(cases)
    assert (found.names, found.rare, found.masks) == ({1: "heart", 2: "liver"}, ("BODY",), {1: 2, 2: 2})


def test_structures_of_a_folder_are_counted_by_the_masks_that_are_not_empty(tmp_path):
    cases = []
    for name, more in (("a", {"spleen": [(1, 0, 0)]}), ("b", {"spleen": [(0, 0, 0)], "heart": []})):
        folder = write_structures(tmp_path / name, {"liver": [(0, 0, 0)], **more})
        cases.append(Case(name, name, (ScanSource(folder / "liver.nii.gz"),), ScanSource(folder)))
    found = ids_in_masks(cases)
    assert (found.names, found.masks, found.rare) == ({1: "liver", 2: "spleen"}, {1: 2, 2: 2}, ("heart",))
    assert found.overlaps == {"b": "liver and spleen (1 voxel)"}
    write_structures(tmp_path / "b", {"spleen": []})
    assert ids_in_masks(cases).masks == {1: 2, 2: 1}


def slicer_case(folder, name, segments):
    """A mask as 3D Slicer writes it: names and ids in the header."""
    image = sitk.GetImageFromArray(np.resize(np.array([0, *segments.values()], np.uint8), (2, 3, 4)))
    for number, (segment, label) in enumerate(segments.items()):
        image.SetMetaData(f"Segment{number}_Name", segment)
        image.SetMetaData(f"Segment{number}_LabelValue", str(label))
    sitk.WriteImage(image, str(folder / f"{name}.seg.nrrd"))
    source = ScanSource(folder / f"{name}.seg.nrrd")
    return Case(name, name, (source,), source)


def test_ids_of_3d_slicer_have_the_names_of_their_segments(tmp_path):
    cases = [slicer_case(tmp_path, "a", {"liver": 1, "left kidney": 2}), slicer_case(tmp_path, "b", {"liver": 1})]
    assert ids_in_masks(cases).segments == {1: "liver", 2: "left kidney"}


def test_a_segment_with_another_id_in_another_mask_is_refused(tmp_path):
    """3D Slicer numbers segments in the order in which they were drawn: ids alone would mix them up."""
    first, second = {"liver": 1, "spleen": 2}, {"spleen": 1, "liver": 2}
    cases = [slicer_case(tmp_path, "a", first), slicer_case(tmp_path, "b", second)]
    with pytest.raises(DataError, match="spleen is 2 in case a and 1 in case b, liver is 1 in case a and 2 in case b"):
        ids_in_masks(cases)


def test_an_id_with_another_name_in_another_mask_is_refused(tmp_path):
    """No name has two ids here, and yet 1 is two structures."""
    names = {"a": "liver", "b": "kidney", "c": "Kidney", "d": "Liver"}
    cases = [slicer_case(tmp_path, case, {name: 1}) for case, name in names.items()]
    with pytest.raises(DataError, match="an id has another name") as error:
        ids_in_masks(cases)
    (problem,) = error.value.problems
    assert "1 is liver in case a and kidney in case b" in problem.why


def test_names_that_differ_in_case_alone_and_names_that_nobody_gave_are_no_clash(tmp_path):
    names = {"a": "Segment_1", "b": "left kidney", "c": "Left_Kidney", "d": "Segment_1"}
    found = ids_in_masks([slicer_case(tmp_path, case, {name: 1}) for case, name in names.items()])
    assert found.segments[1].lower().replace("_", " ") == "left kidney"


def test_a_spread_list_has_each_place_once_and_is_from_all_over_wherever_one_stops():
    assert sorted(spread(10)) == list(range(10))
    assert {number * 3 // 30 for number in spread(30)[:6]} == {0, 1, 2}
