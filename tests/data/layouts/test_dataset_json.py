"""dataset.json in the forms of the Decathlon and of both versions of nnU-Net."""

from __future__ import annotations

import pytest

from segtrain.core.task import Task
from segtrain.data.layouts.dataset_json import label_faults, read_dataset_json
from tests.data.data_sets import write_json

V2 = {"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "liver": 4, "lesion": 207}}
REGIONS = {
    "channel_names": {"0": "T1"},
    "labels": {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "active": 3, "ignore": 4},
    "regions_class_order": [1, 2, 3],
}


def read(folder, value):
    write_json(folder / "dataset.json", value)
    problems = []
    found = read_dataset_json(folder, problems)
    assert (found is None) == bool(problems)
    return found or problems[0]


def test_version_2_and_sparse_ids(tmp_path):
    found = read(tmp_path, V2)
    assert (found.channels, dict(found.labels)) == (("T1", "T2"), {"background": 0, "liver": 4, "lesion": 207})
    assert (found.regions, found.ignore, found.entries) == ({}, None, None)


def test_the_older_form_has_labels_the_other_way_round(tmp_path):
    old = {"modality": {"1": "FLAIR", "0": "T1"}, "labels": {"00": "background", "1": "liver"}, "numTraining": "3"}
    found = read(tmp_path, old)
    assert (found.channels, dict(found.labels)) == (("T1", "FLAIR"), {"background": 0, "liver": 1})
    assert (found.announced, found.file_ending) == (3, ".nii.gz")


def test_regions_keep_their_order_and_what_they_are_drawn_as(tmp_path):
    found = read(tmp_path, REGIONS)
    assert found.regions == {"whole": (1, 2, 3), "core": (2, 3), "active": (3,)}
    assert (found.drawn, found.ignore, dict(found.labels)) == ((1, 2, 3), 4, {"background": 0, "active": 3})


def test_a_background_that_is_not_named_has_id_0_and_channels_get_names_of_their_own(tmp_path):
    found = read(tmp_path, {"channel_names": {"0": "MRI", "1": "MRI"}, "labels": {"lesion": 255}})
    assert (found.channels, dict(found.labels)) == (("MRI_0", "MRI_1"), {"background": 0, "lesion": 255})
    assert read(tmp_path, {"modality": "CT", "labels": {"0": "background", "1": "x"}}).channels == ("CT",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": None}, "labels is not a group"),
        ({"labels": {"0": "background", "1": "a", "2": "a"}}, "two ids have the name a"),
        ({"labels": {"background": 0, "a": 1.5}}, "no whole number"),
        ({"labels": {"background": 0, "a": True}}, "no whole number"),
        ({"channel_names": {}}, "channel_names"),
        ({"channel_names": {"0": "a", "2": "b"}}, "channels have the numbers 0, 2"),
        ({"labels": REGIONS["labels"]}, "regions_class_order has 0 ids for 3 regions"),
        ({"training": ["a"]}, "training is not a list of"),
        ({"dataset": {"a": {"label": "x"}}}, "images"),
    ],
)
def test_what_cannot_be_understood_is_told(tmp_path, change, words):
    problem = read(tmp_path, {**V2, **change})
    assert problem.what == "dataset.json cannot be understood"
    assert words in problem.why


def test_no_file_and_no_json_are_told(tmp_path):
    problems = []
    assert read_dataset_json(tmp_path, problems) is None
    (tmp_path / "dataset.json").write_text("{")
    assert read_dataset_json(tmp_path, problems) is None
    (tmp_path / "dataset.json").write_text("[" * 100_000)
    assert read_dataset_json(tmp_path, problems) is None
    assert [p.what.split()[-1] for p in problems] == ["dataset.json", "understood", "understood"]


def whats(declared, **task):
    return [f"{p.what}; {p.why}" for p in label_faults(declared, Task(**task))]


def test_a_task_that_names_the_labels_as_the_file_does_has_no_fault(tmp_path):
    assert whats(read(tmp_path, V2), labels={"rest": 0, "liver": 4, "lesion": 207}) == []
    names = {"background": 0, "oedema": 1, "necrosis": 2, "active": 3}
    regions = {"whole": ["oedema", "necrosis", "active"], "core": ["necrosis", "active"], "active": ["active"]}
    assert whats(read(tmp_path, REGIONS), labels=names, regions=regions, ignore=4) == []


def test_regions_that_are_drawn_as_other_ids_than_the_file_says_are_a_fault(tmp_path):
    names = {"background": 0, "oedema": 1, "necrosis": 2, "active": 3}
    regions = {"whole": ["oedema", "necrosis", "active"], "core": ["necrosis", "active"], "active": ["active"]}
    swapped = read(tmp_path, {**REGIONS, "regions_class_order": [2, 1, 3]})
    (told,) = whats(swapped, labels=names, regions=regions, ignore=4)
    assert told.endswith("it draws the regions as 2, 1, 3, the task as 1, 2, 3")


def test_every_other_name_id_and_region_is_a_fault(tmp_path):
    told = whats(read(tmp_path, V2), labels={"background": 0, "liver": 1, "tumour": 207}, ignore=9)
    assert told == [
        "dataset.json has the label liver: 4; the task has liver: 1",
        "dataset.json has the label lesion: 207; lesion is no label of the task",
        "dataset.json has no label of the id 1; task.labels has liver",
        "two ids are ignored voxels; dataset.json has none, the task 9",
    ]
    told = whats(read(tmp_path, REGIONS), labels={"background": 0, "a": 1, "b": 2, "active": 3}, ignore=4)
    assert told[0] == "dataset.json has the region whole: 1, 2, 3; the task has no such region"
