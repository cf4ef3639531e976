"""The store gives back what was put in, and never half a case."""

import numpy as np
import pytest

from segtrain.core.case import Case, ScanSource
from segtrain.core.task import Task
from segtrain.data.prepare import prepare
from segtrain.data.store import folder_of, foreground_centres, is_stored, load, save
from tests.phantoms import scan
from tests.plans import small_plan

TASK = Task(labels={"background": 0, "organ": 1})


@pytest.fixture
def prepared():
    image, labels = scan()
    return prepare("a", image, labels, small_plan(), TASK)


def test_a_case_comes_back_equal(tmp_path, prepared):
    save(prepared, prepared.classes, tmp_path / "a")
    again = load(tmp_path / "a")
    assert np.array_equal(again.image, prepared.image)
    assert np.array_equal(again.classes, prepared.classes)
    assert again.native.same_space(prepared.native)
    assert again.grid.shape == prepared.grid.shape


def test_the_key_of_a_stored_case_is_the_hash_in_its_folder_even_where_the_id_holds_dashes(tmp_path, prepared):
    save(prepared, prepared.classes, tmp_path / "patient-7-0123456789ab")
    assert load(tmp_path / "patient-7-0123456789ab").key == "0123456789ab"


def test_a_case_that_was_cut_short_counts_as_missing_and_is_replaced(tmp_path, prepared):
    save(prepared, prepared.classes, tmp_path / "a")
    (tmp_path / "a" / "case.json").unlink()
    assert not is_stored(tmp_path / "a")
    save(prepared, prepared.classes, tmp_path / "a")
    assert is_stored(tmp_path / "a")


def test_centres_lie_on_their_class(prepared):
    centres = foreground_centres("a", prepared.classes)
    assert len(centres) > 50
    assert all(prepared.classes[x, y, z] == label for label, x, y, z in centres)


def test_an_empty_mask_has_no_centres():
    assert foreground_centres("a", np.zeros((3, 3, 3), np.uint8)).shape == (0, 4)


def test_the_folder_changes_with_the_scan_the_plan_and_the_task(tmp_path):
    file = tmp_path / "a.nii.gz"
    file.write_bytes(b"one")
    case = Case("a", "p", (ScanSource(file),))
    first = folder_of(tmp_path, case, small_plan(), TASK)
    assert first == folder_of(tmp_path, case, small_plan(patch=(8, 8, 8)), TASK)
    assert first != folder_of(tmp_path, case, small_plan(spacing_mm=(2, 2, 2)), TASK)
    assert first != folder_of(tmp_path, case, small_plan(), Task(labels={"background": 0, "organ": 2}))
    file.write_bytes(b"two")
    assert first != folder_of(tmp_path, case, small_plan(), TASK)
