"""A network answers windows alike, whether mirrored, one by one, or as slices."""

import numpy as np
import pytest
import torch
from torch import nn

from segtrain.inference.network import WindowNetwork
from tests.inference.straightforward import Convolved

CPU = torch.device("cpu")


def windows(count=2, size=(8, 6, 4)):
    return list(np.random.default_rng(0).normal(size=(count, 1, *size)).astype(np.float32))


def test_mirrored_answers_are_averaged_over_all_combinations_of_axes():
    model, (window,) = Convolved(2), windows(1)
    found = WindowNetwork(model, CPU, None, (0, 2)).answers([window])[0]
    image = torch.from_numpy(window[None])
    ways = [(), (2,), (4,), (2, 4)]
    expected = sum(model(image.flip(axes))[0].flip(axes) for axes in ways)[0] / 4
    assert not torch.allclose(found, model(image)[0][0], atol=1e-3)
    assert torch.allclose(found, expected, atol=1e-6)


def test_the_order_and_repetition_of_axes_change_nothing():
    ways = [WindowNetwork(Convolved(2), CPU, None, axes).answers(windows(1))[0] for axes in ((0, 2), (2, 0, 2))]
    assert torch.equal(*ways)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_is_not_mirrored_across_itself(axis):
    size = [8, 6, 4]
    size[axis] = 1
    ways = [WindowNetwork(Convolved(2, dims=2), CPU, axis, axes) for axes in ((axis,), ())]
    one, other = (network.answers(windows(1, size))[0] for network in ways)
    assert torch.equal(one, other)
    assert one.shape == (2, *size)


class Narrow(nn.Module):
    """Has memory for one window."""

    def __init__(self, most=1):
        super().__init__()
        self.most, self.sizes = most, []

    def forward(self, images):
        self.sizes.append(len(images))
        if len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return (images,)


def test_windows_that_do_not_fit_together_are_read_one_by_one():
    model, given = Narrow(), windows(3)
    found = WindowNetwork(model, CPU, None, ()).answers(given)
    assert model.sizes == [3, 1, 1, 1]
    assert all(np.array_equal(answer.numpy(), window) for answer, window in zip(found, given, strict=True))


def test_a_window_that_does_not_fit_alone_is_an_error():
    with pytest.raises(torch.OutOfMemoryError):
        WindowNetwork(Narrow(most=0), CPU, None, ()).answers(windows(2))


def test_another_error_is_not_taken_for_memory():
    class Broken(nn.Module):
        def forward(self, images):
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        WindowNetwork(Broken(), CPU, None, ()).answers(windows(2))
