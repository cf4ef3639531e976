"""Which metrics are computed, and by which rules. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from segtrain.core.settings import Settings
from segtrain.metrics.empties import EmptyPolicy

DEFAULT_METRICS = ("dice", "iou")
"""What is computed where nobody says otherwise."""

ProfileName = Literal["organ", "lesion", "tubular"]
Millimetres = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Profile:
    """Metrics that together judge one kind of structure, and why these."""

    metrics: tuple[str, ...]
    why: str


_ORGAN = ("dice", "nsd", "hd95", "relative_volume_error")

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "organ": Profile(
            _ORGAN,
            "overlap says how much of the organ is right, NSD how much of its surface needs no redrawing, HD95 how far "
            "the worst places are off, and the volume error whether it is drawn too large or too small",
        ),
        "lesion": Profile(
            (*_ORGAN, "lesion_f1", "lesion_sensitivity", "component_dice"),
            "beside those of an organ: a large lesion hides small ones in Dice, so that lesions are counted (F1, "
            "sensitivity) and judged one by one (component Dice); whether there is any is in the table of presence",
        ),
        "tubular": Profile(
            (*_ORGAN, "cldice"),
            "beside those of an organ: clDice says whether the tube is connected, which a thin break hides in Dice",
        ),
    }
)
"""After Metrics Reloaded (Maier-Hein et al., Nature Methods 21, 2024), table 1."""


class EvaluationSettings(Settings):
    """Metrics by name, or a profile that names them."""

    profile: ProfileName | None = None
    """Metrics for a kind of structure, where none are named: organ, lesion or tubular."""
    metrics: tuple[str, ...] = Field(default=DEFAULT_METRICS, min_length=1)
    """The first one is the headline: the best checkpoint, the worst cases and the ranking go by it."""
    regions: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)
    """Unions of labels that are scored beside the labels: {whole: [oedema, core]}. Masks are drawn as the task says."""
    nsd_tolerance_mm: Millimetres | dict[str, Millimetres] | None = None
    """Tolerance of nsd, or one for each label; it has no default, because it decides the result. Take what two readers
    differ by: KiTS23 about 1.1 mm for kidneys and tumours, TotalSegmentator 3 mm."""
    lesion_match_iou: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Two lesions are one where their IoU is above this (nnDetection's for three dimensions)."""
    lesion_min_volume_mm3: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Smaller components of either mask are no lesions (BraTS-2023 leaves out those up to 50 mm3)."""
    empty_policy: EmptyPolicy = "strict"
    """A label in neither mask: `strict` leaves it undefined and counts it in the table of presence; `challenge` gives
    it the best value, as BraTS and KiTS do."""

    patient_from: str | None = None
    """Regular expression on the case id; its first group (or the whole match) is the patient that intervals go by. For
    `eval` alone, where every id must tell one. null: with --run as the run found patients (data.patient_from), with
    --predictions every case is a patient of its own."""

    @model_validator(mode="before")
    @classmethod
    def _metrics_of_the_profile(cls, given: Any) -> Any:
        profile = given.get("profile") if isinstance(given, dict) else None
        if not isinstance(profile, str) or profile not in PROFILES or "metrics" in given:
            return given
        return {**given, "metrics": PROFILES[given["profile"]].metrics}

    @property
    def why(self) -> str:
        """The sentence that says why these metrics; empty where somebody named them."""
        if self.profile is None or self.metrics != PROFILES[self.profile].metrics:
            return ""
        return f"Profile {self.profile}: {PROFILES[self.profile].why}."

    def options_of(self, metric: str) -> dict[str, Any]:
        """The options that these settings give a metric, by the name under which it is registered."""
        lesions = {"match_iou": self.lesion_match_iou, "min_volume_mm3": self.lesion_min_volume_mm3}
        if metric in ("lesion_f1", "lesion_sensitivity", "lesion_precision"):
            return lesions
        if metric == "pq":
            return {"min_volume_mm3": self.lesion_min_volume_mm3}
        return {"tolerance_mm": self.nsd_tolerance_mm} if metric == "nsd" else {}
