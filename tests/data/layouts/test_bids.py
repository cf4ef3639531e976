"""BIDS: subjects and sessions, masks among the derivatives."""

from __future__ import annotations

import pytest

from segtrain.core.errors import ConfigError, DataError
from segtrain.data.cases import find_cases, find_scans
from segtrain.data.layouts.bids import files_of, sessions_in
from segtrain.data.settings import DataSettings
from tests.data.data_sets import write_bids
from tests.data.folders import write_scan


def settings(root, **more):
    plain = {"channels": {"T1": "*_T1w", "FLAIR": "*_FLAIR"}, "label": "*_dseg"}
    return DataSettings(layout="bids", root=root, **{**plain, **more})


def test_sessions_are_cases_of_their_subject(tmp_path):
    cases = find_cases(settings(write_bids(tmp_path)))
    assert [(c.id, c.patient) for c in cases] == [
        ("sub-01_ses-1", "sub-01"),
        ("sub-01_ses-2", "sub-01"),
        ("sub-02", "sub-02"),
    ]
    assert [s.path.name for s in cases[0].images] == ["sub-01_ses-1_T1w.nii.gz", "sub-01_ses-1_FLAIR.nii.gz"]
    assert cases[2].label.path.relative_to(tmp_path).parts[:2] == ("derivatives", "manual")


def test_a_pattern_may_name_the_derivative(tmp_path):
    root = write_bids(tmp_path, ["sub-01"])
    place = root / "derivatives" / "brain" / "sub-01" / "anat"
    write_scan(place / "sub-01_dseg.nii.gz")
    write_scan(place / "sub-01_desc-preproc_T1w.nii.gz")
    with pytest.raises(DataError, match="could be the label"):
        find_cases(settings(root))
    channels = {"T1": "derivatives/brain/*_T1w"}
    (case,) = find_cases(settings(root, label="derivatives/manual/*_dseg", channels=channels))
    assert case.images[0].path.name == "sub-01_desc-preproc_T1w.nii.gz"


def test_every_session_without_a_scan_or_a_mask_is_named_and_costs_no_other(tmp_path):
    root = write_bids(tmp_path)
    next(root.glob("sub-02/anat/*FLAIR*")).unlink()
    next(root.glob("derivatives/manual/sub-01/ses-1/anat/*")).unlink()
    with pytest.raises(DataError) as error:
        find_cases(settings(root))
    assert len(error.value.problems) == 2
    scans = find_scans(settings(root), root, root)
    assert [c.id for c in scans.cases] == ["sub-01_ses-2"]


def test_what_is_no_data_set_is_told(tmp_path):
    with pytest.raises(DataError, match=r"no folder sub-"):
        find_cases(settings(tmp_path))
    with pytest.raises(DataError, match="no such folder"):
        find_cases(settings(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"data\.root"):
        find_cases(settings(None))


def test_hidden_files_and_sidecars_are_no_scans(tmp_path):
    root = write_bids(tmp_path, ["sub-01"])
    (root / "sub-01" / "anat" / "sub-01_T1w.json").write_text("{}")
    write_scan(root / "sub-01" / "anat" / "._sub-01_T1w.nii.gz")
    (session,) = sessions_in(root).values()
    raw, derived = files_of(root, session)
    assert sorted(c.names[0] for c in raw) == ["sub-01_FLAIR", "sub-01_T1w"]
    assert derived[0].names[1] == "derivatives/manual/sub-01/anat/sub-01_dseg"
