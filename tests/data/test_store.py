"""The store gives back what was put in, and never half a case."""

import numpy as np
import pytest

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import UnreadableScan
from segtrain.core.task import Task
from segtrain.data.prepare import prepare
from segtrain.data.store import folder_of, foreground_centres, is_stored, load, save, source_hash
from tests.data.dicom_phantoms import write_series
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


def test_the_hash_is_of_all_slices_of_a_series_however_deep_and_of_no_other_file(tmp_path):
    slices = write_series(tmp_path / "scan" / "a", uid="1.2.1")
    write_series(tmp_path / "scan" / "b", (10, 12.5), uid="1.2.1")
    others = write_series(tmp_path / "scan" / "b" / "other", uid="1.2.2")
    case = Case("a", "p", (ScanSource(tmp_path / "scan", "1.2.1"),))
    first = source_hash(case)
    for unread in (others[0], tmp_path / "scan" / "notes.txt"):
        unread.write_bytes(others[1].read_bytes() if unread.suffix == ".dcm" else b"mine")
        assert source_hash(case) == first
    slices[2].write_bytes(slices[2].read_bytes()[:-2] + b"\1\1")
    assert source_hash(case) != first


def test_the_hash_tells_two_series_of_one_folder_apart(tmp_path):
    for uid in ("1.2.1", "1.2.2"):
        write_series(tmp_path / uid, uid=uid)
    one, two = (source_hash(Case("a", "p", (ScanSource(tmp_path, uid),))) for uid in ("1.2.1", "1.2.2"))
    assert one != two


def test_a_scan_that_is_gone_is_unreadable_and_named(tmp_path):
    with pytest.raises(UnreadableScan, match=r"cannot be read[\s\S]*gone.nii.gz"):
        source_hash(Case("a", "p", (ScanSource(tmp_path / "gone.nii.gz"),)))
