"""nnU-Net's raw data sets and tasks of the Decathlon, as they lie on the disk."""

from __future__ import annotations

import pytest

from segtrain.core.errors import ConfigError, DataError
from segtrain.data.cases import find_cases, find_scans
from segtrain.data.settings import DataSettings
from tests.data.data_sets import write_decathlon, write_nnunet
from tests.data.folders import write_scan
from tests.faults.table import fault


def settings(root, layout="nnunet", channels=("MRI",)):
    return DataSettings(layout=layout, root=root, channels=channels)


def refused(data):
    with pytest.raises(DataError) as error:
        find_cases(data)
    return [f"{p.what} {p.why}" for p in error.value.problems]


def test_nnunet_pairs_channels_and_masks_by_name(tmp_path):
    root = write_nnunet(tmp_path, ["b", "a"], ["T1", "FLAIR"])
    a, b = find_cases(settings(root, channels=("T1", "FLAIR")))
    assert [s.path.name for s in a.images] == ["a_0000.nii.gz", "a_0001.nii.gz"]
    assert (b.id, b.label.path) == ("b", root / "labelsTr" / "b.nii.gz")


def test_version_1_of_nnunet_lists_names_that_no_file_has(tmp_path):
    old = {"modality": {"0": "MRI"}, "channel_names": None, "file_ending": None}
    training = [{"image": "./imagesTr/h_001.nii.gz", "label": "./labelsTr/h_001.nii.gz"}]
    write_nnunet(tmp_path, ["h_001"], **old, training=training, labels={"0": "background", "1": "x"})
    assert [c.id for c in find_cases(settings(tmp_path))] == ["h_001"]


def test_the_key_dataset_names_files_in_any_folder_of_the_root(tmp_path):
    write_scan(tmp_path / "scans" / "one.nii.gz")
    write_scan(tmp_path / "masks" / "one.nii.gz")
    entry = {"images": ["scans/one.nii.gz"], "label": "masks/one.nii.gz"}
    write_nnunet(tmp_path, [], dataset={"first": entry}, numTraining=1)
    (case,) = find_cases(settings(tmp_path))
    assert (case.id, case.images[0].path.parent.name, case.label.path.parent.name) == ("first", "scans", "masks")


def test_every_fault_of_an_nnunet_folder_is_told(tmp_path):
    root = write_nnunet(tmp_path, ["a", "b", "c"], ["T1", "T2"])
    (root / "imagesTr" / "a_0001.nii.gz").unlink()
    (root / "labelsTr" / "b.nii.gz").unlink()
    write_scan(root / "labelsTr" / "widow.nii.gz")
    write_scan(root / "imagesTr" / "odd.nii.gz")
    write_scan(root / "imagesTr" / "c_0002.nii.gz")
    told = "\n".join(refused(settings(root, channels=("T1", "PD"))))
    for words in (
        "channels are not those of dataset.json data.channels is [T1, PD], dataset.json has [T1, T2]",
        "a file is missing",
        "image b has no label",
        "label widow has no image imagesTr has no widow_0000.nii.gz",
        "a scan is no channel",
    ):
        assert words in told


def test_a_count_that_does_not_agree_and_folders_that_are_not_there(tmp_path):
    told = refused(settings(write_nnunet(tmp_path / "1", numTraining=9)))
    assert "numTraining is 9, and the folders hold 2 cases" in told[0]
    root = write_nnunet(tmp_path / "2", [], numTraining=0)
    assert refused(settings(root)) == ["there is no such folder "] * 2
    assert "no file ends in '.mha'" in refused(settings(write_nnunet(tmp_path / "3", file_ending=".mha")))[0]
    with pytest.raises(ConfigError, match=r"data\.root"):
        find_cases(DataSettings(layout="nnunet"))


def test_the_decathlon_names_its_pairs_and_a_file_holds_all_channels(tmp_path):
    root = write_decathlon(tmp_path, modality={"0": "T1", "1": "T2"})
    cases = find_cases(settings(root, "decathlon", ("T1", "T2")))
    assert [(c.id, len(c.images), c.label.path.name) for c in cases] == [
        ("h_001", 1, "h_001.nii.gz"),
        ("h_002", 1, "h_002.nii.gz"),
    ]


def test_faults_of_a_decathlon_task_are_told(tmp_path):
    pairs = [{"image": f"imagesTr/{n}.nii.gz", "label": "labelsTr/h_001.nii.gz"} for n in ("h_001", "h_001", "gone")]
    root = write_decathlon(tmp_path / "1", training=pairs, numTraining=3)
    told = "\n".join(refused(settings(root, "decathlon")))
    assert "case h_001 is there twice" in told
    assert "a file is missing" in told
    assert "no list `training`" in refused(settings(write_decathlon(tmp_path / "2", training=None), "decathlon"))[0]


@fault("F14", "`../` in dataset.json", then="refused, all of them")
def test_no_name_in_the_file_leads_out_of_the_root_and_all_that_do_are_told(tmp_path):
    write_scan(tmp_path / "outside.nii.gz")
    inside, label = "imagesTr/h_001.nii.gz", "labelsTr/h_001.nii.gz"
    names = ["../outside.nii.gz", str(tmp_path / "outside.nii.gz"), "C:/x.nii.gz", "imagesTr/link.nii.gz"]
    pairs = [{"image": name, "label": label} for name in names] + [{"image": inside, "label": "../outside.nii.gz"}]
    root = write_decathlon(tmp_path / "root", training=pairs, numTraining=5)
    (root / "imagesTr" / "link.nii.gz").symlink_to(tmp_path / "outside.nii.gz")
    told = refused(settings(root, "decathlon"))
    assert sum("may lead out of the data set" in line for line in told) == 4
    assert sum("a link leads out of the data set" in line for line in told) == 1


@fault("F14", "links out of an nnU-Net folder", then="refused")
def test_links_out_of_the_folders_of_nnunet_are_refused_too(tmp_path):
    write_scan(tmp_path / "outside.nii.gz")
    root = write_nnunet(tmp_path / "root")
    (root / "imagesTr" / "h_001_0000.nii.gz").unlink()
    (root / "imagesTr" / "h_001_0000.nii.gz").symlink_to(tmp_path / "outside.nii.gz")
    (line,) = refused(settings(root))
    assert "a link leads out" in line


def test_one_bad_case_costs_no_other_when_the_data_set_is_predicted(tmp_path):
    root = write_nnunet(tmp_path)
    (root / "imagesTr" / "h_001_0000.nii.gz").unlink()
    write_scan(root / "imagesTr" / "h_001_0001.nii.gz")
    scans = find_scans(settings(root), root, root)
    assert [c.id for c in scans.cases] == ["h_002"]
    assert {case for case, _ in scans.faults} == {"h_001"}


def test_scans_of_another_ending_are_told(tmp_path):
    root = write_nnunet(tmp_path, ["a", "b"])
    image = next((root / "imagesTr").glob("a_*"))
    image.rename(image.with_name("c_0000.nii"))
    scans = find_scans(settings(root), root)
    assert "b" in [case.id for case in scans.cases]
    assert "there are scans with another ending, as c_0000.nii" in [problem.what for _, problem in scans.faults]
