"""A prediction lies on the scan's own grid and holds the task's own label ids; it is the same however it is divided."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from segtrain.core.errors import ResourceError
from segtrain.core.task import Task
from segtrain.data.prepare import prepare
from segtrain.inference.predict import Ensemble, Predictor
from segtrain.inference.settings import InferenceSettings
from tests.inference.straightforward import Convolved, all_at_once, all_logits, blended
from tests.phantoms import grid, scan
from tests.plans import small_plan

TASK = Task(labels={"background": 0, "organ": 7})
CPU = torch.device("cpu")
NATIVES = {
    "plain": grid((20, 25, 14)),
    "oblique and flipped": grid((20, 25, 14), degrees=200, flips=(-1, 1, -1)),
    "other axes": grid((16, 25, 24), (0.9, 2.5, 0.6), degrees=85),
}
MANY = Task(labels={f"l{i}": 40 * i for i in range(9)})
REGIONS = Task(
    labels={"background": 0, "a": 7, "b": 3, "c": 1}, regions={"all": ("a", "b", "c"), "bc": ("b", "c"), "c": ("c",)}
)


def predictor(model, plan=None, task=TASK, activation="softmax", **settings):
    return Predictor(model, plan or small_plan(), task, activation, InferenceSettings(**settings), CPU)


def predicted(image, *members, sink=None):
    ensemble = Ensemble(members)
    return ensemble.predict(ensemble.prepare("a", image), sink)


class Threshold(nn.Module):
    """Says `organ` where the normalised image is bright, as softmax or as sigmoid logits."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs

    def forward(self, images):
        bright = 4 * (images[:, :1] - 1.0)
        return (torch.cat([-bright, bright], dim=1) if self.outputs == 2 else bright,)


@pytest.mark.parametrize(("activation", "outputs"), [("softmax", 2), ("sigmoid", 1)])
@pytest.mark.parametrize("native", [grid(), grid(degrees=200, flips=(-1, 1, -1))])
def test_the_mask_comes_back_on_the_native_grid(activation, outputs, native):
    image, labels = scan(native)
    plan = small_plan(spacing_mm=(0.9, 0.9, 2.0))
    found = predicted(image, predictor(Threshold(outputs), plan, activation=activation)).labels
    assert found.grid is native
    assert set(np.unique(found.array)) == {0, 7}
    overlap = 2 * ((found.array == 7) & (labels.array == 1)).sum() / ((found.array == 7).sum() + labels.array.sum())
    assert overlap > 0.95


def straight_classes(logits, task, activation):
    """From all logits, as NumPy has it."""
    if task.regions is not None:
        found = np.zeros(logits.shape[1:], int)
        for index, logit in zip(task.drawn, logits, strict=True):
            found[logit > 0] = index
        return found
    if activation == "sigmoid":
        logits = np.concatenate([np.zeros_like(logits[:1]), logits])
    return logits.argmax(0)


@pytest.mark.parametrize(
    ("task", "activation", "outputs", "members"),
    [(MANY, "softmax", 9, 1), (MANY, "sigmoid", 8, 1), (REGIONS, "sigmoid", 3, 1), (MANY, "softmax", 9, 3)],
)
@pytest.mark.parametrize("spacing_mm", [(0.9, 1.5, 1.3), (None, None, None)], ids=["resampled", "as it is"])
@pytest.mark.parametrize("native", NATIVES.values(), ids=NATIVES)
def test_it_is_the_straightforward_mask_bit_for_bit_however_little_memory_there_is(
    task, activation, outputs, members, spacing_mm, native, monkeypatch
):
    image, _ = scan(native)
    plans = [small_plan(spacing_mm=spacing_mm), small_plan(spacing_mm=(1.1, 1.0, 2.0), patch=(8, 16, 12)), small_plan()]
    networks = [
        predictor(Convolved(outputs, seed), plan, task, activation) for seed, plan in enumerate(plans[:members])
    ]
    logits = all_logits(networks, image)
    expected = task.to_labels(straight_classes(logits, task, activation))
    whole = predicted(image, *networks)
    assert np.array_equal(whole.labels.array, expected)
    assert whole.notes == ()
    monkeypatch.setattr("segtrain.inference.blocks.CHUNK_BYTES", 2**14)
    monkeypatch.setattr("segtrain.inference.place.MIB", all_at_once(networks, image).open_bytes // 48)
    small = [replace(one, settings=one.settings.model_copy(update={"memory_mib": 16})) for one in networks]
    divided = predicted(image, *small)
    assert np.array_equal(divided.labels.array, expected)
    assert "blocks" in divided.notes[0]


@pytest.mark.parametrize("dims", [2, 3])
def test_a_network_of_slices_is_read_as_one_of_volumes(dims):
    image, _ = scan(NATIVES["oblique and flipped"])
    one = predictor(Convolved(9, dims=dims), small_plan(dims=dims), MANY)
    assert np.array_equal(predicted(image, one).labels.array, MANY.to_labels(all_logits([one], image).argmax(0)))


@pytest.mark.parametrize(
    ("ids", "dtype"), [((0, 1), np.uint8), ((0, 255), np.uint8), ((0, 256), np.uint16), ((0, 70000), np.int32)]
)
def test_the_mask_is_as_small_as_the_ids_allow(ids, dtype):
    task = Task(labels={f"l{i}": i for i in ids})
    assert predicted(scan(grid())[0], predictor(Threshold(2), task=task)).labels.array.dtype == dtype


def test_probabilities_are_given_for_every_voxel_once():
    image, _ = scan(NATIVES["other axes"])
    one = predictor(Convolved(9), small_plan(spacing_mm=(0.9, 1.5, 1.3)), MANY)
    found = np.full((9, *image.grid.shape), np.nan, np.float32)

    def keep(box, probabilities):
        assert np.isnan(found[(slice(None), *box)]).all()
        found[(slice(None), *box)] = probabilities

    mask = predicted(image, one, sink=keep).labels
    expected = torch.from_numpy(all_logits([one], image)).softmax(0).numpy()
    assert np.array_equal(found, expected)
    assert np.array_equal(mask.array, MANY.to_labels(found.argmax(0)))


def test_classes_of_a_prepared_scan_stay_on_its_grid():
    image, _ = scan(grid(degrees=20))
    one = predictor(Convolved(9), small_plan(spacing_mm=(0.9, 1.5, 1.3)), MANY)
    ready = prepare("a", image, None, one.plan, MANY)
    found = one.classes(ready.image)
    assert found.dtype == np.uint8
    assert found.shape == ready.grid.shape
    assert (found == blended(one, ready.image, along=1).argmax(0)).mean() > 0.9999


class Says(nn.Module):
    """The same logit of the organ everywhere."""

    def __init__(self, logit):
        super().__init__()
        self.logit = logit

    def forward(self, images):
        return (torch.full_like(images[:, :1], self.logit),)


@pytest.mark.parametrize(("logits", "found"), [((3.0, -1.0), 7), ((1.0, -3.0), 0), ((-1.0, -1.0, 3.0), 7)])
def test_the_logits_of_several_networks_are_averaged_on_the_scans_grid(logits, found):
    image, _ = scan(grid(degrees=20))
    plans = [small_plan(spacing_mm=(0.8 + 0.1 * n, 1, 2)) for n in range(len(logits))]
    members = [predictor(Says(logit), plan, activation="sigmoid") for logit, plan in zip(logits, plans, strict=True)]
    mask = predicted(image, *members).labels
    assert mask.grid is image.grid
    assert (mask.array == found).all()


def test_networks_that_are_prepared_alike_share_one_image():
    image, _ = scan(grid())
    members = predictor(Says(1)), predictor(Says(2)), predictor(Says(3), small_plan(spacing_mm=(2, 2, 2)))
    ready = Ensemble(members).prepare("a", image)
    assert ready.images[0] is ready.images[1]
    assert ready.images[2].shape != ready.images[0].shape


def test_a_mask_is_post_processed_on_the_scans_grid_and_probabilities_are_not():
    image, _ = scan(grid())
    image.array[0, :2, :2, :2] = 100
    given = []
    plain, cleaned = (
        predicted(image, predictor(Threshold(2), postprocess=settings), sink=lambda _, p: given.append(p)).labels.array
        for settings in ({}, {"keep_largest": ["organ"]})
    )
    assert (plain[0, 0, 0], cleaned[0, 0, 0]) == (7, 0)
    assert (plain != cleaned).sum() < 20
    assert np.array_equal(*given)


def test_memory_that_is_too_small_says_what_was_predicted():
    class Huge(nn.Module):
        def forward(self, images):
            return (images.new_empty(1 << 55),)

    with pytest.raises(ResourceError, match="predicting a scan of 24x20x12 voxels in windows of 16x12x8") as error:
        predicted(scan(grid())[0], predictor(Huge()))
    assert "inference.batch_size" in str(error.value)


@pytest.mark.parametrize(("memory_mib", "windows"), [(1024, 4), (64, 2), (16, 1)])
def test_fewer_windows_are_read_at_once_where_their_answers_take_much_memory(memory_mib, windows, monkeypatch):
    monkeypatch.setattr("segtrain.inference.predict.MIB", 2**12)  # an answer of 16x12x8 voxels and 4 classes: 24 KiB
    task = Task(labels={f"l{i}": i for i in range(4)})
    one = predictor(Convolved(4), task=task, memory_mib=memory_mib, batch_size=4)
    on = grid().canonical()
    assert one.reader(np.zeros((1, *on.shape), np.float32), on, on).scan.batch_size == windows
