"""Data sets in the layouts of others, a few voxels a scan."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.data.folders import write_scan

LABELS = {"background": 0, "anterior": 1, "posterior": 2}


def write_json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def write_nnunet(root: Path, cases: Sequence[str] = ("h_001", "h_002"), channels=("MRI",), **more: Any) -> Path:
    """nnU-Net v2: imagesTr, labelsTr and dataset.json; `more` changes keys of it, None takes one out."""
    for case in cases:
        for number in range(len(channels)):
            write_scan(root / "imagesTr" / f"{case}_{number:04}.nii.gz")
        write_scan(root / "labelsTr" / f"{case}.nii.gz")
    plain = {
        "channel_names": {str(n): name for n, name in enumerate(channels)},
        "labels": LABELS,
        "numTraining": len(cases),
        "file_ending": ".nii.gz",
    }
    write_json(root / "dataset.json", {k: v for k, v in {**plain, **more}.items() if v is not None})
    return root


def write_decathlon(root: Path, cases: Sequence[str] = ("h_001", "h_002"), **more: Any) -> Path:
    """A task of the Decathlon; `more` as in `write_nnunet`."""
    for case in cases:
        for folder in ("imagesTr", "labelsTr"):
            write_scan(root / folder / f"{case}.nii.gz")
    plain = {
        "name": "Hippocampus",
        "tensorImageSize": "3D",
        "modality": {"0": "MRI"},
        "labels": {str(label): name for name, label in LABELS.items()},
        "numTraining": len(cases),
        "training": [{"image": f"./imagesTr/{c}.nii.gz", "label": f"./labelsTr/{c}.nii.gz"} for c in cases],
        "test": ["./imagesTs/h_900.nii.gz"],
    }
    write_json(root / "dataset.json", {k: v for k, v in {**plain, **more}.items() if v is not None})
    return root


def write_bids(root: Path, sessions: Sequence[str] = ("sub-01/ses-1", "sub-01/ses-2", "sub-02")) -> Path:
    """Two modalities, and masks of a derivative."""
    for session in sessions:
        name = session.replace("/", "_")
        for suffix in ("T1w", "FLAIR"):
            write_scan(root / session / "anat" / f"{name}_{suffix}.nii.gz")
        write_scan(root / "derivatives" / "manual" / session / "anat" / f"{name}_dseg.nii.gz")
    write_json(root / "dataset_description.json", {"Name": "tiny", "BIDSVersion": "1.9.0"})
    return root
