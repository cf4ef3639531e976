import pytest
from pydantic import ValidationError

from segtrain.core.errors import ConfigError, DataError
from segtrain.data.cases import find_cases, find_scans, mask_files
from segtrain.data.settings import DataSettings
from tests import phantoms
from tests.data.dicom_phantoms import write_series
from tests.data.folders import write_folders, write_scan
from tests.data.rtstruct_phantoms import write_rtstruct


def settings(folder, images, labels=(), **more):
    images, labels = write_folders(folder, images, labels)
    return DataSettings(**{"images": images, "labels": labels, **more})


def faults(data):
    with pytest.raises(DataError) as error:
        find_cases(data)
    assert error.value.exit_code == 3
    return error.value


def test_files_of_one_name_are_a_case_and_come_sorted(tmp_path):
    cases = find_cases(settings(tmp_path, ["b", "a.nii", "c.d"], ["a", "c.d.nii", "b"]))
    assert [c.id for c in cases] == ["a", "b", "c.d"]
    assert [c.patient for c in cases] == ["a", "b", "c.d"]
    assert cases[0].images[0].path.name == "a.nii"
    assert cases[0].label.path.name == "a.nii.gz"


def test_every_fault_of_a_folder_is_told_at_once(tmp_path):
    data = settings(tmp_path, ["a", "x", "x.nii", "alone"], ["a", "x", "widow"], patient_from=r"(\d)")
    (tmp_path / "images" / "y.npz").write_text("x")
    message = str(faults(data))
    for words in ("image alone has no label", "label widow has no image", "x is there twice", "y.npz", "case id a"):
        assert words in message


def test_both_missing_folders_are_told():
    data = DataSettings(images="nowhere/images", labels="nowhere/labels")
    assert len(faults(data).problems) == 2


def test_an_empty_folder_is_told(tmp_path):
    assert "empty" in str(faults(settings(tmp_path, [], ["a"])))


def test_what_the_settings_leave_out_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match=r"data\.labels"):
        find_cases(DataSettings(images=tmp_path))
    with pytest.raises(ConfigError, match=r"data\.images"):
        find_cases(DataSettings(labels=tmp_path))
    with pytest.raises(ConfigError, match=r"data\.root"):
        find_cases(DataSettings(layout="dicom", channels={"T1": "*"}, label="*"))
    with pytest.raises(ConfigError, match=r"data\.label\b"):
        find_cases(DataSettings(layout="dicom", root=tmp_path, channels={"T1": "*"}))


def test_channels_are_grouped_by_their_number_in_the_order_of_the_names(tmp_path):
    data = settings(tmp_path, ["a_0001", "a_0000", "b_0000", "b_0001"], ["a", "b"], channels=("T1", "FLAIR"))
    a, b = find_cases(data)
    assert [s.path.name for s in a.images] == ["a_0000.nii.gz", "a_0001.nii.gz"]
    assert (b.id, b.label.path.name) == ("b", "b.nii.gz")


def test_missing_and_surplus_channels_are_named(tmp_path):
    data = settings(tmp_path, ["a_0000", "b_0000", "b_0001", "b_0002", "c"], ["a", "b"], channels=("T1", "FLAIR"))
    message = str(faults(data))
    for words in ("case a has no channel FLAIR", "a_0001", "b_0002.nii.gz", "c.nii.gz"):
        assert words in message


def test_a_channel_number_on_every_file_of_one_channel_is_no_part_of_the_case(tmp_path):
    assert [c.id for c in find_cases(settings(tmp_path / "1", ["a_0000", "b_0000"], ["a", "b"]))] == ["a", "b"]
    assert [c.id for c in find_cases(settings(tmp_path / "2", ["a_0000", "b"], ["a_0000", "b"]))] == ["a_0000", "b"]
    assert [c.id for c in find_cases(settings(tmp_path / "3", ["a_0000"], ["a_0000"]))] == ["a"]


def test_patients_are_found_by_group_or_whole_match(tmp_path):
    data = settings(tmp_path, ["P1_t0", "P1_t1", "P2_t0"], ["P1_t0", "P1_t1", "P2_t0"], patient_from=r"(P\d+)_")
    assert [c.patient for c in find_cases(data)] == ["P1", "P1", "P2"]
    whole = data.model_copy(update={"patient_from": r"^P\d"})
    assert [c.patient for c in find_cases(whole)] == ["P1", "P1", "P2"]
    with pytest.raises(ConfigError, match="no regular expression"):
        find_cases(data.model_copy(update={"patient_from": "(P"}))


def test_scans_to_predict_need_no_labels_and_keep_those_that_are_named(tmp_path):
    data = settings(tmp_path, ["a", "b"], ["a", "widow"])
    scans = find_scans(data, tmp_path / "images")
    assert [(c.id, c.label, scans.faults) for c in scans.cases] == [("a", None, ()), ("b", None, ())]
    scans = find_scans(data, tmp_path / "images", tmp_path / "labels")
    assert [c.id for c in scans.cases] == ["a"]
    assert [(case, p.what) for case, p in scans.faults] == [
        ("b", "image b has no label"),
        ("widow", "label widow has no image"),
    ]
    with pytest.raises(DataError, match="label widow") as error:
        scans.require_all()
    assert len(error.value.problems) == 2


def test_one_odd_entry_costs_no_other_scan(tmp_path):
    data = settings(tmp_path, ["a", "b", "b.nii", "c"])
    (tmp_path / "images" / "notes").mkdir()
    (tmp_path / "images" / "d.npz").write_text("x")
    scans = find_scans(data, tmp_path / "images")
    assert [c.id for c in scans.cases] == ["a", "c"]
    assert [case for case, _ in scans.faults] == ["b", "d.npz", "notes"]


def test_a_missing_channel_costs_its_own_case_only(tmp_path):
    data = settings(tmp_path, ["a_0000", "a_0001", "b_0001", "c_0000", "c_0001", "c_0001.nii"], channels=("T1", "T2"))
    scans = find_scans(data, tmp_path / "images")
    assert ([c.id for c in scans.cases], [case for case, _ in scans.faults]) == (["a"], ["c", "b"])


def test_without_a_single_scan_that_can_be_used_nothing_is_done(tmp_path):
    (tmp_path / "images" / "notes").mkdir(parents=True)
    with pytest.raises(DataError, match="notes"):
        find_scans(DataSettings(), tmp_path / "images")
    with pytest.raises(DataError, match="no such folder"):
        find_scans(DataSettings(), tmp_path / "none")


def test_files_without_a_channel_number_hold_all_channels(tmp_path):
    data = settings(tmp_path, ["a", "b"], ["a", "b"], channels=("T1", "T2"))
    assert [(c.id, len(c.images)) for c in find_cases(data)] == [("a", 1), ("b", 1)]


def test_dicom_sub_folders_are_cases_beside_nifti_labels(tmp_path):
    write_series(tmp_path / "images" / "P1", PatientID="77")
    write_series(tmp_path / "images" / "P2", PatientID="77")
    cases = find_cases(settings(tmp_path, [], ["P1", "P2"]))
    assert [c.id for c in cases] == ["P1", "P2"]
    assert cases[0].patient == cases[1].patient != "P1"
    assert cases[0].images[0].series_uid


def test_a_patient_of_the_headers_is_not_divided_by_the_names(tmp_path):
    for name, number in (("A_1", "77"), ("A_2", "77"), ("B_1", "78"), ("C_1", "77")):
        write_series(tmp_path / "images" / name, PatientID=number)
    names = ["A_1", "A_2", "B_1", "C_1"]
    (problem,) = faults(settings(tmp_path, [], names, patient_from="^(.)")).problems
    assert problem.where == "cases A_1 and C_1"
    assert problem.why.endswith("says A and C")


def test_a_patient_id_that_all_scans_have_tells_nothing(tmp_path):
    for name in ("A_1", "B_1"):
        write_series(tmp_path / "images" / name, PatientID="anonymous")
    data = settings(tmp_path, [], ["A_1", "B_1"], patient_from="^(.)")
    assert [c.patient for c in find_cases(data)] == ["A", "B"]


def test_masks_of_a_folder_by_case(tmp_path):
    write_folders(tmp_path, ["b", "a.nii"], ["a", "a.nii", "b"])
    assert {k: v.name for k, v in mask_files(tmp_path / "images").files.items()} == {"a": "a.nii", "b": "b.nii.gz"}
    doubled = mask_files(tmp_path / "labels")
    assert (list(doubled.files), [case for case, _ in doubled.faults]) == (["b"], ["a"])
    (tmp_path / "labels" / "b.nii.gz").unlink()
    with pytest.raises(DataError, match="twice"):
        mask_files(tmp_path / "labels")
    with pytest.raises(DataError, match="no such folder"):
        mask_files(tmp_path / "none")
    write_series(tmp_path / "dicom" / "P1")
    assert mask_files(tmp_path / "dicom").files == {"P1": tmp_path / "dicom" / "P1"}


def test_two_folders_may_be_read_elsewhere(tmp_path):
    data = settings(tmp_path / "old", ["a_0000", "a_0001"], ["a"], channels=("T1", "T2"), patient_from="a")
    images, labels = write_folders(tmp_path / "new", ["ba_0000", "ba_0001"], ["ba"])
    (case,) = find_scans(data, images, labels).cases
    assert (case.id, case.patient, len(case.images)) == ("ba", "a", 2)
    assert find_scans(data, images).cases[0].label is None


def test_a_dicom_tree_may_be_read_elsewhere_with_labels_of_three_kinds(tmp_path):
    data = DataSettings(layout="dicom", root="old", case="*", channels={"T1": "T1"}, label="Mask")
    for name in ("T1", "Mask"):
        write_series(tmp_path / "new" / "P1" / name, SeriesDescription=name)
    assert find_scans(data, tmp_path / "new").cases[0].label is None
    assert find_scans(data, tmp_path / "new", tmp_path / "new").cases[0].label.path.name == "Mask"
    write_scan(tmp_path / "masks" / "P1.nii.gz")
    assert find_scans(data, tmp_path / "new", tmp_path / "masks").cases[0].label.path.name == "P1.nii.gz"
    write_scan(tmp_path / "flat" / "P9.nii.gz")
    (case,) = find_scans(data, tmp_path / "flat").cases
    assert (case.id, case.label) == ("P9", None)


def test_masks_have_one_place_only():
    with pytest.raises(ValidationError, match="give one"):
        DataSettings(layout="dicom", root="r", channels={"T1": "*"}, label="*Mask*", labels="masks")


def test_the_200_real_cases_are_found():
    folder = phantoms.real_data("hippocampus")
    cases = find_cases(DataSettings(images=folder / "images", labels=folder / "labels", patient_from=r"_(\d+)"))
    assert len({c.patient for c in cases}) == len(cases) == 200


def test_the_planted_defects_are_told():
    folder = phantoms.real_data("awkward") / "nifti" / "planted_defects"
    message = str(faults(DataSettings(images=folder / "images", labels=folder / "labels")))
    assert "image hippocampus_118 has no label" in message
    assert "label hippocampus_010 has no image" in message


def test_files_of_two_patients_are_no_case(tmp_path):
    write_series(tmp_path / "images" / "P1", PatientID="77")
    write_rtstruct(tmp_path / "labels" / "P1.dcm", {"organ": []}, PatientID="78")
    data = DataSettings(images=tmp_path / "images", labels=tmp_path / "labels")
    (problem,) = faults(data).problems
    assert (problem.what, problem.cases) == ("the files of a case are of several patients", ("P1",))
    assert problem.where == f"case P1, {tmp_path}/images/P1, {tmp_path}/labels/P1.dcm"
    for number, patient in enumerate(("77", "78")):
        write_series(tmp_path / "channels" / f"P1_000{number}", PatientID=patient)
    with pytest.raises(DataError, match="several patients"):
        find_scans(DataSettings(channels=("a", "b")), tmp_path / "channels")
    (tmp_path / "cases.csv").write_text("case,image,label,patient\nx,images/P1,labels/P1.dcm,P1\n")
    assert "several patients" in str(faults(DataSettings(table=tmp_path / "cases.csv")))


@pytest.mark.parametrize(("made", "what"), [(True, "there is no table of scans"), (False, "no such folder or table")])
def test_a_run_that_was_trained_from_a_table_says_what_it_wants(tmp_path, made, what):
    place = tmp_path / "new"
    if made:
        (place / "P1").mkdir(parents=True)
    with pytest.raises(DataError, match=what) as error:
        find_scans(DataSettings(table=tmp_path / "cases.csv"), place)
    assert "segtrain init DIR" in error.value.problems[0].hint
