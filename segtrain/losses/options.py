"""Types of the options that losses take: the range is in the type, the sentence stands beside it.

An option is written `fn_weight: Annotated[Weight, "what it does"] = 0.7` in the signature of its loss and nowhere
else; the registry checks the range and the card prints the sentence.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
OpenShare = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
AtLeastOne = Annotated[float, Field(ge=1, allow_inf_nan=False)]
Percent = Annotated[float, Field(gt=0, le=100)]
Index = Annotated[int, Field(ge=0)]

ReduceOver = Literal["sample", "batch", "flat"]
Absent = Literal["keep", "skip", "fp_only"]

SMOOTH = 1e-5
"""Added to numerator and denominator of a score, in voxels: nnU-Net's value, too small to hide a lost lesion."""
