"""Logits become classes and probabilities; ties go to the first."""

import numpy as np
import torch

from segtrain.core.task import Task
from segtrain.inference.answer import classes_of, probabilities_of

TASK = Task(labels={"background": 0, "rim": 7, "core": 3})
REGIONS = TASK.model_copy(update={"regions": {"whole": ("rim", "core"), "core": ("core",)}})


def logits(*voxels):
    """(outputs, voxels, 1, 1) from the logits of each voxel."""
    return torch.tensor(voxels, dtype=torch.float32).T.reshape(len(voxels[0]), -1, 1, 1)


def test_the_strongest_class_wins_and_of_equal_ones_the_first():
    found = classes_of(logits((1, 2, 3), (3, 3, 1), (0, 2, 2), (-1, -5, -1)), TASK, "softmax")
    assert found.dtype == np.uint8
    assert found.ravel().tolist() == [2, 0, 1, 0]


def test_a_sigmoid_wins_where_it_exceeds_one_half():
    found = classes_of(logits((-1, -2), (0, 0), (0.1, 3), (2, -3)), TASK, "sigmoid")
    assert found.ravel().tolist() == [0, 0, 2, 1]


def test_many_classes_are_as_argmax_has_them():
    many = torch.randn(40, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(classes_of(many, TASK, "softmax"), many.numpy().argmax(0))


def test_regions_are_drawn_in_their_order():
    found = classes_of(logits((-1, -1), (1, -1), (1, 1), (-1, 1)), REGIONS, "sigmoid")
    assert found.ravel().tolist() == [0, TASK.names.index("rim"), TASK.names.index("core"), TASK.names.index("core")]


def test_probabilities_add_up_to_one_under_softmax_and_stand_alone_under_sigmoid():
    voxels = logits((1, 2, 3), (0, 0, 0))
    assert np.allclose(probabilities_of(voxels, "softmax").sum(0), 1)
    assert np.allclose(probabilities_of(voxels, "sigmoid")[:, 1], 0.5)
