"""DICOM in, masks on the series' own grid out: how far a voxel of a mask lies from the voxel of the scan."""

import tempfile
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK

from benchmarks.commands import ROOT, real_data, segtrain, table


def main() -> None:
    data = real_data("pgbm_dicom")
    if data is None:
        return
    with tempfile.TemporaryDirectory() as name:
        run, out = Path(name) / "run", Path(name) / "out"
        config = ROOT / "configs" / "brain_tumour_dicom.yaml"
        fitted, seconds = segtrain("fit", "--config", config, f"data.root={data}", "--run", run)
        result, _ = segtrain("eval", "--run", run, "--images", data, "--labels", data, "--out", out)
        held_out = {path.name for path in (run / "validation" / "predictions").iterdir()}
        rows = [
            [mask.name, mask.name in held_out, _shape(mask), farthest_mm(mask, data), result["volumes_ml"][_case(mask)]]
            for mask in sorted((out / "predictions").iterdir())
        ]
    table(["case", "held out", "voxels", "farthest voxel (mm)", "predicted volumes (ml)"], rows)
    print(f"\nfit {seconds:.0f} s; Dice of the held-out patient {fitted['metrics']['mean']['dice']:.3f}")


def farthest_mm(mask: Path, data: Path) -> str:
    """Distance between a voxel of the mask, as nibabel reads it, and of the series, as SimpleITK reads it."""
    patient, date = _case(mask).split("_", 1)
    series = next(path for path in (data / patient / date).iterdir() if "T1post" in path.name)
    scan = SimpleITK.ReadImage(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(series)))
    image = nibabel.Nifti1Image.from_filename(mask)
    if image.shape != scan.GetSize():
        return f"shape {image.shape} is not {scan.GetSize()}"
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in image.shape], indexing="ij"), axis=-1).reshape(-1, 3)
    there = [np.array(scan.TransformIndexToPhysicalPoint(c.tolist())) * (-1, -1, 1) for c in corners]
    here = nibabel.affines.apply_affine(image.affine, corners)
    return f"{np.linalg.norm(here - np.array(there), axis=1).max():.1e}"


def _shape(mask: Path) -> str:
    return " x ".join(map(str, nibabel.Nifti1Image.from_filename(mask).shape))


def _case(mask: Path) -> str:
    return mask.name.removesuffix(".nii.gz")
