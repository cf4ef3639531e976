"""Preparation: canonical axes, target spacing, normalised intensities."""

import numpy as np
import pytest

from segtrain.core.plan import ChannelIntensity
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap, Volume
from segtrain.data.prepare import normalise, prepare, work_grid
from tests.phantoms import grid, scan
from tests.plans import small_plan

TASK = Task(labels={"background": 0, "organ": 1})


@pytest.mark.parametrize("native", [grid(), grid(degrees=200), grid(flips=(-1, -1, 1))])
def test_a_prepared_case_lies_on_canonical_axes_with_the_target_spacing(native):
    image, labels = scan(native)
    prepared = prepare("a", image, labels, small_plan(spacing_mm=(2.0, 2.0, 2.5)), TASK)
    assert prepared.grid.orientation() == ((0, 1, 2), (False, False, False))
    assert np.allclose(prepared.grid.spacing_mm, (2.0, 2.0, 2.5), rtol=0.1)
    assert prepared.image.shape[1:] == prepared.classes.shape == prepared.grid.shape
    assert prepared.native is native


def test_image_and_label_stay_together():
    image, labels = scan(grid(degrees=200, flips=(-1, 1, 1)))
    prepared = prepare("a", image, labels, small_plan(spacing_mm=(1.5, 1.5, 2.0)), TASK)
    inside, outside = (prepared.image[0][prepared.classes == c].mean() for c in (1, 0))
    assert inside > outside + 1.5


def test_z_score_has_mean_0_and_deviation_1_and_ignores_an_outlier():
    channel = np.random.default_rng(0).normal(500, 50, (20, 20, 20)).astype(np.float32)
    channel[0, 0, 0] = 1e6
    scaled = normalise(channel, ChannelIntensity(channel="c", rule="zscore"))
    assert abs(scaled.mean()) < 1e-4
    assert abs(scaled.std() - 1) < 1e-3


def test_ct_uses_the_numbers_of_the_training_set():
    rule = ChannelIntensity(channel="c", rule="ct", lower=-100, upper=200, mean=50, std=25)
    scaled = normalise(np.array([[[-1000.0, 50.0, 3000.0]]], dtype=np.float32), rule)
    assert scaled.ravel().tolist() == [-6, 0, 6]


def test_a_constant_image_becomes_zero():
    assert not normalise(np.full((4, 4, 4), 7, np.float32), ChannelIntensity(channel="c", rule="zscore")).any()


def test_the_ignore_label_survives_as_class_255():
    native = grid()
    labels = np.zeros(native.shape, np.int16)
    labels[:5] = 99
    image = Volume(np.random.default_rng(0).normal(size=(1, *native.shape)).astype(np.float32), native)
    task = Task(labels={"background": 0, "organ": 1}, ignore=99)
    prepared = prepare("a", image, LabelMap(labels, native), small_plan(), task)
    assert set(np.unique(prepared.classes)) == {0, 255}


def test_a_null_spacing_keeps_the_scans_own():
    native = grid(spacing_mm=(1, 1, 4))
    assert work_grid(native, small_plan(dims=2, spacing_mm=(2, 2, 9))).spacing_mm[2] == pytest.approx(4)
