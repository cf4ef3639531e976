"""Which of the layouts a place is; each layout has its own tests."""

from __future__ import annotations

import pytest

from segtrain.core.errors import DataError
from segtrain.data.cases import find_cases
from segtrain.data.recognise.place import recognise
from segtrain.data.settings import DataSettings
from tests.data.data_sets import write_bids, write_decathlon, write_nnunet
from tests.data.folders import write_folders, write_scan


def layout_of(place):
    found = recognise(place)
    return DataSettings.model_validate({**found.values, **({"table": "x"} if found.rows else {})}).layout


def test_a_dataset_json_says_whose_layout_it_is(tmp_path):
    assert layout_of(write_nnunet(tmp_path / "v2")) == "nnunet"
    assert layout_of(write_decathlon(tmp_path / "msd")) == "decathlon"
    old = {"modality": {"0": "MRI"}, "channel_names": None}
    training = [{"image": "./imagesTr/h_001.nii.gz", "label": "./labelsTr/h_001.nii.gz"}]
    assert layout_of(write_nnunet(tmp_path / "v1", ["h_001"], **old, training=training)) == "nnunet"


def test_names_that_lead_out_are_left_to_those_who_refuse_them(tmp_path):
    root = write_decathlon(tmp_path, training=[{"image": "/etc/passwd", "label": "x"}], numTraining=1)
    with pytest.raises(DataError, match="may lead out"):
        find_cases(DataSettings.model_validate(recognise(root).values))


def test_a_broken_dataset_json_is_told(tmp_path):
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(DataError, match="cannot be understood"):
        recognise(tmp_path)


def test_bids_channels_are_suffixes_and_the_mask_a_derivative(tmp_path):
    found = recognise(write_bids(tmp_path))
    assert found.values["channels"] == {"FLAIR": "*_FLAIR", "T1": "*_T1w"}
    assert found.values["label"] == "*_dseg"
    assert len(find_cases(DataSettings.model_validate(found.values))) == 3


def test_a_bids_session_without_its_mask_is_left_to_check(tmp_path):
    root = write_bids(tmp_path, ["sub-01", "sub-02", "sub-03"])
    next(root.glob("derivatives/manual/sub-02/anat/*")).unlink()
    with pytest.raises(DataError) as error:
        find_cases(DataSettings.model_validate(recognise(root).values))
    assert [problem.what for problem in error.value.problems] == ["no series is the label"]


def test_bids_suffixes_that_end_alike_are_told_apart(tmp_path):
    root = write_bids(tmp_path, ["sub-01", "sub-02"])
    for name in ("sub-01", "sub-02"):
        write_scan(root / name / "anat" / f"{name}_acq-hires_T1w.nii.gz")
    values = recognise(root).values
    assert set(values["channels"].values()) == {"*_FLAIR", "T1w", "*_acq-hires_T1w"}
    assert [len(case.images) for case in find_cases(DataSettings.model_validate(values))] == [3, 3]


def test_bids_that_lacks_most_masks_is_refused_in_words(tmp_path):
    root = write_bids(tmp_path, ["sub-01", "sub-02"])
    next(root.glob("derivatives/manual/sub-01/anat/*")).unlink()
    with pytest.raises(DataError, match="masks in every session: none"):
        recognise(root)


def test_a_second_mask_of_a_derivative_is_said(tmp_path):
    root = write_bids(tmp_path, ["sub-01"])
    write_scan(root / "derivatives" / "x" / "sub-01" / "anat" / "sub-01_desc-brain_mask.nii.gz")
    assert "desc-brain_mask could be it too" in recognise(root).guesses[0]


def test_a_table_names_its_columns(tmp_path):
    write_scan(tmp_path / "a.nii.gz")
    path = tmp_path / "cases.csv"
    path.write_text("case,image,image2,label\nx,a.nii.gz,a.nii.gz,a.nii.gz\n")
    assert recognise(path).values == {"table": path, "channels": ["image", "image2"]}


def test_two_folders_and_pairs_in_one(tmp_path):
    write_folders(tmp_path / "1", ["a", "b"], ["a", "b"])
    assert layout_of(tmp_path / "1") == "folders"
    for name in ("a", "a_seg"):
        write_scan(tmp_path / "2" / f"{name}.nii.gz")
    assert layout_of(tmp_path / "2") == "table"


def test_what_is_not_recognised_says_what_was_looked_for_and_what_is_there(tmp_path):
    write_folders(tmp_path / "deep" / "data", ["a"], ["a"])
    with pytest.raises(DataError) as error:
        recognise(tmp_path / "deep")
    (problem,) = error.value.problems
    assert "looked for: a dataset.json" in problem.why
    assert "There is: data/" in problem.why
    assert problem.hint == f"perhaps you mean {tmp_path / 'deep' / 'data'}"
    write_folders(tmp_path / "odd", ["a"], ["b"])
    with pytest.raises(DataError, match="No name is in both: a in images, b in labels"):
        recognise(tmp_path / "odd")


def test_a_path_where_nothing_is_has_a_likely_one_or_what_is_there(tmp_path):
    (tmp_path / "hippocampus").mkdir()
    with pytest.raises(DataError, match=r"no such folder or table[\s\S]*did you mean .*/hippocampus\?"):
        recognise(tmp_path / "hipocampus")
    with pytest.raises(DataError, match=r"check the path: .* has hippocampus; name a folder"):
        recognise(tmp_path / "x" / "y")


def test_folders_of_two_cases_are_not_taken_for_scans_and_masks(tmp_path):
    """Each of them holds a scan and a mask of the same names as the other's."""
    for case in ("P0", "P1", "P2"):
        for name in ("T1", "mask"):
            write_scan(tmp_path / case / f"{name}.nii.gz")
    found = recognise(tmp_path)
    assert found.words == "3 folders of a case each, with a mask called mask"
    assert sorted(found.rows) == ["P0", "P1", "P2"]
