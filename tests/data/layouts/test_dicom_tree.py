import pytest

from segtrain.core.errors import ConfigError, DataError
from segtrain.data.cases import find_cases
from segtrain.data.dicom.headers import looks_like_dicom
from segtrain.data.faults import Faults
from segtrain.data.layouts import dicom_tree
from segtrain.data.layouts.dicom_tree import MOST_OPENED, scans_outside, tree_cases
from segtrain.data.settings import DataSettings
from tests import phantoms
from tests.data.dicom_phantoms import write_series
from tests.data.folders import write_scan
from tests.data.rtstruct_phantoms import write_rtstruct
from tests.faults.table import fault


def study(folder, patient="1", **names):
    """One series for each folder name, with its description."""
    for name, description in names.items():
        write_series(folder / name, SeriesDescription=description, PatientID=patient)


def tree(root, **more):
    channels = {"T1": "T1*", "FLAIR": "*flair*"}
    plain = {"layout": "dicom", "root": root, "case": "*/*", "channels": channels, "label": "*Mask*"}
    return DataSettings(**{**plain, **more})


def faults(data):
    with pytest.raises(DataError) as error:
        find_cases(data)
    return str(error.value)


def test_patterns_match_folder_or_description_in_any_case(tmp_path):
    study(tmp_path / "A" / "t0", T1post="x", s2="FLAIR_reg", s3="MaskTumor")
    study(tmp_path / "A" / "t1", s1="t1 post", FlairReg="y", mask="z")
    cases = find_cases(tree(tmp_path))
    assert [c.id for c in cases] == ["A_t0", "A_t1"]
    assert [s.path.name for s in cases[0].images] == ["T1post", "s2"]
    assert [s.path.name for s in cases[1].images] == ["s1", "FlairReg"]
    assert [c.label.path.name for c in cases] == ["s3", "mask"]


def test_patients_are_those_of_the_headers_under_another_name(tmp_path):
    for case, patient in (("a", "Tweety"), ("b", "Tweety"), ("c", "Sylvester")):
        study(tmp_path / case / "t0", patient, T1="", flair="", Mask="")
    a, b, c = find_cases(tree(tmp_path))
    assert a.patient == b.patient != c.patient
    assert "Tweety" not in repr([a, b, c])
    assert "two cases of one patient are taken for two" in faults(tree(tmp_path, patient_from="^."))


def test_several_series_in_one_folder_are_told_apart(tmp_path):
    for name, uid in (("T1", "1.2.1"), ("flair", "1.2.2"), ("Mask", "1.2.3")):
        for path in write_series(tmp_path / "A" / "t0" / "all", uid=uid, SeriesDescription=name):
            path.rename(path.with_name(f"{uid}_{path.name}"))
    (case,) = find_cases(tree(tmp_path))
    assert [s.series_uid for s in (*case.images, case.label)] == ["1.2.1", "1.2.2", "1.2.3"]


def test_a_mask_may_be_a_nifti_file_in_the_tree(tmp_path):
    study(tmp_path / "A" / "t0", T1="", flair="")
    write_scan(tmp_path / "A" / "t0" / "mask.nii.gz")
    assert find_cases(tree(tmp_path))[0].label.path.name == "mask.nii.gz"


def test_a_mask_may_be_drawn_on_a_series(tmp_path):
    """SEG and RTSTRUCT, found by file, folder or description."""
    for case, names in (("A", ("rt", "Mask.dcm")), ("B", ("MaskRT", "x.dcm")), ("C", ("rt", "x.dcm"))):
        study(tmp_path / case / "t0", T1="", flair="")
        description = {"SeriesDescription": "the mask"} if case == "C" else {}
        write_rtstruct(tmp_path / case / "t0" / names[0] / names[1], {"organ": []}, PatientID="1", **description)
    assert [case.label.path.name for case in find_cases(tree(tmp_path))] == ["Mask.dcm", "x.dcm", "x.dcm"]


def test_a_mask_of_another_patient_is_told(tmp_path):
    study(tmp_path / "A" / "t0", T1="", flair="")
    write_rtstruct(tmp_path / "A" / "t0" / "mask.dcm", {"organ": []}, PatientID="2")
    assert "several patients" in faults(tree(tmp_path))


def test_every_missing_or_doubtful_series_is_named_with_what_is_there(tmp_path):
    study(tmp_path / "A" / "t0", T1="", Mask="")
    study(tmp_path / "B" / "t0", T1a="", T1b="", flair="", Mask="")
    message = faults(tree(tmp_path))
    for words in ("no series is the channel FLAIR", "2 series could be the channel T1", "T1a", "T1b", "A/t0"):
        assert words in message


def test_damaged_slices_are_told_with_the_other_faults(tmp_path):
    study(tmp_path / "A" / "t0", T1="", flair="", Mask="")
    study(tmp_path / "B" / "t0", T1="")
    broken = next((tmp_path / "A" / "t0" / "T1").iterdir())
    broken.write_bytes(broken.read_bytes()[:-30])
    message = faults(tree(tmp_path))
    assert broken.name in message
    assert "FLAIR" in message


def test_series_of_two_patients_are_no_case(tmp_path):
    study(tmp_path / "A" / "t0", "1", T1="", flair="")
    study(tmp_path / "A" / "t0", "2", Mask="")
    assert "several patients" in faults(tree(tmp_path))


def test_a_pattern_of_cases_that_matches_nothing_or_leaves_the_root(tmp_path):
    study(tmp_path / "A", T1="", flair="", Mask="")
    assert "data.case" in faults(tree(tmp_path, case="x/*"))
    assert "no such folder" in faults(tree(tmp_path / "none"))
    for pattern in ("../*", "/*", " ", ".", "./", "**x", "*/a**"):
        with pytest.raises(ConfigError, match=r"data\.case"):
            find_cases(tree(tmp_path, case=pattern))


def test_the_root_itself_is_no_case(tmp_path):
    study(tmp_path / "A", T1="", flair="", Mask="")
    assert list(tree_cases(tree(tmp_path, case="**"), tmp_path, Faults())) == ["A"]


def test_two_folders_of_one_case_id_are_told(tmp_path):
    study(tmp_path / "a_b" / "c", T1="", flair="", Mask="")
    study(tmp_path / "a" / "b_c", T1="", flair="", Mask="")
    assert "case a_b_c" in faults(tree(tmp_path))


@fault("F9", "a series one level above the folders that data.case means", then="a note with the number and the names")
def test_scans_in_no_folder_of_a_case_are_found_by_name_and_mark(tmp_path):
    study(tmp_path / "A" / "t0", T1="", flair="", Mask="")
    for path, name in zip(write_series(tmp_path / "B"), ("IM1", "IM2", "c.dcm", "DICOMDIR"), strict=True):
        path.rename(path.with_name(name))
    write_scan(tmp_path / "over.nii.gz")
    write_scan(tmp_path / "masks" / "A_t0.nii.gz")
    for name in ("B/notes.txt", "B/.hidden.dcm", "report.pdf"):
        (tmp_path / name).write_text("no scan")
    found = scans_outside(tree(tmp_path, label=None, labels=tmp_path / "masks"), tmp_path)
    assert found.unopened == 0
    names = [path.relative_to(tmp_path).as_posix() for path in found.scans]
    assert names == ["B/IM1", "B/IM2", "B/c.dcm", "over.nii.gz"]


def test_only_so_many_files_are_opened_and_the_others_are_counted(tmp_path, monkeypatch):
    study(tmp_path / "A" / "t0", T1="", flair="", Mask="")
    for n in range(MOST_OPENED + 3):
        (tmp_path / f"{n:04}.txt").write_text("no scan")
    write_series(tmp_path / "B")
    opened = []
    monkeypatch.setattr(dicom_tree, "looks_like_dicom", lambda path: opened.append(path) or looks_like_dicom(path))
    found = scans_outside(tree(tmp_path), tmp_path)
    assert (len(opened), found.unopened) == (MOST_OPENED, 3)
    assert len(found.scans) == 4, "their names tell: none of them has to be opened"


def test_the_real_tree_holds_three_studies_of_two_patients():
    channels = {"T1post": "*T1post*", "FLAIR": "*FLAIR*"}
    cases = find_cases(tree(phantoms.real_data("pgbm_dicom"), channels=channels, label="*MaskTumor*"))
    assert [c.id for c in cases] == ["PGBM-001_04-02-1992", "PGBM-001_11-19-1991", "PGBM-008_06-10-1993"]
    assert cases[0].patient == cases[1].patient != cases[2].patient
    assert [s.path.name for s in cases[0].images] == ["T1post", "FLAIRreg"]
