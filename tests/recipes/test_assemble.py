"""The loss decides how the network answers, and gets the target in its own form."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from segtrain.core.errors import ConfigError
from segtrain.core.task import IGNORED_CLASS, Task
from segtrain.data.loader import BatchLoader
from segtrain.data.plan.planning import CPU, GPU, PlanWishes
from segtrain.data.settings import AugmentSettings
from segtrain.data.store import StoredCase
from segtrain.losses.combine import DeepSupervision
from segtrain.losses.registry import build_loss
from segtrain.models.settings import ModelSettings
from segtrain.recipes.assemble import (
    HIDDEN,
    Answer,
    Stage,
    TrainingLoss,
    answer_for,
    device_class,
    make_loss,
    make_model,
    stages_of,
    training_loss,
    wishes_of,
)
from tests.data.test_patches import sampler, stored
from tests.plans import small_plan
from tests.recipes.projects import BROKEN_LOSS, load

ONE = Task(labels={"background": 0, "organ": 1})
TWO = Task(labels={"background": 0, "organ": 1, "lesion": 2}, ignore=9)
CONFIG = "data: {images: i, labels: l}\ntask: {labels: {background: 0, organ: 1, lesion: 2}}\nloss: {name: dice}\n"
ONE_STAGE = (Stage((6, 5, 4), (1.0, 1.0, 1.0)),)
NEED_MAPS = ["dice_boundary", "hausdorff_dt", "distance_ce", "skeleton_recall", "blob", "cc_dice_ce", "unet_border_ce"]
SOFTMAX, SIGMOID = Answer("multiclass", "softmax", 3), Answer("multilabel", "sigmoid", 2, ((1,), (2,)))


@pytest.mark.parametrize(
    ("task", "loss", "expected"),
    [
        (TWO, "dice", SOFTMAX),
        (ONE, "dice", Answer("multiclass", "softmax", 2)),
        (TWO, "lovasz_hinge", SIGMOID),
        (ONE, "lovasz_hinge", Answer("binary", "sigmoid", 1, ((1,),))),
    ],
)
def test_the_classes_are_exclusive_where_the_loss_knows_them_and_sigmoids_where_not(tmp_path, task, loss, expected):
    assert answer_for(task, loss, tmp_path) == expected


@pytest.mark.parametrize(("modes", "expected"), [("", SOFTMAX), ("modes = ('multilabel',)", SIGMOID)])
def test_a_loss_of_ones_own_is_exclusive_unless_it_says_otherwise(tmp_path, modes, expected):
    (tmp_path / "mine.py").write_text(f"from torch import nn\nclass Mine(nn.Module):\n    {modes or 'pass'}\n")
    assert answer_for(TWO, "mine.py:Mine", tmp_path) == expected


def test_a_loss_that_knows_one_structure_only_is_refused_for_two(tmp_path):
    (tmp_path / "mine.py").write_text("from torch import nn\nclass One(nn.Module):\n    modes = ('binary',)\n")
    with pytest.raises(ConfigError, match="cannot train 2 foreground labels: it knows binary"):
        answer_for(TWO, "mine.py:One", tmp_path)


@pytest.mark.parametrize(("name", "answer"), [("dice_ce", SOFTMAX), ("lovasz_hinge", SIGMOID)])
def test_a_voxel_of_the_ignore_label_pulls_at_no_output(name, answer):
    loss = TrainingLoss(DeepSupervision(build_loss(name, answer.mode), 1), answer, TWO, ONE_STAGE)
    classes = torch.randint(0, 3, (2, 6, 5, 4), generator=torch.Generator().manual_seed(0))
    classes[:, :2] = IGNORED_CLASS
    logits = torch.randn(2, answer.outputs, 6, 5, 4, requires_grad=True)
    loss((logits,), classes).backward()
    assert not logits.grad[:, :, :2].any()
    assert logits.grad[:, :, 2:].any()


def test_what_lies_in_ignored_voxels_does_not_change_the_loss():
    loss = TrainingLoss(DeepSupervision(build_loss("dice_ce", "multiclass"), 1), SOFTMAX, TWO, ONE_STAGE)
    classes = torch.randint(0, 3, (1, 6, 5, 4), generator=torch.Generator().manual_seed(0))
    classes[:, 3:] = IGNORED_CLASS
    logits = torch.randn(1, 3, 6, 5, 4)
    other = torch.where(classes.unsqueeze(1) == IGNORED_CLASS, 50.0, logits)
    assert torch.equal(loss((logits,), classes), loss((other,), classes))


def test_the_stages_that_the_network_answers_from_are_trained():
    plan = small_plan(widths=(4, 4, 4, 8), patch=(16, 16, 8))
    model = make_model(plan, ModelSettings(), SOFTMAX, seed=0)
    loss = training_loss(build_loss("dice_ce", "multiclass"), model, plan, TWO, SOFTMAX)
    loss(model(torch.randn(1, 1, 16, 16, 8)), torch.ones(1, 16, 16, 8, dtype=torch.int64)).backward()
    untrained = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert untrained == ["heads.2.weight", "heads.2.bias"], "the coarsest stage sees too little to answer"


def test_stages_are_coarser_by_the_strides():
    plan = small_plan(widths=(4, 4, 8), patch=(16, 8, 8), spacing_mm=(1.0, 1.5, 2.5))
    sides = [(1.0, 1.5, 2.5), (2.0, 3.0, 5.0), (4.0, 6.0, 10.0)]
    assert stages_of(plan) == tuple(map(Stage, [(16, 8, 8), (8, 4, 4), (4, 2, 2)], sides))
    flat = small_plan(dims=2, widths=(4, 8), patch=(16, 12, 1))
    assert stages_of(flat) == (Stage((16, 12), (1.0, 1.2)), Stage((8, 6), (2.0, 2.4)))


def test_an_axis_without_a_common_spacing_has_sides_of_one():
    plan = small_plan(spacing_mm=(1.0, None, 2.5))
    assert [stage.spacing_mm for stage in stages_of(plan)] == [(1.0, 1.0, 2.5), (2.0, 2.0, 5.0)]


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", NEED_MAPS)
def test_with_the_loaders_maps_a_loss_is_what_it_is_without(name, dims):
    plan = small_plan(dims=dims, widths=(4, 4, 4, 8), patch=(16, 16, 8))
    model = make_model(plan, ModelSettings(), SOFTMAX, seed=0)
    loss = training_loss(build_loss(name, "multiclass"), model, plan, TWO, SOFTMAX)
    scans = [with_ignored(stored(name, (24, 20, 12))) for name in "ab"]
    loader = BatchLoader(sampler(scans, plan), plan, AugmentSettings(rotation={"probability": 1}), 0, loss.make_maps)
    for batch, again in zip((loader.batch(2), loader.batch(3)), loader.batches(2, 4), strict=True):
        assert [sorted(stage) for stage in batch.maps[:-1]] == [sorted(batch.maps[0])] * 2
        assert (batch.maps[0] != {}, batch.maps[-1]) == (True, {}), "the coarsest stage does not count"
        for one, two in zip(batch.maps, again.maps, strict=True):
            assert all(torch.equal(values, two[key]) for key, values in one.items())
        logits = model(batch.images)
        alone, ahead = loss(logits, batch.classes), loss(logits, batch.classes, batch.maps)
        assert ahead.item() == pytest.approx(alone.item(), rel=1e-6)


def with_ignored(case: StoredCase) -> StoredCase:
    """Two objects of two classes, and a corner that is drawn by nobody."""
    classes = case.classes.copy()
    classes[2:6, 2:5, 2:6], classes[:8, :8, :8][classes[:8, :8, :8] == 0] = 2, IGNORED_CLASS
    return replace(case, arrays={**case.arrays, "classes": classes})


@pytest.mark.parametrize("loss", [build_loss("dice_ce", "multiclass"), torch.nn.CrossEntropyLoss()])
def test_a_loss_that_needs_no_maps_has_none_made(loss):
    plan = small_plan()
    whole = training_loss(loss, make_model(plan, ModelSettings(), SOFTMAX, seed=0), plan, TWO, SOFTMAX)
    assert whole.make_maps(torch.zeros(1, 16, 12, 8, dtype=torch.int64), ["a"]) == ()


def test_every_wrong_option_of_a_loss_is_named(tmp_path):
    loaded = load(tmp_path, "loss={name: tversky, fn_weight: -1, gama: 2}", text=CONFIG)
    with pytest.raises(ConfigError) as error:
        make_loss(loaded.config, SOFTMAX, tmp_path)
    assert len(error.value.problems) == 2
    assert {"fn_weight", "gama"} == {p.what.partition(":")[0] for p in error.value.problems}


def test_a_loss_that_returns_no_single_number_is_refused_before_training(tmp_path):
    (tmp_path / "mine.py").write_text(BROKEN_LOSS)
    loaded = load(tmp_path, text=CONFIG.replace("dice", "'mine.py:Vector'"))
    with pytest.raises(ConfigError, match="not one number"):
        make_loss(loaded.config, SOFTMAX, tmp_path)


def test_a_loss_that_takes_no_mask_is_refused_only_where_the_task_ignores_voxels(tmp_path):
    text = CONFIG.replace("dice", "'torch.nn:CrossEntropyLoss'")
    make_loss(load(tmp_path, text=text).config, SOFTMAX, tmp_path)
    with pytest.raises(ConfigError, match=r"because task.ignore is set[\s\S]*fix: a loss takes \(logits, target, mask"):
        make_loss(load(tmp_path, "task.ignore=9", text=text).config, SOFTMAX, tmp_path)


@pytest.mark.parametrize("answer", [SOFTMAX, SIGMOID])
def test_the_network_answers_with_as_many_outputs_as_asked(answer):
    model = make_model(small_plan(), ModelSettings(deep_supervision=False), answer, seed=0)
    assert model(torch.randn(1, 1, 16, 12, 8))[0].shape == (1, answer.outputs, 16, 12, 8)


def test_equal_seeds_make_equal_networks():
    one, two, other = (make_model(small_plan(), ModelSettings(), SOFTMAX, seed=s).state_dict() for s in (3, 3, 4))
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)


def test_what_the_config_fixes_goes_into_the_plan(tmp_path):
    fixed = ["model.widths=[4, 8]", "model.patch_size=[8, 8, 4]", "training.batch_size=3"]
    wishes = wishes_of(load(tmp_path, *fixed, text=CONFIG).config)
    assert wishes == PlanWishes(dims=3, widths=(4, 8), patch_size=(8, 8, 4), batch_size=3)


@pytest.mark.parametrize(("device", "kind"), [("cpu", CPU), ("cuda", GPU), ("mps", GPU)])
def test_a_network_for_the_cpu_is_smaller(device, kind):
    assert device_class(torch.device(device), 16 * 2**30) == kind


def test_the_patch_of_a_gpu_with_little_memory_is_smaller_in_proportion():
    half = device_class(torch.device("cuda"), 4 * 2**30)
    assert half.patch_voxels == {2: GPU.patch_voxels[2] // 2, 3: GPU.patch_voxels[3] // 2}
    assert device_class(torch.device("mps"), None) == GPU


NESTED = {"whole": ("organ", "lesion"), "lesion": ("lesion",)}


def test_regions_are_answered_by_a_sigmoid_each(tmp_path):
    task = Task(labels=TWO.labels, regions=NESTED)
    assert answer_for(task, "dice_ce", tmp_path) == Answer("multilabel", "sigmoid", 2, ((1, 2), (2,)))
    with pytest.raises(ConfigError, match="cannot train 2 regions, which may overlap: it knows multiclass"):
        answer_for(task, "marginal_ce", tmp_path)


def test_a_region_that_is_right_costs_nothing():
    task = Task(labels=TWO.labels, regions=NESTED)
    answer = Answer("multilabel", "sigmoid", 2, ((1, 2), (2,)))
    loss = TrainingLoss(DeepSupervision(build_loss("dice_ce", "multilabel"), 1), answer, task, ONE_STAGE)
    classes = torch.randint(0, 3, (1, 6, 5, 4), generator=torch.Generator().manual_seed(0))
    logits = torch.stack([classes >= 1, classes == 2], 1).float() * 40 - 20
    assert loss((logits,), classes).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("loss", "answer"), [("dice_ce", SOFTMAX), ("lovasz_hinge", SIGMOID), ("dice_boundary", SOFTMAX)]
)
def test_what_a_case_does_not_tell_is_not_trained(loss, answer):
    task = Task(labels=TWO.labels, ignore=9, partial={"half_*": ("organ",)})
    made = TrainingLoss(DeepSupervision(build_loss(loss, answer.mode), 1), answer, task, ONE_STAGE)
    classes = torch.zeros(2, 6, 5, 4, dtype=torch.int64)
    classes[:, :3] = 1
    maps = made.make_maps(classes, ["half_1", "full_1"])
    assert maps[0][HIDDEN].tolist() == [[*[False] * (answer.outputs - 1), True], [False] * answer.outputs]
    logits = torch.randn(2, answer.outputs, 6, 5, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    made((logits,), classes, maps).backward()
    lesion = logits.grad[:, -1]
    if answer.activation == "sigmoid":
        assert not lesion[0].any()
    else:
        background = classes[0] == 0
        pushed_down = lesion[0][background]
        assert (pushed_down <= 0).float().mean() > 0.9, "background may be the lesion that nobody drew"
    assert lesion[1].any()


def test_without_partial_cases_there_is_nothing_to_tell():
    loss = TrainingLoss(DeepSupervision(build_loss("dice", "multiclass"), 1), SOFTMAX, TWO, ONE_STAGE)
    assert loss.make_maps(torch.zeros(1, 6, 5, 4, dtype=torch.int64), ["half_1"]) == ()
