"""Mutated scans, configs and checkpoints: refused in words within seconds, or read as an independent reader reads them.

25 of each by `make test`, always the same; 500 of each by `make test-slow`, others every time.
"""

from __future__ import annotations

import gzip
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from hypothesis import HealthCheck, given, settings

from segtrain.config.load import load_config
from segtrain.core.case import ScanSource
from segtrain.core.errors import CheckpointError, ConfigError, DataError, SegtrainError
from segtrain.core.volume import Volume
from segtrain.data.files.nifti import read_nifti, write_nifti_image
from segtrain.data.read import read_volume
from segtrain.training import checkpoint
from segtrain.training.foreign import read_foreign
from segtrain.training.settings import TrainingSettings
from segtrain.training.state import new_state
from tests import phantoms
from tests.commands.projects import CONFIG
from tests.data.dicom_phantoms import write_on_grid
from tests.fuzz.mutations import Change, changes, mutated

FEW, MANY, SECONDS = 25, 500, 10.0
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
GRID = phantoms.grid((7, 6, 5), degrees=15)
BOTH = [
    pytest.param(settings(max_examples=FEW, derandomize=True, deadline=None, suppress_health_check=QUIET), id="few"),
    pytest.param(
        settings(max_examples=MANY, deadline=None, print_blob=True, suppress_health_check=QUIET),
        id="many",
        marks=pytest.mark.slow,
    ),
]


@contextmanager
def in_time() -> Iterator[None]:
    """No example may hang; what libraries warn of is not the point."""
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    assert time.perf_counter() - began < SECONDS


def tried(how: settings, head: float, example: Callable[[list[Change]], None]) -> None:
    """Run an example as often as the settings say."""
    how(given(changes(head))(example))()


@pytest.mark.parametrize("how", BOTH)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_nifti_is_refused_or_read_as_nibabel_reads_it(tmp_path: Path, how: settings, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    values = np.random.default_rng(0).normal(size=(1, *GRID.shape)).astype(np.float32)
    write_nifti_image(path, Volume(values, GRID))
    sound = path.read_bytes()

    def example(steps: list[Change]) -> None:
        path.write_bytes(mutated(sound, steps))
        with in_time():
            try:
                found = read_nifti(path)
            except SegtrainError:
                return
            if suffix == ".nii.gz":
                gzip.decompress(path.read_bytes())  # a payload whose sum is wrong is never read
            judge = nibabel.load(path)
            array = np.asarray(judge.dataobj, dtype=np.float64)
            own = np.moveaxis(found.array, 0, -1).astype(np.float64)
            shape = array.shape if array.ndim > 3 else (*array.shape, *(1,) * (3 - array.ndim), 1)
            assert np.array_equal(own.reshape(shape), array.reshape(shape).astype(np.float32))
            assert np.allclose(found.grid.affine, judge.affine, rtol=1e-6, atol=1e-6)

    tried(how, 348 / len(sound) if suffix == ".nii" else 0.1, example)


def values_of(slice_: pydicom.FileDataset) -> np.ndarray:
    """What pydicom makes of a slice; elements without which the standard knows what is meant may be missing."""
    slice_.setdefault("SamplesPerPixel", 1)
    try:
        stored = slice_.pixel_array
    except NotImplementedError:  # the letters of how the pixels are represented are damaged; their bytes are not
        raw = slice_.get_item("PixelData")
        stored = np.frombuffer(raw.value, np.int16).reshape(slice_.Rows, slice_.Columns)
    return stored.T * float(slice_.get("RescaleSlope", 1)) + float(slice_.get("RescaleIntercept", 0))


@pytest.mark.parametrize("how", BOTH)
def test_a_series_is_refused_or_read_as_pydicom_reads_it(tmp_path: Path, how: settings) -> None:
    folder = tmp_path / "series"
    values = np.random.default_rng(0).integers(-500, 500, GRID.shape).astype(np.int16)
    write_on_grid(folder, values, GRID)
    files = sorted(folder.iterdir())
    victim = files[2]
    sound = victim.read_bytes()

    def example(steps: list[Change]) -> None:
        victim.write_bytes(mutated(sound, steps))
        with in_time():
            try:
                found = read_volume([ScanSource(folder)])
            except SegtrainError:
                return
            slices = [pydicom.dcmread(file, force=True) for file in files]
            expected = np.stack([values_of(s) for s in slices], -1)
            assert found.array[0].shape == expected.shape
            assert np.array_equal(found.array[0].astype(np.float32), expected.astype(np.float32))
            assert np.allclose(found.grid.spacing_mm[:2], [float(v) for v in slices[0].PixelSpacing][::-1], rtol=1e-5)

    tried(how, 0.6, example)


@pytest.mark.parametrize("how", BOTH)
def test_a_config_is_refused_in_words_or_is_one(tmp_path: Path, how: settings) -> None:
    path = tmp_path / "config.yaml"
    sound = CONFIG.encode()

    def example(steps: list[Change]) -> None:
        path.write_bytes(mutated(sound, steps))
        with in_time():
            try:
                loaded = load_config(path)
            except ConfigError:
                return
            assert loaded.config == load_config(path).config

    tried(how, 1.0, example)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A checkpoint."""
    state = new_state(torch.nn.Linear(4, 3), TrainingSettings(), 4)
    checkpoint.save(tmp_path / "last", state, {"plan": {}})
    return tmp_path / "last"


@pytest.mark.parametrize("how", BOTH)
def test_a_checkpoint_is_refused_or_its_weights_are_those_that_were_saved(saved: Path, how: settings) -> None:
    sound = {path.name: path.read_bytes() for path in saved.iterdir()}
    weights = torch.nn.Linear(4, 3)
    checkpoint.load_model(saved, weights)
    numbers = iter(range(10**9))

    def example(steps: list[Change]) -> None:
        victim = sorted(sound)[next(numbers) % len(sound)]
        for name, data in sound.items():
            (saved / name).write_bytes(mutated(data, steps) if name == victim else data)
        with in_time():
            again = torch.nn.Linear(4, 3)
            try:
                checkpoint.read_about(saved)
                checkpoint.load_model(saved, again)
            except CheckpointError:
                return
            assert torch.equal(again.weight, weights.weight)
            assert torch.equal(again.bias, weights.bias)

    tried(how, 1.0, example)


@pytest.mark.parametrize("how", BOTH)
def test_a_checkpoint_of_another_program_is_refused_or_its_tensors_are_those_that_were_saved(
    tmp_path: Path, how: settings
) -> None:
    state = {"a.weight": torch.arange(12.0).reshape(3, 4), "a.bias": torch.ones(3), "n": torch.tensor(4)}
    path = tmp_path / "a.pth"
    torch.save({"network_weights": state, "epoch": np.float64(3)}, path)
    sound = path.read_bytes()

    def example(steps: list[Change]) -> None:
        path.write_bytes(mutated(sound, steps))
        with in_time():
            try:
                found = read_foreign(path)
            except CheckpointError:
                return
            assert found.tensors.keys() == state.keys()
            assert all(torch.equal(found.tensors[name], tensor) for name, tensor in state.items())

    tried(how, 1.0, example)


def test_each_group_refuses_something_and_reads_what_is_sound(tmp_path: Path) -> None:
    """Else nothing would be tried."""
    path = tmp_path / "a.nii.gz"
    write_nifti_image(path, Volume(np.zeros((1, *GRID.shape), np.float32), GRID))
    read_nifti(path)
    path.write_bytes(mutated(path.read_bytes(), [Change("flip", 0.5, 3)]))
    with pytest.raises(DataError):
        read_nifti(path)
