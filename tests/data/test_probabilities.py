"""Probabilities are written box by box, are what nibabel reads, and are there whole or not at all."""

import nibabel as nib
import numpy as np
import pytest

from segtrain.core.errors import ResourceError
from segtrain.data import probabilities
from segtrain.data.probabilities import probability_file
from tests.phantoms import grid

ON = grid((7, 5, 4), degrees=20, flips=(-1, 1, 1))


def test_boxes_in_any_order_become_one_image_of_all_outputs(tmp_path):
    numbers = np.random.default_rng(0).random((3, *ON.shape)).astype(np.float32)
    with probability_file(tmp_path / "a.nii", ON, 3) as write:
        for part in (slice(2, 4), slice(0, 2)):
            write((slice(0, 7), slice(0, 5), part), numbers[..., part])
    found = nib.load(tmp_path / "a.nii")
    assert found.shape == (*ON.shape, 3)
    assert found.get_data_dtype() == np.uint16
    assert np.abs(np.moveaxis(found.get_fdata(), -1, 0) - numbers).max() < 1e-5
    assert np.allclose(found.affine, ON.affine, atol=1e-5)


def test_nothing_and_all_are_exact(tmp_path):
    numbers = np.zeros((2, *ON.shape), np.float32)
    numbers[1] = 1
    with probability_file(tmp_path / "a.nii", ON, 2) as write:
        write((slice(None), slice(None), slice(None)), numbers)
    assert sorted(np.unique(nib.load(tmp_path / "a.nii").get_fdata()).round(7)) == [0, 1]


def test_what_is_broken_off_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), probability_file(tmp_path / "a.nii", ON, 2):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(probabilities, "free_disk_bytes", lambda _: 500)
    with (
        pytest.raises(ResourceError, match="no room for the probabilities"),
        probability_file(tmp_path / "a.nii", ON, 2),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
