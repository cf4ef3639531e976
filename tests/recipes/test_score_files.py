import numpy as np
import pytest

import segtrain
from segtrain.core.errors import DataError
from segtrain.core.volume import LabelMap
from segtrain.data.files.nifti import write_nifti
from segtrain.metrics import score
from tests.phantoms import ellipsoid, grid


def written(folder, name, on, **shape):
    mask = ellipsoid(on, **shape).astype(np.uint8)
    write_nifti(folder / name, LabelMap(mask, on))
    return mask


def test_two_files_are_scored_with_their_spacing(tmp_path):
    on = grid()
    reference = written(tmp_path, "wanted.nii.gz", on)
    prediction = written(tmp_path, "found.nii.gz", on, centre=(0.55, 0.5, 0.5))
    found = segtrain.score_files(
        tmp_path / "found.nii.gz", str(tmp_path / "wanted.nii.gz"), labels={"organ": 1}, metrics=["hd95", "dice"]
    )
    expected = score(prediction, reference, on.spacing_mm, labels={"organ": 1}, metrics=["hd95", "dice"])
    assert found["organ"]["dice"] == expected["organ"]["dice"]
    assert found["organ"]["hd95"].value == pytest.approx(expected["organ"]["hd95"].value, rel=1e-6)


def test_two_grids_are_refused(tmp_path):
    written(tmp_path, "wanted.nii.gz", grid())
    written(tmp_path, "found.nii.gz", grid(spacing_mm=(1.0, 1.2, 2.6)))
    with pytest.raises(DataError, match="prediction"):
        segtrain.score_files(tmp_path / "found.nii.gz", tmp_path / "wanted.nii.gz")
