"""tests/data/test_cases.py has what both folders make together."""

import pytest

from segtrain.core.errors import ConfigError
from segtrain.data.faults import Faults
from segtrain.data.layouts.folders import folder_cases, label_folder, without_number
from segtrain.data.layouts.listing import Found
from segtrain.data.settings import DataSettings
from tests.data.folders import write_folders


def test_the_fault_of_a_file_goes_to_the_case_of_its_channel_number(tmp_path):
    images, _ = write_folders(tmp_path, ["a_0000", "a_0001", "a_0001.nii", "b_0000", "b_0001", "b_0007"], [])
    faults = Faults()
    cases = folder_cases(DataSettings(images=images, channels=("T1", "T2")), faults)
    assert list(cases) == ["a", "b"]
    assert [case for case, _ in faults] == ["a", "b"]


def test_a_folder_that_is_not_there_has_no_cases(tmp_path):
    faults = Faults()
    assert folder_cases(DataSettings(images=tmp_path / "none"), faults) is None
    assert label_folder(tmp_path / "none", {}, faults) is None
    assert [case for case, _ in faults] == ["", ""]
    with pytest.raises(ConfigError, match=r"data\.images"):
        folder_cases(DataSettings(), faults)


def test_a_number_goes_where_all_names_have_it():
    found = Found(None)
    assert list(without_number({"a_0000": found, "b_0000": found})) == ["a", "b"]
    assert list(without_number({"a_0000": found, "b": found})) == ["a_0000", "b"]
    assert list(without_number({"_0000": found})) == ["_0000"]
