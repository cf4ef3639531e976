"""Losses on a device that is not the CPU, without one: on `meta` tensors have shapes and types, but no values.

There an operation on tensors of two devices raises, as does every look at a value, which on a GPU makes the step wait.
"""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from segtrain.core.task import Task
from segtrain.losses import build_loss, list_losses
from segtrain.losses.card import card
from segtrain.losses.needed_maps import needed_maps
from segtrain.losses.registry import supported_modes
from segtrain.models.settings import ModelSettings
from segtrain.recipes.assemble import Answer, make_model, training_loss
from tests.losses.fixtures import OUTPUTS, random_sample
from tests.plans import small_plan

CASES = [(name, mode) for name in list_losses() for mode in supported_modes(name)]
MEASURES_ANSWERS_ON_THE_CPU = {"hausdorff_dt", "log_hausdorff_dt", "dice_hausdorff", "cbdice"}
"""Distances of the answer change in every step, so no loader can make them."""
WAITS_FOR_A_COUNT = {"blob", "cc_dice_ce", "inverse_size_weighting"}
"""How many objects there are has to be known before their sums are made; ids of a map may have gaps."""
CHOOSES_VOXELS = {"topk_ce", "dice_topk"}
OPTIONS = {
    "focal": [{"alpha": None}],
    "generalized_wasserstein_dice": [{"distances": [[0, 1, 1], [1, 0, 0.5], [1, 0.5, 0]]}],
    "lovasz_softmax": [{"classes": "all"}, {"classes": [0]}, {"per_image": True}],
    "marginal_ce": [{"unlabelled": [1]}],
    "ce": [{"label_smoothing": 0.1}],
    "dml": [{"fp_weight": 0.3, "exponent": 2}],
}
VARIANTS = [(name, mode, options) for name, mode in CASES for options in ({}, *OPTIONS.get(name, ()))]


@pytest.fixture(autouse=True)
def no_autocast(monkeypatch):
    """It does not know the device."""
    monkeypatch.setattr(torch, "autocast", lambda **_: nullcontext())


def moved(values):
    return {name: moved(v) for name, v in values.items()} if isinstance(values, dict) else values.to("meta")


def run(loss, mode, *, masked, weighted):
    """Value and gradient of a call whose maps were made on the CPU, as the loader does."""
    random = torch.Generator().manual_seed(0)
    logits, target = random_sample(mode, space=(4, 5, 3), dtype=torch.float32)
    mask = torch.rand(2, 4, 5, 3, generator=random) > 0.3 if masked else None
    weight = torch.rand(2, 4, 5, 3, generator=random) if weighted else None
    maps = needed_maps(loss, target, mask, outputs=OUTPUTS[mode], spacing_mm=(1.0, 1.0, 1.0))
    x = moved(logits).requires_grad_()
    voxelwise = [None if part is None else moved(part) for part in (mask, weight)]
    value = loss.to("meta")(x, moved(target), voxelwise[0], weight_map=voxelwise[1], maps=moved(maps))
    (gradient,) = torch.autograd.grad(value, x)
    return value, gradient


def weighted_options(name, mode):
    return {"class_weights": [1.0] * OUTPUTS[mode]} if "class_weights" in {o.name for o in card(name).options} else {}


@pytest.mark.parametrize(("name", "mode", "options"), VARIANTS, ids=str)
@pytest.mark.parametrize("plain", [True, False], ids=["plain", "weighted"])
def test_a_loss_stays_on_its_device_and_looks_at_no_value(name, mode, options, plain):
    if name in MEASURES_ANSWERS_ON_THE_CPU | WAITS_FOR_A_COUNT:
        pytest.skip("it looks")
    loss = build_loss(name, mode, **options, **({} if plain else weighted_options(name, mode)))
    value, gradient = run(loss, mode, masked=not plain, weighted=not plain)
    assert (value.shape, value.device.type) == ((), "meta")
    assert gradient.shape[1] == OUTPUTS[mode]


@pytest.mark.parametrize("name", sorted(MEASURES_ANSWERS_ON_THE_CPU | WAITS_FOR_A_COUNT))
def test_an_exception_looks(name):
    mode = supported_modes(name)[0]
    with pytest.raises((RuntimeError, NotImplementedError), match=r"meta|Meta"):
        run(build_loss(name, mode), mode, masked=False, weighted=False)


def test_a_fit_moves_the_loss_to_the_network():
    plan = small_plan(widths=(4, 8), patch=(16, 16, 8))
    answer = Answer("multiclass", "softmax", 3)
    task = Task(labels={"background": 0, "organ": 1, "lesion": 2})
    model = make_model(plan, ModelSettings(), answer, seed=0).to("meta")
    inner = build_loss("dice_ce", "multiclass", class_weights=[1, 2, 3])
    training_loss(inner, model, plan, task, answer)
    assert {buffer.device.type for buffer in inner.buffers()} == {"meta"}


def test_a_loss_that_was_left_behind_is_found():
    """So this file finds what it is meant to find."""
    logits, target = (moved(part) for part in random_sample("multiclass", dtype=torch.float32))
    with pytest.raises(RuntimeError):
        build_loss("ce", "multiclass", class_weights=[1, 1, 1])(logits, target)


@pytest.fixture
def real_autocast(monkeypatch):
    """As it is."""
    monkeypatch.undo()


def on(device, loss, mode, dtype, *, masked):
    """Value and gradient, back on the CPU, of a call whose maps were made on the CPU."""
    logits, target = random_sample(mode, space=(9, 10, 7), dtype=torch.float32)
    mask = torch.rand(2, 9, 10, 7, generator=torch.Generator().manual_seed(0)) > 0.3 if masked else None
    maps = needed_maps(loss, target, mask, outputs=OUTPUTS[mode], spacing_mm=(1.0, 1.0, 1.0))
    x = logits.to(device, dtype).requires_grad_()
    there = {k: moved_to(v, device) for k, v in maps.items()}
    value = loss.to(device)(x, target.to(device), None if mask is None else mask.to(device), maps=there)
    (gradient,) = torch.autograd.grad(value, x)
    return value.detach().cpu().float(), gradient.cpu().float()


def moved_to(values, device):
    return {name: moved_to(v, device) for name, v in values.items()} if isinstance(values, dict) else values.to(device)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.usefixtures("real_autocast")
@pytest.mark.parametrize(("name", "mode", "options"), VARIANTS, ids=str)
@pytest.mark.parametrize("plain", [True, False], ids=["plain", "weighted"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_on_a_gpu_a_loss_and_its_gradient_are_those_of_the_cpu(name, mode, options, plain, dtype):
    if name in CHOOSES_VOXELS and dtype is torch.bfloat16:
        pytest.skip("equal values are many in bf16, and each device chooses its own among them")
    build = {**options, **({} if plain else weighted_options(name, mode))}
    here = on("cpu", build_loss(name, mode, **build), mode, dtype, masked=not plain)
    there = on("cuda", build_loss(name, mode, **build), mode, dtype, masked=not plain)
    tight = dtype is torch.float32
    assert torch.allclose(here[0], there[0], rtol=1e-4 if tight else 2e-2, atol=1e-5 if tight else 1e-2)
    apart, size = (here[1] - there[1]).norm(), here[1].norm()
    assert apart <= (1e-3 if tight else 3e-2) * size + 1e-6
