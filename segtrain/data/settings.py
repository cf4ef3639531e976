"""What a person may say about the data, the patches cut from it and their augmentation. Torch-free."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from segtrain.core.settings import Settings

Share = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]


class DataSettings(Settings):
    """Where the scans are and how they are named. Paths are relative to the YAML."""

    layout: Literal["folders", "dicom"] = "folders"
    """folders: `images` and `labels`, paired by case id. dicom: a tree of series under `root`."""
    images: Path | None = None
    labels: Path | None = None
    """Masks, named as the cases; dicom: instead of `label`, where the masks are NIfTI files outside the tree."""
    root: Path | None = None
    case: str = "*"
    """dicom: glob, below root, of the folders that are a case, as `*/*` for patient/date."""
    channels: tuple[str, ...] | dict[str, str] = ("image",)
    """Names of the image channels. folders: one name and each file is a case; several names and the files are
    `<case>_0000.nii.gz`, `<case>_0001.nii.gz` ... in this order. dicom: name -> pattern of a series' folder or
    SeriesDescription."""
    label: str | None = None
    """dicom: pattern of the series that holds the mask."""
    patient_from: str | None = None
    """Regular expression on the case id; its first group (or the whole match) is the patient. Without it every
    case is a patient of its own (dicom: PatientID)."""
    modality: Literal["auto", "mr", "ct"] = "auto"
    """mr: z-score per case. ct: clip and scale by the training set. auto: ct where voxels reach below -500."""

    @model_validator(mode="after")
    def _has_a_place(self) -> Self:
        if self.layout == "folders" and self.root is not None:
            raise ValueError("root belongs to layout: dicom; two folders are given as images and labels")
        if self.layout == "folders" and self.label is not None:
            raise ValueError("label belongs to layout: dicom; the folder of the masks is given as labels")
        if self.layout == "folders" and self.case != "*":
            raise ValueError("case belongs to layout: dicom; a file of images is a case, and its labels have its name")
        if self.layout == "dicom" and self.images:
            raise ValueError("images belongs to layout: folders; a DICOM tree is given as root")
        if self.labels and self.label:
            raise ValueError("labels (a folder) and label (a pattern) are two places for the masks: give one")
        if self.layout == "dicom" and not isinstance(self.channels, dict):
            raise ValueError('channels of a DICOM tree need patterns, as {T1: "*T1*"}')
        if self.layout == "folders" and isinstance(self.channels, dict):
            raise ValueError("channels of two folders is a list of names, as [T1]")
        if not self.channels:
            raise ValueError("channels: at least one")
        return self

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Channel names in order."""
        return tuple(self.channels)


class PatchSettings(Settings):
    """How training patches are drawn."""

    foreground_share: Share = 0.33
    """Share of patches that are centred on a labelled voxel (nnU-Net: a third)."""


class AugmentSettings(Settings):
    """Ranges of the random changes. Rotation and scale follow nnU-Net's order of size (Isensee et al. 2021)."""

    spatial_probability: Share = 0.2
    """Share of patches that are turned and scaled."""
    intensity_probability: Share = 0.5
    """Share of patches to which each of brightness, contrast, gamma and noise is applied."""
    flip_axes: tuple[Literal[0, 1, 2], ...] = ()
    """Axes (R, A, S) that may be mirrored; empty keeps left and right apart."""
    rotation_degrees: NonNegative = 15.0
    """Largest rotation about each axis, in voxel space; 2D turns within the slice."""
    scale: NonNegative = 0.2
    """0.2 draws sizes from 1/1.2 to 1.2."""
    brightness: NonNegative = 0.2
    """Standard deviations that are added or taken away at most."""
    contrast: NonNegative = 0.25
    """0.25 draws factors from 1/1.25 to 1.25."""
    gamma: NonNegative = 0.3
    """0.3 draws exponents from 1/1.3 to 1.3."""
    noise: NonNegative = 0.1
    """Largest standard deviation of added Gaussian noise."""
