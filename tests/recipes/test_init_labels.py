"""Labels of a data set: ids from the masks, names from wherever somebody wrote them."""

from __future__ import annotations

import numpy as np
import pytest

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import DataError
from segtrain.core.volume import LabelMap, Volume
from segtrain.data.dataset_json import DatasetJson
from segtrain.data.nifti import write_nifti, write_nifti_image
from segtrain.recipes.init_labels import MaskIds, guess_task, ids_in_masks
from tests import phantoms
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
    guessed = guess_task(found, None, ())
    assert guessed.task.labels == {"background": 0, "heart": 1, "liver": 2}
    assert guessed.sentences[1].endswith("BODY")


def task(ids, read=2, total=2, declared=None, folders=()):
    found = guess_task(MaskIds(dict.fromkeys(ids, 1), read, total), declared, folders)
    return dict(found.task.labels), " ".join(found.sentences)


def test_labels_without_a_name_have_their_number_and_a_single_one_is_the_foreground():
    assert task([0, 4, 207])[0] == {"background": 0, "label_4": 4, "label_207": 207}
    labels, said = task([0, 255])
    assert labels == {"background": 0, "foreground": 255}
    assert "rename" in said


def test_names_come_from_a_file_and_what_it_lacks_is_said(tmp_path):
    (tmp_path / "labels.tsv").write_text("4\tliver\n5\tspleen\n")
    labels, said = task([0, 4, 207], folders=[tmp_path])
    assert labels == {"background": 0, "liver": 4, "label_207": 207}
    assert said == "names from labels.tsv; 207 have none there"
    assert task([0, 4], 1, 9, folders=[tmp_path])[0] == {"background": 0, "liver": 4, "spleen": 5}


def test_a_label_may_be_called_background(tmp_path):
    (tmp_path / "labels.tsv").write_text("1\tbackground\n")
    assert task([0, 1], folders=[tmp_path])[0] == {"background_": 0, "background": 1}


def test_masks_without_a_label_are_refused():
    with pytest.raises(DataError, match="no mask holds a label"):
        task([0])


@pytest.mark.parametrize("ids", [range(255), [0, 2**31]])
def test_ids_that_make_no_task_are_refused_in_words(ids):
    with pytest.raises(DataError, match="labels"):
        task(ids)


def test_a_dataset_json_decides_and_what_it_does_not_name_is_said(tmp_path):
    declared = DatasetJson(tmp_path / "dataset.json", ("T1",), {"background": 0, "liver": 4}, ignore=9)
    labels, said = task([0, 4, 7, 9], declared=declared)
    assert labels == {"background": 0, "liver": 4}
    assert said.endswith("does not name: 7")


def test_regions_of_a_dataset_json_are_those_of_the_task(tmp_path):
    regions = {"whole": (1, 2, 3), "core": (2, 3), "active": (3,)}
    labels = {"background": 0, "active": 3}
    declared = DatasetJson(tmp_path / "dataset.json", ("T1",), labels, regions, (1, 2, 3), 4)
    found = guess_task(MaskIds({0: 1, 1: 1}, 1, 1), declared, ()).task
    assert found.regions == {
        "whole": ("label_1", "label_2", "active"),
        "core": ("label_2", "active"),
        "active": ("active",),
    }
    assert found.ignore == 4


def test_regions_that_cannot_be_drawn_are_refused(tmp_path):
    regions = {"active": (3,), "whole": (1, 3)}
    declared = DatasetJson(tmp_path / "dataset.json", ("T1",), {"background": 0, "active": 3}, regions, (3, 1))
    with pytest.raises(DataError, match="from the largest to the smallest"):
        guess_task(MaskIds({0: 1}, 1, 1), declared, ())
