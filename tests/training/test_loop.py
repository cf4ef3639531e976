"""The loop trains, tells, and stops on numbers that are none."""

import copy
from dataclasses import replace
from itertools import pairwise
from math import isfinite

import pytest
import torch
import torch.nn.functional as functional

from segtrain.core.batch import Batch
from segtrain.core.errors import DivergedError, ResourceError
from segtrain.core.events import EpochEnded, StepEnded
from segtrain.models.network import OwnNetwork
from segtrain.models.settings import ModelSettings
from segtrain.models.unet import UNet
from segtrain.training.checkpoint import load_state, save
from segtrain.training.loop import follow, split, train
from segtrain.training.optimisers import make_optimiser
from segtrain.training.settings import TrainingSettings
from segtrain.training.state import TrainingState
from tests.faults.table import fault
from tests.plans import small_plan

CPU = torch.device("cpu")
SETTINGS = TrainingSettings(epochs=3, steps_per_epoch=4)


def new_state(seed=0, total=12, per_epoch=4, settings=SETTINGS) -> TrainingState:
    model = UNet(small_plan(), ModelSettings(deep_supervision=False), outputs=2, seed=seed)
    average = None if settings.ema_decay is None else copy.deepcopy(model).requires_grad_(False)
    return TrainingState(model, make_optimiser(model, settings), total, per_epoch, average)


def batches(first=0, last=12):
    for step in range(first, last):
        generator = torch.Generator().manual_seed(step)
        images = torch.randn(2, 1, 16, 12, 8, generator=generator)
        yield Batch(images, (images[:, 0] > 0).long(), (f"case{step}a", f"case{step}b"))


def cross_entropy(logits, classes, maps=()):
    return functional.cross_entropy(logits[0], classes)


def test_the_loss_falls_and_every_step_and_epoch_is_told():
    events = list(train(new_state(), batches(), cross_entropy, SETTINGS, CPU))
    epochs = [e for e in events if isinstance(e, EpochEnded)]
    assert [e.step for e in events if isinstance(e, StepEnded)] == list(range(1, 13))
    assert [(e.epoch, e.epochs, e.step) for e in epochs] == [(1, 3, 4), (2, 3, 8), (3, 3, 12)]
    assert epochs[-1].train_loss < epochs[0].train_loss


def test_two_runs_of_one_seed_end_with_equal_weights():
    states = [new_state(), new_state()]
    for state in states:
        list(train(state, batches(), cross_entropy, SETTINGS, CPU))
    one, two = (s.model.state_dict() for s in states)
    assert all(torch.equal(one[k], two[k]) for k in one)


def failing(*calls):
    """A loss that is NaN at these calls, from 1."""

    def loss(logits, classes, maps):
        loss.calls += 1
        return cross_entropy(logits, classes) * (float("nan") if loss.calls in calls else 1.0)

    loss.calls = 0
    return loss


def test_the_third_step_of_an_epoch_that_is_not_finite_stops_with_the_cases_of_all():
    with pytest.raises(DivergedError, match="nan at step 5 of 12") as error:
        list(train(new_state(), batches(), failing(5, 6, 8), SETTINGS, CPU))
    assert [problem.where for problem in error.value.problems] == [f"cases case{n}a, case{n}b" for n in (4, 5, 7)]
    assert "learning_rate" in error.value.problems[-1].hint
    assert error.value.exit_code == 5


def test_an_epoch_without_a_finite_step_stops_too():
    short = SETTINGS.model_copy(update={"steps_per_epoch": 2})
    with pytest.raises(DivergedError, match="nan at step 3 of 12"):
        list(train(new_state(per_epoch=2), batches(), failing(3, 4), short, CPU))


def test_it_is_not_waited_for_the_end_of_a_long_epoch(monkeypatch):
    monkeypatch.setattr("segtrain.training.loop.LOOK_EVERY", 3)
    loss = failing(*range(1, 13))
    with pytest.raises(DivergedError):
        list(train(new_state(per_epoch=12), batches(), loss, SETTINGS, CPU))
    assert loss.calls == 3


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_a_step_that_is_not_finite_changes_nothing_and_is_counted(optimiser):
    settings = SETTINGS.model_copy(update={"optimiser": optimiser})
    state = new_state(settings=settings)
    events = train(state, batches(), failing(3), settings, CPU)
    weights = []
    for event in events:
        if isinstance(event, EpochEnded):
            break
        weights.append([p.detach().clone() for p in state.model.parameters()])
    changed = [any(not torch.equal(a, b) for a, b in zip(*pair, strict=True)) for pair in pairwise(weights)]
    assert changed == [True, False, True]
    assert event.skipped_steps == 1
    assert isfinite(event.train_loss)


def test_the_loss_is_handed_the_maps_of_its_batch():
    seen = []

    def loss(logits, classes, maps):
        seen.append(maps)
        return cross_entropy(logits, classes)

    given = [replace(batch, maps=({"number": torch.tensor(n)}, {})) for n, batch in enumerate(batches(0, 3))]
    list(train(new_state(), given, loss, SETTINGS, CPU))
    assert seen == [({"number": torch.tensor(n)}, {}) for n in range(3)]


def spoiling(step):
    """A loss that is finite and has a gradient of NaN at one step."""

    def loss(logits, classes, maps):
        loss.calls += 1
        hidden = (logits[0] - logits[0].detach()).abs().sqrt().sum()  # 0, with the slope 0 * infinity
        return cross_entropy(logits, classes) + (hidden if loss.calls == step else 0)

    loss.calls = 0
    return loss


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_a_first_step_that_is_not_finite_leaves_a_sound_beginning(optimiser):
    settings = SETTINGS.model_copy(update={"optimiser": optimiser, "learning_rate": 1e-3})
    state = new_state(settings=settings)
    before = [weights.clone() for weights in state.model.parameters()]
    events = train(state, batches(), failing(1), settings, CPU)
    next(events)
    assert all(map(torch.equal, state.model.parameters(), before))
    list(events)
    assert max(weights.abs().max().item() for weights in state.model.parameters()) < 100


def test_one_step_at_the_start_of_an_epoch_is_not_all_of_it():
    state = new_state(total=48, per_epoch=24)
    told = [e for e in train(state, batches(0, 48), failing(25), SETTINGS, CPU) if isinstance(e, EpochEnded)]
    assert [event.skipped_steps for event in told] == [0, 1]


@pytest.mark.parametrize("clip_norm", [1.0, None])
@fault("F24", "a gradient that is not finite", then="0, the step changes nothing")
def test_a_gradient_that_is_not_finite_under_a_finite_loss_changes_nothing(clip_norm):
    settings = SETTINGS.model_copy(update={"clip_norm": clip_norm})
    state = new_state()
    told = [e for e in train(state, batches(), spoiling(6), settings, CPU) if isinstance(e, EpochEnded)]
    assert [event.skipped_steps for event in told] == [0, 1, 0]
    assert state.is_finite()


@pytest.mark.parametrize("place", ["the loss", "the optimiser's first step"])
@fault("F25", "an allocation that fails in a step", then="4, the device and what to set")
def test_memory_that_is_too_small_says_what_was_tried_on(monkeypatch, place):
    def full(*_):
        raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.")

    state = new_state()
    if place != "the loss":
        monkeypatch.setattr(state.optimiser, "step", full)
    loss = full if place == "the loss" else cross_entropy
    with pytest.raises(ResourceError, match="out of memory training on 2 patches of 16x12x8 voxels"):
        list(train(state, batches(), loss, SETTINGS, CPU))


def stopped(steps, state=None):
    """The state of a training that was broken off right after that step was told."""
    state = state or new_state()
    events = train(state, batches(state.step), cross_entropy, SETTINGS, CPU)
    next(event for event in events if isinstance(event, StepEnded) and event.step == steps)
    events.close()
    return state


@pytest.mark.parametrize(("steps", "kept"), [(1, 1), (3, 3), (4, 4), (5, 1), (12, 4)])
def test_while_it_waits_at_a_step_the_losses_of_the_epoch_are_in_the_state(steps, kept):
    assert len(stopped(steps).losses) == kept


def test_while_it_waits_at_an_epoch_its_losses_are_done_with():
    state = new_state()
    events = train(state, batches(), cross_entropy, SETTINGS, CPU)
    next(event for event in events if isinstance(event, EpochEnded))
    assert (state.step, state.losses, state.is_at_epoch_end) == (4, [], False)


@pytest.mark.parametrize("steps", [4, 12])
def test_broken_off_after_the_last_step_of_an_epoch_it_first_tells_of_the_epoch(steps):
    state = stopped(steps)
    told = next(train(state, batches(steps), cross_entropy, SETTINGS, CPU))
    whole = [e for e in train(new_state(), batches(), cross_entropy, SETTINGS, CPU) if isinstance(e, EpochEnded)]
    expected = next(event for event in whole if event.step == steps)
    assert isinstance(told, EpochEnded)
    assert (told.epoch, told.step, told.train_loss) == (expected.epoch, expected.step, expected.train_loss)
    assert told.learning_rate == expected.learning_rate


@pytest.mark.parametrize("steps", [1, 3])
def test_broken_off_within_an_epoch_its_mean_is_over_all_of_its_steps(steps):
    rest = train(stopped(steps), batches(steps), cross_entropy, SETTINGS, CPU)
    told = next(event for event in rest if isinstance(event, EpochEnded))
    whole = train(new_state(), batches(), cross_entropy, SETTINGS, CPU)
    first = next(event for event in whole if isinstance(event, EpochEnded))
    assert (told.train_loss, told.gradient_norm) == (first.train_loss, first.gradient_norm)
    assert told.gradient_norm > 0


def test_a_step_after_a_resume_that_is_not_finite_is_named_with_its_own_cases():
    state = stopped(2)
    state.losses[0] = torch.tensor(float("nan"))
    with pytest.raises(DivergedError, match="nan at step 1 of 12") as error:
        list(train(state, batches(2), failing(1, 2), SETTINGS, CPU))
    assert [problem.where for problem in error.value.problems] == ["", "cases case2a, case2b", "cases case3a, case3b"]


def test_nothing_is_left_to_tell_once_all_is_done():
    state = new_state()
    list(train(state, batches(), cross_entropy, SETTINGS, CPU))
    assert list(train(state, batches(12), cross_entropy, SETTINGS, CPU)) == []


def test_the_gradient_is_clipped():
    state = new_state(total=4)
    before = [p.detach().clone() for p in state.model.parameters()]
    sgd = torch.optim.SGD(state.model.parameters(), lr=1.0, fused=True)
    state.optimiser = sgd
    settings = TrainingSettings(clip_norm=0.5, learning_rate=1.0, warmup_share=0)
    next(train(state, batches(0, 1), lambda logits, c, _: 1e3 * cross_entropy(logits, c), settings, CPU))
    moved = torch.cat([(p.detach() - b).flatten() for p, b in zip(state.model.parameters(), before, strict=True)])
    assert moved.norm().item() == pytest.approx(0.5, rel=1e-3)


def per_sample(logits, classes, maps=()):
    """A loss that is a mean over samples, as region losses are."""
    return functional.cross_entropy(logits[0], classes, reduction="none").flatten(1).mean(1).square().mean()


def test_a_batch_in_parts_has_the_gradient_of_the_whole():
    whole, parted = new_state(total=4), new_state(total=4)
    list(train(whole, batches(0, 3), per_sample, SETTINGS, CPU))
    list(train(parted, batches(0, 3), per_sample, SETTINGS.model_copy(update={"accumulation": 2}), CPU))
    torch.testing.assert_close(whole.losses, parted.losses)
    for one, other in zip(whole.model.parameters(), parted.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_parts_keep_what_belongs_to_their_samples():
    batch = replace(next(batches()), maps=({"order": torch.arange(2)},))
    first, second = split(batch, 2)
    assert (first.case_ids, second.case_ids) == (("case0a",), ("case0b",))
    assert torch.equal(torch.cat([first.images, second.images]), batch.images)
    assert (first.maps[0]["order"].tolist(), second.maps[0]["order"].tolist()) == ([0], [1])


@pytest.mark.parametrize("parts", [3, 4])
def test_a_batch_that_has_no_equal_parts_is_refused(parts):
    with pytest.raises(ValueError, match=f"a batch of 2 has no {parts} equal parts"):
        list(split(next(batches()), parts))


def test_an_average_follows_the_weights_and_at_first_faster():
    average, model = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        average.weight.fill_(0.0)
        model.weight.fill_(1.0)
    follow(average, model, 0, 0.9)
    assert average.weight.item() == pytest.approx(0.9)
    follow(average, model, 10**6, 0.9)
    assert average.weight.item() == pytest.approx(0.91)


def test_an_average_has_the_statistics_of_the_model():
    average, model = torch.nn.BatchNorm1d(1), torch.nn.BatchNorm1d(1)
    model(torch.full((4, 1), 10.0))
    follow(average, model, 10**6, 0.9)
    assert torch.equal(average.running_mean, model.running_mean)
    assert average.num_batches_tracked == 1


class Draws(torch.nn.Module):
    """A network of one's own that drops half of what it makes."""

    def __init__(self):
        super().__init__()
        self.body = torch.nn.Conv3d(1, 2, 3, padding=1)

    def forward(self, images):
        return torch.nn.functional.dropout(self.body(images), training=self.training)


def test_what_a_network_of_ones_own_draws_follows_from_seed_and_step(tmp_path):
    def begun():
        network = OwnNetwork("mine", lambda *_: Draws(), small_plan(), outputs=2, seed=0)
        return TrainingState(network, make_optimiser(network, SETTINGS), 12, 4)

    whole, half, resumed = begun(), begun(), begun()
    list(train(whole, batches(), cross_entropy, SETTINGS, CPU))
    list(train(half, batches(0, 6), cross_entropy, SETTINGS, CPU))
    save(tmp_path / "last", half, {})
    torch.rand(7)
    load_state(tmp_path / "last", resumed)
    list(train(resumed, batches(6), cross_entropy, SETTINGS, CPU))
    assert all(map(torch.equal, whole.model.parameters(), resumed.model.parameters()))


def test_the_average_is_trained_beside_the_model_and_comes_back_from_a_checkpoint(tmp_path):
    settings = SETTINGS.model_copy(update={"ema_decay": 0.9})
    whole = new_state(settings=settings)
    list(train(whole, batches(), cross_entropy, settings, CPU))
    assert any(not torch.equal(a, b) for a, b in zip(whole.model.parameters(), whole.average.parameters(), strict=True))
    half, resumed = new_state(settings=settings), new_state(seed=5, settings=settings)
    list(train(half, batches(0, 6), cross_entropy, settings, CPU))
    save(tmp_path / "last", half, {})
    load_state(tmp_path / "last", resumed)
    list(train(resumed, batches(6), cross_entropy, settings, CPU))
    for one, other in ((whole.model, resumed.model), (whole.average, resumed.average)):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
