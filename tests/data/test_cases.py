import pytest
from pydantic import ValidationError

from segtrain.core.errors import ConfigError, DataError
from segtrain.data.cases import find_cases, find_scans, mask_files, relocated
from segtrain.data.settings import DataSettings
from tests import phantoms
from tests.data.dicom_phantoms import write_series
from tests.data.folders import write_folders, write_scan


def settings(folder, images, labels=(), **more):
    images, labels = write_folders(folder, images, labels)
    return DataSettings(**{"images": images, "labels": labels, **more})


def faults(data, find=find_cases):
    with pytest.raises(DataError) as error:
        find(data)
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
    (tmp_path / "images" / "y.mha").write_text("x")
    message = str(faults(data))
    for words in ("image alone has no label", "label widow has no image", "x is there twice", "y.mha", "case id a"):
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
        find_scans(DataSettings())
    with pytest.raises(ConfigError, match=r"data\.root"):
        find_scans(DataSettings(layout="dicom", channels={"T1": "*"}))
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


def test_scans_to_predict_need_no_labels_but_all_of_those_that_are_named(tmp_path):
    data = settings(tmp_path, ["a", "b"], ["a"])
    unlabelled = find_scans(data.model_copy(update={"labels": None}))
    assert [(c.id, c.label) for c in unlabelled] == [("a", None), ("b", None)]
    assert "image b has no label" in str(faults(data, find_scans))


def test_dicom_sub_folders_are_cases_beside_nifti_labels(tmp_path):
    write_series(tmp_path / "images" / "P1", PatientID="77")
    write_series(tmp_path / "images" / "P2", PatientID="77")
    cases = find_cases(settings(tmp_path, [], ["P1", "P2"]))
    assert [c.id for c in cases] == ["P1", "P2"]
    assert cases[0].patient == cases[1].patient != "P1"
    assert cases[0].images[0].series_uid


def test_masks_of_a_folder_by_case(tmp_path):
    write_folders(tmp_path, ["b", "a.nii"], ["a", "a.nii"])
    assert {k: v.name for k, v in mask_files(tmp_path / "images").items()} == {"a": "a.nii", "b": "b.nii.gz"}
    with pytest.raises(DataError, match="twice"):
        mask_files(tmp_path / "labels")
    with pytest.raises(DataError, match="no such folder"):
        mask_files(tmp_path / "none")
    write_series(tmp_path / "dicom" / "P1")
    with pytest.raises(DataError, match="no NIfTI mask"):
        mask_files(tmp_path / "dicom")


def test_two_folders_may_be_read_elsewhere(tmp_path):
    data = settings(tmp_path / "old", ["a_0000", "a_0001"], ["a"], channels=("T1", "T2"), patient_from="a")
    images, labels = write_folders(tmp_path / "new", ["ba_0000", "ba_0001"], ["ba"])
    (case,) = find_scans(relocated(data, images, labels))
    assert (case.id, case.patient, len(case.images)) == ("ba", "a", 2)
    assert find_scans(relocated(data, images, None))[0].label is None


def test_a_dicom_tree_may_be_read_elsewhere_with_labels_of_three_kinds(tmp_path):
    data = DataSettings(layout="dicom", root="old", case="*", channels={"T1": "T1"}, label="Mask")
    for name in ("T1", "Mask"):
        write_series(tmp_path / "new" / "P1" / name, SeriesDescription=name)
    assert find_scans(relocated(data, tmp_path / "new", None))[0].label is None
    assert find_scans(relocated(data, tmp_path / "new", tmp_path / "new"))[0].label.path.name == "Mask"
    write_scan(tmp_path / "masks" / "P1.nii.gz")
    assert find_scans(relocated(data, tmp_path / "new", tmp_path / "masks"))[0].label.path.name == "P1.nii.gz"
    write_scan(tmp_path / "flat" / "P9.nii.gz")
    (case,) = find_scans(relocated(data, tmp_path / "flat", None))
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
