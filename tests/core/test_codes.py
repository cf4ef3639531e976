import pytest
from pydantic import ValidationError
from pydicom.sr.codedict import codes

from segtrain.core.codes import ANATOMICAL_STRUCTURE, TISSUE, UNKNOWN, Codes, Term


def test_the_categories_are_those_of_dicom():
    for term, name in ((ANATOMICAL_STRUCTURE, "AnatomicalStructure"), (TISSUE, "Tissue")):
        judge = getattr(codes.cid7150, name)
        assert (term.value, term.scheme, term.meaning) == (judge.value, judge.scheme_designator, judge.meaning)


def test_a_type_alone_is_a_part_of_the_body():
    liver = Codes.model_validate({"type": {"value": 10200004, "meaning": "Liver"}})
    assert liver.type == Term(value="10200004", meaning="Liver", scheme="SCT")
    assert (liver.category, liver.region) == (ANATOMICAL_STRUCTURE, None)


def test_what_nobody_has_named_is_some_tissue():
    assert UNKNOWN.type == UNKNOWN.category == TISSUE


@pytest.mark.parametrize(
    "change",
    [{"value": ""}, {"value": "1 2"}, {"value": "1" * 17}, {"meaning": ""}, {"meaning": "a\\b"}, {"scheme": ""}],
)
def test_what_dicom_cannot_hold_is_refused(change):
    with pytest.raises(ValidationError):
        Term.model_validate({"value": "10200004", "meaning": "Liver", **change})
