import pytest

from segtrain.core.file_names import is_kept_by_windows


@pytest.mark.parametrize(
    "name",
    ["con", "AUX", "Nul", "prn", "com1", "LPT9", "com¹", "conin$", "con.x", "aux.nii.gz", "nul .txt", "dice.", "P1 "],
)
def test_devices_and_a_dot_or_blank_at_the_end_are_no_names_on_windows(name):
    assert is_kept_by_windows(name)


@pytest.mark.parametrize("name", ["console", "com", "com10", "lpt", "auxiliary.x", "x.con", "dice.2", "combo", "nul_1"])
def test_what_only_looks_like_one_is_a_name(name):
    assert not is_kept_by_windows(name)
