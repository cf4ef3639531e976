"""Planes are final when they are given away, whatever the order of the axes, and few are open at a time."""

import numpy as np
import pytest
import torch

from segtrain.inference.network import WindowNetwork
from segtrain.inference.planes import CPU, LogitPlanes, Store, WindowedScan
from segtrain.inference.predict import Predictor
from segtrain.inference.settings import InferenceSettings
from tests.inference.straightforward import Convolved, blended
from tests.inference.test_predict import TASK
from tests.plans import small_plan

FLOAT = Store(CPU, torch.float32)
WINDOW = (8, 6, 4)


def image(shape=(21, 17, 13)):
    return np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)


def windowed(voxels, model=None, batch=2):
    return WindowedScan(WindowNetwork(model or Convolved(3), CPU, None, ()), voxels, WINDOW, 0.5, batch)


def whole(voxels):
    return tuple((0, n) for n in voxels.shape[1:])


def expected(voxels, along=0):
    plan = small_plan(patch=WINDOW)
    return blended(Predictor(Convolved(3), plan, TASK, "softmax", InferenceSettings(), CPU), voxels, along)


@pytest.mark.parametrize("along", [0, 1, 2])
@pytest.mark.parametrize("shape", [(21, 17, 13), (5, 17, 3), (8, 6, 4)])
@pytest.mark.parametrize("step", [1, 3, 100])
def test_all_planes_are_what_blending_the_whole_scan_gives(along, shape, step):
    voxels = image(shape)
    planes = LogitPlanes(windowed(voxels), whole(voxels), along, FLOAT)
    parts = [planes.planes(i, min(i + step, shape[along])).clone() for i in range(0, shape[along], step)]
    assert np.array_equal(torch.cat(parts, 1 + along).numpy(), expected(voxels, along))


@pytest.mark.parametrize("along", [0, 1, 2])
def test_a_box_is_the_same_as_that_part_of_the_whole(along):
    voxels = image()
    box = ((4, 15), (0, 9), (6, 13))
    found = LogitPlanes(windowed(voxels), box, along, FLOAT).planes(*box[along])
    assert np.array_equal(found.numpy(), expected(voxels, along)[(slice(None), *(slice(*side) for side in box))])


def test_planes_may_be_asked_for_again_while_they_are_not_left_behind():
    voxels = image()
    planes = LogitPlanes(windowed(voxels), whole(voxels), 0, FLOAT)
    first = planes.planes(0, 5).clone()
    assert torch.equal(planes.planes(3, 9)[:, :2], first[:, 3:])


def test_planes_may_be_left_out():
    voxels = image()
    planes = LogitPlanes(windowed(voxels), whole(voxels), 0, FLOAT)
    planes.planes(0, 1)
    found = [planes.planes(first, first + 1).clone() for first in (5, 10, 20)]
    assert np.array_equal(torch.cat(found, 1).numpy(), expected(voxels)[:, [5, 10, 20]])


def test_no_more_planes_are_open_than_a_window_is_thick():
    voxels = image((60, 6, 4))
    planes = LogitPlanes(windowed(voxels), whole(voxels), 0, FLOAT)
    most = 0
    for plane in range(60):
        planes.planes(plane, plane + 1)
        held = [segment.logits for segment in planes._segments if segment.logits is not None]
        most = max(most, sum(logits.shape[1] for logits in held))
    assert most <= WINDOW[0] + 1


def test_windows_are_read_only_when_their_planes_are_asked_for():
    class Counting(Convolved):
        count = 0

        def forward(self, images):
            self.count += len(images)
            return super().forward(images)

    model, voxels = Counting(3), image((60, 6, 4))
    planes = LogitPlanes(windowed(voxels, model), whole(voxels), 0, FLOAT)
    assert model.count == 0
    planes.planes(0, 1)
    assert model.count <= 2
    planes.planes(59, 60)
    assert model.count == 14


def test_half_precision_is_close_to_single():
    voxels = image()
    found = LogitPlanes(windowed(voxels), whole(voxels), 0, Store(CPU, torch.float16)).planes(0, 21)
    assert found.dtype == torch.float16
    assert np.abs(found.float().numpy() - expected(voxels)).max() < 0.02


def test_where_a_device_fails_the_work_goes_on_in_the_machines_memory_without_a_loss(monkeypatch):
    voxels = image()
    planes = LogitPlanes(windowed(voxels), whole(voxels), 0, Store(torch.device("meta"), torch.float32))
    calls = iter(range(10**6))
    opened = LogitPlanes._opened

    def failing(self, segment, answer):
        if self._store.device.type == "meta":
            self._store = FLOAT  # what a device would do until it is full
            result = opened(self, segment, answer)
            if next(calls) < 5:
                self._store = Store(torch.device("meta"), torch.float32)
                return result
            self._store = Store(torch.device("meta"), torch.float32)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return opened(self, segment, answer)

    monkeypatch.setattr(LogitPlanes, "_opened", failing)
    found = planes.planes(0, 21)
    assert planes.fell_back
    assert np.array_equal(found.numpy(), expected(voxels))


def test_where_the_machine_fails_too_it_is_an_error(monkeypatch):
    def failing(self, segment, answer):
        raise MemoryError

    monkeypatch.setattr(LogitPlanes, "_opened", failing)
    voxels = image()
    with pytest.raises(MemoryError):
        LogitPlanes(windowed(voxels), whole(voxels), 0, FLOAT).planes(0, 1)
