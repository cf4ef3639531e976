import warnings

import pytest
from pydicom.uid import MRSpectroscopyStorage, RTStructureSetStorage, SegmentationStorage

from segtrain.core.errors import UnreadableScan
from segtrain.data.dicom.headers import list_series, looks_like_dicom, read_folder
from tests import phantoms
from tests.data.dicom_phantoms import header, pixels_of, write_series, write_slice
from tests.faults.table import fault


def test_series_are_told_apart_wherever_their_files_lie(tmp_path):
    write_series(tmp_path / "b" / "one", uid="1.2.1", SeriesDescription="T1")
    write_series(tmp_path / "a", (0, 1), uid="1.2.2", SeriesDescription="T2", Modality="MR")
    found = list_series(tmp_path)
    assert [(s.description, s.n, s.modality, s.folder.name) for s in found] == [
        ("T2", 2, "MR", "a"),
        ("T1", 4, "CT", "one"),
    ]
    assert list(found[0].files) == sorted(found[0].files)


def test_no_series_is_no_error_and_no_folder_is_one(tmp_path):
    assert list_series(tmp_path) == []
    with pytest.raises(UnreadableScan, match="no such folder"):
        list_series(tmp_path / "x")


@fault("F9", "junk among the slices", then="read without it")
def test_junk_and_hidden_files_and_what_is_no_image_are_passed_over(tmp_path):
    paths = write_series(tmp_path)
    (tmp_path / "notes").write_text("no dicom")
    (tmp_path / "DICOMDIR.txt").write_text("")
    (tmp_path / "._001.dcm").write_text("left by a Mac")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "a.dcm").write_text("")
    write_slice(tmp_path / "seg.dcm", pixels_of(0), "1.2.7", (0, 0, 0), SOPClassUID=SegmentationStorage)
    report = header(tmp_path / "rt.dcm", "1.2.8", (0, 0, 0), SOPClassUID=RTStructureSetStorage, Rows=None)
    report.save_as(tmp_path / "rt.dcm", enforce_file_format=True)
    assert {h.path for h in read_folder(tmp_path).slices} == set(paths)


@fault("F9", "MR Spectroscopy beside the slices", then="read without it")
def test_spectroscopy_has_rows_and_is_no_image(tmp_path):
    paths = write_series(tmp_path, Modality="MR")
    spectra = header(tmp_path / "s.dcm", "1.2.8", (0, 0, 0), SOPClassUID=MRSpectroscopyStorage, Rows=1, Columns=1)
    spectra.DataPointRows, spectra.DataPointColumns = 1, 8
    spectra.SpectroscopyData = b"\0" * 64
    spectra.save_as(tmp_path / "s.dcm", enforce_file_format=True)
    assert {h.path for h in read_folder(tmp_path).slices} == set(paths)


@fault("F9", "slices without a suffix", then="read")
def test_files_need_no_suffix(tmp_path):
    for path in write_series(tmp_path):
        path.rename(path.with_suffix(""))
    assert len(read_folder(tmp_path).slices) == 4


@pytest.mark.parametrize("keep", [-10, 700, 300, 133, 0])
@fault("F1", "DICOM slices cut short", then="refused, every slice is named")
def test_every_truncated_slice_is_named(tmp_path, keep):
    broken = write_series(tmp_path)[1:3]
    for path in broken:
        path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UnreadableScan) as error:
        list_series(tmp_path)
    assert len(error.value.problems) == 2
    assert all(path.name in str(error.value) for path in broken)


def test_a_text_named_dcm_is_refused(tmp_path):
    (tmp_path / "a.dcm").write_text("<html>" * 100)
    with pytest.raises(UnreadableScan, match=r"a\.dcm"):
        list_series(tmp_path)


@fault("F33", "a patient's name in DICOM headers", then="kept out of everything that is read of them")
def test_no_name_of_a_patient_leaves_the_border(tmp_path):
    write_series(tmp_path / "a", PatientID="ID4711")
    write_series(tmp_path / "b", PatientID=" ID4711 ")
    write_series(tmp_path / "c", PatientID="ID4712")
    write_series(tmp_path / "d", PatientID=None)
    a, b, c, d = list_series(tmp_path)
    assert a.patient_id == b.patient_id != c.patient_id
    assert a.patient_id.startswith("p_")
    assert len(a.patient_id) == 10
    assert d.patient_id == ""
    shown = repr(list_series(tmp_path)) + repr(read_folder(tmp_path))
    assert "Canary" not in shown
    assert "ID4711" not in shown  # random UIDs hold any number


def test_sloppy_headers_are_read_without_a_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_series(tmp_path, Modality="CT" * 20, SeriesDescription="x" * 300)
    assert list_series(tmp_path)[0].n == 4


def test_dicom_is_known_by_its_mark(tmp_path):
    (path, *_) = write_series(tmp_path)
    assert looks_like_dicom(path)
    (tmp_path / "short").write_text("x")
    assert not looks_like_dicom(tmp_path / "short")


def test_a_real_folder_of_ct_and_rtstruct_holds_one_series():
    folder = phantoms.real_data("awkward") / "dicom" / "rt_utils" / "mock_data"
    (series,) = list_series(folder)
    assert (series.modality, series.n) == ("CT", 2)
