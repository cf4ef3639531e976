"""What a person may say about the data, the patches cut from it and their augmentation. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from segtrain.core.plan import Positive
from segtrain.core.settings import Settings

Share = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"a range goes from the smaller to the larger number, not from {bounds[0]} to {bounds[1]}")
    return bounds


Ascending = AfterValidator(_ascending)
Range = Annotated[tuple[NonNegative, NonNegative], Ascending]
"""Smallest and largest value; all between are equally likely."""
PositiveRange = Annotated[tuple[Positive, Positive], Ascending]
Factors = PositiveRange
"""As nnU-Net draws them (BGContrast): where the range reaches below 1 and above, half of them are below."""
Unfolded = Annotated[float, Field(ge=0, le=0.4)]


Layout = Literal["folders", "table", "nnunet", "decathlon", "bids", "dicom"]

PLACES: Mapping[str, tuple[Layout, ...]] = {
    "images": ("folders",),
    "labels": ("folders", "dicom"),
    "root": ("nnunet", "decathlon", "bids", "dicom"),
    "table": ("table",),
    "label": ("bids", "dicom"),
    "case": ("dicom",),
}
"""Key -> the layouts that it belongs to."""


class DataSettings(Settings):
    """Where the scans are and how they are named. Paths are relative to the YAML."""

    layout: Layout = "folders"
    """folders: `images` and `labels`, paired by case id. table: the rows of a CSV. nnunet, decathlon: a folder with a
    dataset.json, under `root`. bids: a BIDS data set with its derivatives. dicom: a tree of series."""
    images: Path | None = None
    labels: Path | None = None
    """Masks, named as the cases; dicom: instead of `label`, where the masks are NIfTI files outside the tree."""
    table: Path | None = None
    """A CSV with the columns case, image (image2, image3 ... for more channels), label and, if wanted, patient; paths
    in it are relative to it."""
    root: Path | None = None
    case: str = "*"
    """dicom: glob, below root, of the folders that are a case, as `*/*` for patient/date."""
    channels: tuple[str, ...] | dict[str, str] = ("image",)
    """Names of the image channels. folders: one name and each file is a case; several names and the files are
    `<case>_0000.nii.gz`, `<case>_0001.nii.gz` ... in this order, or 4D files of as many volumes. table: in the order of
    the columns. nnunet, decathlon: as in dataset.json. dicom: name -> pattern of a series' folder or SeriesDescription.
    bids: name -> pattern of the files, as {T1: "*_T1w"}."""
    label: str | None = None
    """dicom: pattern of the series, file, SEG or RTSTRUCT that holds the mask. bids: pattern of the masks below
    `derivatives`, as "*_dseg"."""
    patient_from: str | None = None
    """Regular expression on the case id; its first group (or the whole match) is the patient. Without it every
    case is a patient of its own (dicom: PatientID; bids: the subject; table: the column patient)."""
    modality: Literal["auto", "mr", "ct"] = "auto"
    """mr: z-score per case. ct: clip and scale by the training set. auto: ct where voxels reach below -500."""
    store: Path | None = None
    """Where prepared cases are kept, and found again by other runs on the same scans, also at the same time. null:
    `prepared` in the run folder."""
    workers: Annotated[int, Field(ge=0)] | None = None
    """Processes that read and prepare scans; 0: none beside that of the command. null: one for each core, at most 8 and
    at most what memory holds, where there is work for some seconds."""

    @model_validator(mode="before")
    @classmethod
    def _a_table_is_a_layout(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("table") is not None:
            return {"layout": "table", **value}
        return value

    @model_validator(mode="after")
    def _has_a_place(self) -> Self:
        for key, layouts in PLACES.items():
            if self.layout not in layouts and getattr(self, key) != type(self).model_fields[key].default:
                mine = [name for name, places in PLACES.items() if self.layout in places]
                raise ValueError(
                    f"{key} belongs to layout: {' or '.join(layouts)}; layout: {self.layout} has {', '.join(mine)}"
                )
        if self.labels and self.label:
            raise ValueError("labels (a folder) and label (a pattern) are two places for the masks: give one")
        if self.layout in ("dicom", "bids") and not isinstance(self.channels, dict):
            raise ValueError(f'channels of layout: {self.layout} need patterns, as {{T1: "*T1*"}}')
        if self.layout not in ("dicom", "bids") and isinstance(self.channels, dict):
            raise ValueError(f"channels of layout: {self.layout} is a list of names, as [T1]")
        if not self.channels:
            raise ValueError("channels: at least one")
        if len(set(self.channel_names)) < len(self.channel_names):
            raise ValueError("channels: one name is there twice")
        return self

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Channel names in order."""
        return tuple(self.channels)


class PatchSettings(Settings):
    """How training patches are drawn."""

    foreground_share: Share = 0.33
    """Share of patches that are centred on a labelled voxel (nnU-Net: a third)."""


class RotationSettings(Settings):
    """Turns about the centre of the patch.

    It is the patient that turns, in millimetres, and not the array: anatomy stays rigid where voxels are no cubes.
    """

    probability: Share = 0.2
    degrees: Annotated[float, Field(ge=0, le=180)] = 30.0
    """Largest angle either way, about each axis; within the slice where slices are thick, and in 2D. nnU-Net turns
    those by up to 180 (by 15 in 2D, where a patch is more than 1.5 times as long as wide): a half turn exchanges left
    and right in the picture, so it has to be asked for here."""


class ScaleSettings(Settings):
    """Objects larger or smaller, alike along every axis (only within the slice where slices are thick)."""

    probability: Share = 0.2
    field_of_view: PositiveRange = (0.7, 1.4)
    """How much is seen, against the patch: objects are smaller above 1 (nnU-Net's `scaling`)."""


class ElasticSettings(Settings):
    """Smooth bends: cubic B-splines on a lattice of control points (Rueckert et al. 1999).

    Off, as in nnU-Net v2, whose default trainer has p_elastic_deform=0.
    """

    probability: Share = 0.0
    points_voxels: Annotated[float, Field(ge=2, allow_inf_nan=False)] = 12.0
    """From one control point to the next, along each axis."""
    displacement: Annotated[tuple[NonNegative, Unfolded], Ascending] = (0.0, 0.25)
    """Of a control point at most, along each axis, as a share of points_voxels. Up to 0.4 no bend folds space
    (Choi & Lee 2000)."""


class NoiseSettings(Settings):
    """Gaussian noise, a field for each channel, in all of them as strong."""

    probability: Share = 0.1
    deviation: Range = (0.0, 0.1)
    """Its standard deviation; that of a scan is about 1. nnU-Net calls the range a variance, and draws this."""


class BlurSettings(Settings):
    """Gaussian blur of some channels."""

    probability: Share = 0.2
    channel_probability: Share = 0.5
    sigma_voxels: PositiveRange = (0.5, 1.0)
    """Drawn for each axis and channel."""


class BrightnessSettings(Settings):
    """All values times a factor, one a channel."""

    probability: Share = 0.15
    factor: Factors = (0.75, 1.25)


class ContrastSettings(Settings):
    """Distances from the patch's mean times a factor, one a channel; the patch's range stays."""

    probability: Share = 0.15
    factor: Factors = (0.75, 1.25)


class LowResolutionSettings(Settings):
    """Some channels as if they were taken with larger voxels: nearest down, linear up; not across thick slices."""

    probability: Share = 0.25
    channel_probability: Share = 0.5
    zoom: Annotated[tuple[Positive, Share], Ascending] = (0.5, 1.0)
    """Share of the voxels along an axis that are left."""


class GammaSettings(Settings):
    """Values to a power on the patch's own range, one exponent a channel; mean and deviation stay."""

    probability: Share = 0.3
    inverted_probability: Share = 0.1
    """Of another one on the negative of the image, before: it moves the bright end and not the dark one."""
    exponent: Factors = (0.7, 1.5)


class AugmentSettings(Settings):
    """The random changes of patches, in the order in which they are made.

    Kinds, order, probabilities and ranges are those of nnU-Net v2's default trainer (Isensee et al. 2021; release 2.8,
    `nnUNetTrainer.get_training_transforms`), and where they differ the field says so. Slices are thick where voxels are
    over three times as long across them as within, or the patch over three times as short in voxels (ANISO_THRESHOLD).
    """

    share: Share | None = None
    """Of the patches that may change at all; 0 trains on the scans as they are. null: all in a training that sees each
    scan a hundred times and more, fewer in proportion where it is shorter (`data.augment.amount`)."""
    rotation: RotationSettings = RotationSettings()
    scale: ScaleSettings = ScaleSettings()
    elastic: ElasticSettings = ElasticSettings()
    noise: NoiseSettings = NoiseSettings()
    blur: BlurSettings = BlurSettings()
    low_resolution: LowResolutionSettings = LowResolutionSettings()
    """nnU-Net does this after brightness and contrast: no difference but for what contrast clips."""
    brightness: BrightnessSettings = BrightnessSettings()
    contrast: ContrastSettings = ContrastSettings()
    gamma: GammaSettings = GammaSettings()
    mirror_axes: tuple[Literal[0, 1, 2], ...] = ()
    """Axes (R, A, S) that half of the patches are mirrored along. None, since that exchanges left and right; nnU-Net
    mirrors along all."""
