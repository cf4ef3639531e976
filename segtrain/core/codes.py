"""What a label is, in the terms of a coding scheme: archives and viewers of DICOM know codes, not names.

The terms are DICOM's context groups CID 7150 (categories) and CID 7151 (types), most of them of SNOMED CT.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from segtrain.core.settings import Settings

LONGEST_NAME = 64
"""Characters that DICOM has for a name or a meaning (value representation LO)."""

_Code = Annotated[str, StringConstraints(pattern=r"^[^\\\s]{1,16}$"), Field(coerce_numbers_to_str=True)]
_Words = Annotated[str, StringConstraints(pattern=r"^[^\\\n\r\f]*$", min_length=1, max_length=LONGEST_NAME)]


class Term(Settings):
    """A term of a coding scheme: {value: 10200004, meaning: Liver}."""

    value: _Code
    """Its code, as 10200004."""
    meaning: _Words
    """What it stands for, in the words of the scheme."""
    scheme: _Code = "SCT"
    """Which scheme: SCT is SNOMED CT, DCM that of DICOM, FMA the Foundational Model of Anatomy."""


ANATOMICAL_STRUCTURE = Term(value="91723000", meaning="Anatomical Structure")
TISSUE = Term(value="85756007", meaning="Tissue")


class Codes(Settings):
    """What a label is: {type: {value: 10200004, meaning: Liver}}."""

    type: Term
    """The thing itself (CID 7151): Liver, Neoplasm."""
    category: Term = ANATOMICAL_STRUCTURE
    """The kind of thing (CID 7150), as {value: 49755003, meaning: Morphologically Abnormal Structure}."""
    region: Term | None = None
    """Where in the body it is, for what is no part of it, as {value: 12738006, meaning: Brain} of a tumour."""


UNKNOWN = Codes(type=TISSUE, category=TISSUE)
"""A label without codes: some tissue, which 3D Slicer too calls what nobody has named."""
