"""What is kept of a header, and that a patient is in none of it."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from segtrain.core.errors import UnreadableScan
from segtrain.data.dicom.headers import read_file, read_folder
from segtrain.data.dicom.records import PARAMETRIC_MAP, Drawing
from segtrain.data.dicom.scan import read_dicom
from tests.data.dicom_phantoms import pixels_of, write_series, write_slice
from tests.data.enhanced_phantoms import write_enhanced
from tests.data.rtstruct_phantoms import write_rtstruct
from tests.faults.table import fault


def test_frames_of_an_enhanced_file_have_a_header_each(tmp_path):
    slices = read_file(write_enhanced(tmp_path / "a.dcm"))
    assert [s.position_mm[2] for s in slices] == [5, 0, 2.5]
    assert [(s.slope, s.intercept, s.frame, s.frames) for s in slices] == [
        (1, -5, 0, 3),
        (2, -5, 1, 3),
        (0.5, -5, 2, 3),
    ]
    assert [s.name for s in slices] == ["a.dcm, frame 1", "a.dcm, frame 2", "a.dcm, frame 3"]
    np.testing.assert_array_equal(slices[1].directions, [[1, 0, 0], [0, 1, 0]])
    assert slices[2].spacing_mm == (0.8, 0.7)


def test_what_tells_repeated_slices_apart_is_kept_in_words(tmp_path):
    (first,) = read_file(write_slice(tmp_path / "a.dcm", np.zeros((6, 5)), "1.2", (0, 0, 0), EchoTime=4.6))
    assert first.apart == {"EchoTime": "4.6"}


def test_a_radiograph_lies_nowhere_and_has_the_spacing_of_its_detector(tmp_path):
    nowhere = {"ImagePositionPatient": None, "ImageOrientationPatient": None, "PixelSpacing": None}
    path = write_slice(tmp_path / "a.dcm", np.zeros((6, 5)), "1.2", (0, 0, 0), Modality="DX", **nowhere)
    (found,) = read_file(path)
    assert (found.spacing_mm, found.is_projection, found.position_mm.tolist()) == (None, True, [0, 0, 0])
    path = write_slice(
        tmp_path / "b.dcm", np.zeros((6, 5)), "1.2", (0, 0, 0), Modality="DX", ImagerPixelSpacing=[0.2, 0.1], **nowhere
    )
    assert read_file(path)[0].spacing_mm == (0.2, 0.1)


def test_a_mask_that_was_drawn_on_a_series_is_remembered(tmp_path):
    write_series(tmp_path / "ct")
    path = write_rtstruct(tmp_path / "rt.dcm", {"organ": []})
    content = read_folder(tmp_path)
    assert len(content.slices) == 4
    (found,) = content.drawings
    assert (found.path, found.kind, found.description) == (path, "RTSTRUCT", "drawn")
    assert found.patient_id == content.slices[0].patient_id
    assert "4711" not in found.patient_id


def test_a_patient_is_in_no_header_that_is_kept(tmp_path):
    write_series(tmp_path / "ct", PatientID="4711", PatientBirthDate="19560229")
    write_rtstruct(tmp_path / "rt.dcm", {"organ": []})
    write_enhanced(tmp_path / "en" / "a.dcm")
    shown = repr(read_folder(tmp_path))
    for canary in ("Canary", "Tweety", "4711", "19560229"):
        assert canary not in shown
    assert isinstance(read_file(tmp_path / "rt.dcm"), Drawing)


def mapped(path, *mappings, per_frame=False):
    """A Parametric Map of whole numbers with these (slope, intercept)."""
    write_enhanced(path, (0, 2.5, 5), (1, 1, 1), SOPClassUID=PARAMETRIC_MAP)
    data = pydicom.dcmread(path)
    groups = data.PerFrameFunctionalGroupsSequence
    for frame in groups:
        del frame.PixelValueTransformationSequence
    items = []
    for slope, intercept in mappings:
        items.append(pydicom.Dataset())
        items[-1].RealWorldValueSlope, items[-1].RealWorldValueIntercept = slope, intercept
    for place in groups if per_frame else data.SharedFunctionalGroupsSequence:
        place.RealWorldValueMappingSequence = items
    data.save_as(path)
    return path


@pytest.mark.parametrize("per_frame", [False, True])
@fault("F9", "a Parametric Map of whole numbers", then="read by its RealWorldValueMapping; of several refused")
def test_the_values_of_a_parametric_map_are_what_its_mapping_says(tmp_path, per_frame):
    volume = read_dicom(mapped(tmp_path / "a.dcm", (0.001, -2), (0.001, -2), per_frame=per_frame))
    stored = np.stack([pixels_of(n).T for n in range(3)], axis=-1)
    np.testing.assert_allclose(volume.array[0], stored * 0.001 - 2, atol=1e-6)


def test_of_several_mappings_none_is_taken(tmp_path):
    with pytest.raises(UnreadableScan, match="2 RealWorldValueMappings"):
        read_dicom(mapped(tmp_path / "a.dcm", (0.001, 0), (1, 0)))


def test_a_mapping_that_is_a_table_is_refused(tmp_path):
    path = mapped(tmp_path / "a.dcm", (1, 0))
    data = pydicom.dcmread(path)
    del data.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0].RealWorldValueSlope
    data.save_as(path)
    with pytest.raises(UnreadableScan, match="a table"):
        read_dicom(path)


def test_what_a_vendor_keeps_in_a_sequence_of_its_own_is_no_group_of_a_frame(tmp_path):
    path = write_enhanced(tmp_path / "a.dcm")
    data = pydicom.dcmread(path)
    own = pydicom.Dataset()
    own.RescaleSlope, own.PixelSpacing, own.ImageOrientationPatient = 7, [3, 3], [0, 1, 0, 0, 0, 1]
    for frame in data.PerFrameFunctionalGroupsSequence:
        frame.add_new(0x20050010, "LO", "A VENDOR")
        frame.add_new(0x2005100F, "SQ", [own])
    data.save_as(path)
    slices = read_file(path)
    assert [s.slope for s in slices] == [1, 2, 0.5]
    assert {s.spacing_mm for s in slices} == {(0.8, 0.7)}
    np.testing.assert_array_equal(slices[0].directions, [[1, 0, 0], [0, 1, 0]])
