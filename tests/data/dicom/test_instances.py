"""A SOPInstanceUID names one file: two that share one are named, whether or not they hold the same."""

from __future__ import annotations

import shutil

import numpy as np
import pydicom
import pytest

from segtrain.core.errors import UnreadableScan
from segtrain.data.dicom.scan import read_dicom
from tests import phantoms
from tests.data.dicom_phantoms import pixels_of, write_series, write_slice
from tests.data.enhanced_phantoms import write_enhanced
from tests.faults.table import fault

HEIGHTS_MM = (0, 2.5, 5, 7.5)


def series(folder, uids=(1, 2, 3, 4)):
    for n, uid in enumerate(uids):
        write_slice(folder / f"{n}.dcm", pixels_of(n), "1.2.9", (0, 0, HEIGHTS_MM[n]), SOPInstanceUID=f"1.2.9.{uid}")
    return folder


def refusal(place):
    with pytest.raises(UnreadableScan) as error:
        read_dicom(place)
    return str(error.value)


@fault("F9", "one SOPInstanceUID in two slices at two places", then="refused, both files")
def test_two_slices_of_one_uid_at_two_places_are_both_named(tmp_path):
    message = refusal(series(tmp_path, (1, 2, 2, 4)))
    assert "have one SOPInstanceUID and are not the same" in message
    assert "1.dcm and 2.dcm, which differ in their position" in message


@fault("F9", "one SOPInstanceUID twice at one place, with other voxels", then="refused, both files")
def test_two_slices_of_one_uid_and_place_with_other_voxels_are_both_named(tmp_path):
    series(tmp_path)
    write_slice(tmp_path / "x.dcm", pixels_of(1) + 1, "1.2.9", (0, 0, 2.5), SOPInstanceUID="1.2.9.2")
    assert "1.dcm and x.dcm, which differ in their voxels" in refusal(tmp_path)


@fault("F9", "a slice copied beside itself", then="refused, both files")
def test_a_copy_of_a_slice_is_named_as_one(tmp_path):
    shutil.copy(series(tmp_path) / "3.dcm", tmp_path / "3 (1).dcm")
    message = refusal(tmp_path)
    assert "a slice is there twice" in message
    assert "3 (1).dcm and 3.dcm" in message
    assert "take one of the two copies out" in message


def test_copies_and_others_are_told_at_once(tmp_path):
    shutil.copy(series(tmp_path, (1, 1, 3, 4)) / "3.dcm", tmp_path / "4.dcm")
    message = refusal(tmp_path)
    assert "0.dcm and 1.dcm" in message
    assert "3.dcm and 4.dcm" in message


@fault("F9", "one SOPInstanceUID in all slices, each at its own place", then="read; a note")
def test_a_series_whose_slices_all_have_one_uid_is_read_by_their_positions(tmp_path):
    found = read_dicom(series(tmp_path / "one", (1, 1, 1, 1)))
    assert found.notes == ("all 4 slices have one SOPInstanceUID; they are told apart by their positions",)
    assert np.array_equal(found.array, read_dicom(series(tmp_path / "four")).array)
    assert found.origins[0].instance_uids == (), "an anonymiser may have written it into all series"


def test_two_slices_of_the_uid_of_all_at_one_place_are_refused(tmp_path):
    shutil.copy(series(tmp_path, (1, 1, 1, 1)) / "3.dcm", tmp_path / "4.dcm")
    assert "have one SOPInstanceUID and are not the same" in refusal(tmp_path)


def test_a_whole_series_has_no_such_note(tmp_path):
    assert read_dicom(series(tmp_path)).notes == ()


def test_files_without_a_uid_are_not_compared(tmp_path):
    write_series(tmp_path, SOPInstanceUID=None)
    assert read_dicom(tmp_path).array.shape[-1] == 4


def test_the_frames_of_one_file_share_its_uid_and_two_such_files_are_told(tmp_path):
    path = write_enhanced(tmp_path / "a.dcm")
    assert read_dicom(tmp_path).array.shape[-1] == 3
    data = pydicom.dcmread(path)
    data.save_as(tmp_path / "b.dcm")
    assert "a.dcm and b.dcm: SOPInstanceUID, place and voxels are the same" in refusal(tmp_path)


def test_no_real_series_has_one_twice():
    folders = [path for path in phantoms.real_data("awkward/dicom/generic/anatomical").iterdir() if path.is_dir()]
    assert [np.asarray(read_dicom(folder).grid.shape).min() > 1 for folder in folders] == [True] * len(folders)
    assert folders
