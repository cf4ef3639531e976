"""What does not belong to one scan, by the headers of its slices alone."""

from __future__ import annotations

import numpy as np
import pytest

from segtrain.data.dicom.scan import read_dicom
from tests.data.dicom.test_geometry import refusal
from tests.data.dicom_phantoms import pixels_of, write_series, write_slice
from tests.faults.table import fault


@pytest.mark.parametrize(
    ("elements", "word"),
    [
        ({"PixelSpacing": [1.0, 1.0]}, "pixel spacings"),
        ({"FrameOfReferenceUID": "1.2.4"}, "frames of reference"),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "photometric"),
    ],
)
def test_slices_that_differ_otherwise_than_in_size_and_direction_are_refused(tmp_path, elements, word):
    write_series(tmp_path, uid="1.2.9")
    write_slice(tmp_path / "x.dcm", pixels_of(9)[: elements.get("Rows", 6)], "1.2.9", (0, 0, 10), **elements)
    message = refusal(tmp_path)
    assert word in message
    assert "1 of 5" in message or "4 of 5" in message


@pytest.mark.parametrize(
    "elements", [{"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, {"Rows": 3}], ids=["direction", "size"]
)
@fault("F9", "a localizer under the same UID", then="read without it, and said")
def test_a_localizer_within_the_series_is_left_out_and_said(tmp_path, elements):
    write_series(tmp_path, uid="1.2.9")
    write_slice(tmp_path / "x.dcm", pixels_of(9)[: elements.get("Rows", 6)], "1.2.9", (0, 0, 10), **elements)
    scan = read_dicom(tmp_path)
    assert scan.grid.shape == (5, 6, 4)
    assert scan.notes == ("1 slices of another size or direction are left out (a localizer?), as x.dcm",)


@pytest.mark.parametrize("degrees", [0.26, 5])
def test_slices_that_are_turned_a_little_are_not_left_out_but_refused(tmp_path, degrees):
    """Without its last slices the scan would end too early, and nothing but a note would say so."""
    turn = np.radians(degrees)
    for n in range(10):
        more = {"directions": (1, 0, 0, 0, np.cos(turn), np.sin(turn))} if n > 7 else {}
        write_slice(tmp_path / f"{n}.dcm", pixels_of(n), "1.2.9", (0, 0, 2.5 * n), **more)
    assert "mixes orientations" in refusal(tmp_path)


def test_two_stacks_of_which_none_is_the_larger_are_refused(tmp_path):
    write_series(tmp_path / "a", uid="1.2.9")
    write_series(tmp_path / "b", uid="1.2.9", ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    assert "orientations" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_a_slice_without_a_place_is_named(tmp_path, name):
    write_series(tmp_path, **{name: None})
    message = refusal(tmp_path)
    assert name in message
    assert ".dcm" in message


def test_directions_that_are_no_axes_are_refused(tmp_path):
    write_series(tmp_path, ImageOrientationPatient=[0, 0, 0, 0, 0, 0])
    assert "ImageOrientationPatient" in refusal(tmp_path)


def test_files_of_frames_without_a_place_are_refused_in_words(tmp_path):
    write_slice(tmp_path / "a.dcm", np.zeros((18, 5)), "1.2.9", (0, 0, 0), NumberOfFrames=3)
    message = refusal(tmp_path)
    assert "do not say where they lie" in message
    assert "3 frames" in message


@pytest.mark.parametrize(
    ("name", "word"), [("PatientID", "patients"), ("StudyInstanceUID", "studies")], ids=["patients", "studies"]
)
@fault("F8", "slices of two patients, or studies, in one DICOM series", then="refused, without a name or number")
def test_slices_of_two_patients_are_no_scan_and_neither_is_named(tmp_path, name, word):
    write_series(tmp_path / "a", (0, 2.5, 5), uid="1.2.9", **{name: "1.9.4711"})
    write_series(tmp_path / "b", (7.5, 10), uid="1.2.9", **{name: "1.9.4712"})
    message = refusal(tmp_path)
    assert f"mixes {word}" in message
    assert "2 of 5" in message
    assert not any(canary in message for canary in ("4711", "4712", "Canary"))


def test_a_slice_that_does_not_say_whose_it_is_is_read(tmp_path):
    write_series(tmp_path / "a", (0, 2.5, 5), uid="1.2.9")
    write_series(tmp_path / "b", (7.5, 10), uid="1.2.9", PatientID=None, StudyInstanceUID=None)
    assert read_dicom(tmp_path).grid.shape == (5, 6, 5)


def test_a_study_a_file_is_no_mixture(tmp_path):
    """Some anonymisers give every file one of its own; only what several slices share tells them apart."""
    for n in range(4):
        write_slice(tmp_path / f"{n}.dcm", pixels_of(n), "1.2.9", (0, 0, 2.5 * n), StudyInstanceUID=f"1.3.{n}")
    assert read_dicom(tmp_path).grid.shape == (5, 6, 4)


@fault("F9", "a Siemens mosaic", then="refused, and dcm2niix is named")
def test_a_mosaic_is_not_read_as_one_slice(tmp_path):
    write_slice(tmp_path / "a.dcm", pixels_of(0), "1.2", (0, 0, 0), ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])
    message = refusal(tmp_path)
    assert "mosaic" in message
    assert "dcm2niix" in message
