import re

import pytest

from segtrain.data.layouts.naming import by_case_and_part, common, is_mask_word, patient_pattern, without_mask_word


@pytest.mark.parametrize("text", ["seg", "labelsTr", "masks", "MaskTumor", "T1_mask", "lesion labels", "GT", "P1-seg"])
def test_words_that_say_mask(text):
    assert is_mask_word(text)


@pytest.mark.parametrize("text", ["imagesTr", "T1", "segovia", "masked", "FLAIRreg", "flair", "T1post", ""])
def test_words_that_do_not(text):
    assert not is_mask_word(text)


def test_a_mask_is_named_after_its_case():
    assert without_mask_word("P1_seg") == "P1"
    assert without_mask_word("P1.t0-mask") == "P1.t0"
    assert without_mask_word("P1_T1") is None
    assert without_mask_word("seg") is None


def test_names_go_to_the_longest_case_that_they_begin_with():
    names = ["P1", "P1_T1", "P1-a_T1", "P10_T1", "Q_T1"]
    assert by_case_and_part(names, ["P1", "P1-a"]) == {"P1": {"": "P1", "T1": "P1_T1"}, "P1-a": {"T1": "P1-a_T1"}}


def test_what_all_have_keeps_its_order_and_the_rest_is_counted():
    assert common([["b", "a", "x"], ["a", "b"], ["b", "a", "x"]]) == (["b", "a"], {"x": 2})
    assert common([]) == ([], {})


@pytest.mark.parametrize(
    ("cases", "patients"),
    [
        (["P01_t1", "P01_t2", "P02_t1"], ["P01", "P01", "P02"]),
        (["sub-01_ses-1", "sub-01_ses-2", "sub-02_ses-1"], ["sub-01", "sub-01", "sub-02"]),
        (["A_baseline", "A_FU1", "B_baseline"], ["A", "A", "B"]),
        (["a_b-visit3", "a_b-visit4", "c"], ["a_b", "a_b", "c"]),
        (["P1_t1", "P1_t2", "P2_t1", "P2_t2", "P3"], ["P1", "P1", "P2", "P2", "P3"]),
        (
            ["BraTS-GLI-00000-000", "BraTS-GLI-00000-001", "BraTS-GLI-02062-100"],
            ["BraTS-GLI-00000", "BraTS-GLI-00000", "BraTS-GLI-02062"],
        ),
    ],
)
def test_visits_of_a_patient_are_found(cases, patients):
    pattern = patient_pattern(cases)
    assert [re.search(pattern, case)[1] for case in cases] == patients


@pytest.mark.parametrize(
    "cases",
    [
        ["hippocampus_001", "hippocampus_003"],
        ["P01_t1", "P02_t1"],
        [f"ct_scan_{n}" for n in range(6)],
        ["case_1_2", "case_1_3"],
        ["BraTS-GLI-00000-000", "BraTS-GLI-00002-000"],
        ["GLI-00000-000", "GLI-00000-001"],
        [],
    ],
)
def test_where_it_is_not_sure_nothing_is_guessed(cases):
    assert patient_pattern(cases) is None
