"""`segtrain info`: a scan, a run or a checkpoint, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segtrain.core.case import ScanSource
from segtrain.core.errors import DataError, Problem
from segtrain.data.read import drawing_of, kind_of, read_volume, structures_of
from segtrain.recipes.run_folder import RunFolder, read_record
from segtrain.training import checkpoint


def describe(path: Path) -> dict[str, Any]:
    """What lies at `path`, as plain values. DataError where there is nothing."""
    if not path.exists():
        raise DataError(Problem("there is nothing", str(path), hint="give a scan, a run folder or a checkpoint folder"))
    if (path / checkpoint.ABOUT).is_file():
        return {"schema_version": 1, "kind": "checkpoint", **checkpoint.read_about(path)}
    if RunFolder(path).record.is_file():
        return {"schema_version": 1, "kind": "run", "path": str(path), **read_record(RunFolder(path).record)}
    drawing = drawing_of(path)
    if drawing is not None:
        structures = structures_of(drawing)
        return {"schema_version": 1, "kind": f"DICOM {drawing.kind}", "path": str(path), "structures": structures}
    volume = read_volume([ScanSource(path)])
    values = volume.array
    return {
        "schema_version": 1,
        "kind": f"{kind_of(path)} scan",
        "path": str(path),
        "grid": volume.grid.describe(),
        "channels": len(values),
        "type": str(values.dtype),
        "range": [float(values.min()), float(values.max())],
        "affine": volume.grid.affine.tolist(),
        "notes": list(volume.notes),
    }
