"""Names of ids in headers."""

from __future__ import annotations

import pytest

from segtrain.data.files.segments import names_in_header


@pytest.mark.parametrize("sign", [":=", " = "])
def test_an_id_has_the_name_of_its_segment(sign: str) -> None:
    text = (
        f"Segment0_ID{sign}a\nSegment0_Name{sign}left kidney\nSegment0_LabelValue{sign}4\nSegment1_LabelValue{sign}7\n"
    )
    assert names_in_header(text) == {4: "left kidney"}


def test_what_is_half_there_or_no_number_names_nothing() -> None:
    assert names_in_header("Segment0_Name:=liver\nSegment0_LabelValue:=²\nSegment1_Name = spleen") == {}
    assert names_in_header("") == {}
