"""A checkpoint gives back the state bit for bit, or says what is wrong."""

import itertools
import json

import pytest
import torch

from segtrain.core.errors import CheckpointError
from segtrain.core.events import EpochEnded
from segtrain.models.settings import ModelSettings
from segtrain.models.unet import UNet
from segtrain.training.checkpoint import find, load_model, load_state, read_about, save
from segtrain.training.loop import train
from segtrain.training.state import TrainingState
from tests.faults.table import fault
from tests.plans import small_plan
from tests.training.test_loop import CPU, SETTINGS, batches, cross_entropy, new_state, stopped


@pytest.fixture
def trained():
    state = new_state()
    list(train(state, batches(0, 4), cross_entropy, SETTINGS, CPU))
    return state


@fault("F17", "3 epochs and 3 more, augmented", then="kept: equal bits")
def test_stop_and_resume_equals_an_uninterrupted_run_bit_for_bit(tmp_path, trained):
    save(tmp_path / "last", trained, {})
    resumed = new_state(seed=9)
    load_state(tmp_path / "last", resumed)
    whole = new_state()
    list(train(whole, batches(), cross_entropy, SETTINGS, CPU))
    list(train(resumed, batches(4, 12), cross_entropy, SETTINGS, CPU))
    one, two = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(one[k], two[k]) for k in one)


@pytest.mark.parametrize("steps", [1, 4, 6])
def test_losses_of_an_epoch_that_is_not_over_come_back_exactly(tmp_path, steps):
    state = stopped(steps)
    save(tmp_path / "last", state, {})
    resumed = new_state(seed=9)
    load_state(tmp_path / "last", resumed)
    assert resumed.losses == state.losses
    assert (resumed.step, resumed.is_at_epoch_end) == (steps, steps == 4)


@pytest.mark.parametrize("steps", [3, 4, 7])
def test_saved_in_the_middle_of_an_epoch_it_goes_on_with_equal_bits_and_means(tmp_path, steps):
    save(tmp_path / "last", stopped(steps), {})
    resumed, whole = new_state(seed=9), new_state()
    load_state(tmp_path / "last", resumed)
    means = []
    for state in (whole, resumed):
        events = train(state, batches(state.step), cross_entropy, SETTINGS, CPU)
        means.append([event.train_loss for event in events if isinstance(event, EpochEnded)])
    assert means[0][-len(means[1]) :] == means[1]
    one, two = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(one[k], two[k]) for k in one)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_the_optimiser_comes_back_whatever_the_layout(tmp_path, layout):
    state = new_state()
    state.model.to(memory_format=layout)
    list(train(state, batches(0, 2), cross_entropy, SETTINGS, CPU))
    save(tmp_path / "last", state, {})
    again = new_state(seed=1)
    again.model.to(memory_format=layout)
    load_state(tmp_path / "last", again)
    for one, two in ((state, again), (again, state)):
        for (_, p), (_, q) in zip(one.model.named_parameters(), two.model.named_parameters(), strict=True):
            for key, value in one.optimiser.state[p].items():
                assert torch.equal(value, two.optimiser.state[q][key])
    assert again.step == 2


@pytest.mark.filterwarnings("ignore:.*meta parameter.*no-op")
def test_all_of_the_optimiser_comes_back_on_the_device_of_its_parameter(tmp_path, trained):
    """A fused optimiser on CUDA needs its step count there too; `meta` stands for a device that is not the CPU."""
    save(tmp_path / "last", trained, {})
    elsewhere = new_state()
    elsewhere.model.to("meta")
    elsewhere.optimiser = torch.optim.AdamW(elsewhere.model.parameters())
    load_state(tmp_path / "last", elsewhere)
    found = [value for entries in elsewhere.optimiser.state.values() for value in entries.values()]
    assert len(found) == 3 * len(list(trained.model.parameters()))
    assert {value.device.type for value in found} == {"meta"}


def test_progress_is_kept(tmp_path, trained):
    trained.best = 0.75
    trained.history = [{"epoch": 1, "dice": None}]
    save(tmp_path / "last", trained, {"note": "mine"})
    about = read_about(tmp_path / "last")
    assert (about["step"], about["best"], about["note"], about["history"]) == (4, 0.75, "mine", trained.history)


def test_no_pickle_is_written(tmp_path, trained):
    save(tmp_path / "last", trained, {})
    names = {p.name for p in (tmp_path / "last").iterdir()}
    assert names == {"model.safetensors", "state.safetensors", "checkpoint.json"}


def test_a_flipped_bit_is_noticed_and_named(tmp_path, trained):
    save(tmp_path / "last", trained, {})
    file = tmp_path / "last" / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"damaged[\s\S]*model.safetensors[\s\S]*sha256") as error:
        find(tmp_path / "last")
    assert error.value.exit_code == 6


@fault("F15", "killed between the two renames", then="kept: `NAME.old` or `NAME.new` is whole")
def test_a_kill_between_the_renames_leaves_a_whole_checkpoint(tmp_path, trained):
    save(tmp_path / "last", trained, {})
    (tmp_path / "last").rename(tmp_path / "last.old")
    assert find(tmp_path / "last") == tmp_path / "last.old"
    save(tmp_path / "last", trained, {})
    assert find(tmp_path / "last") == tmp_path / "last"
    assert {p.name for p in tmp_path.iterdir()} == {"last"}


@fault("F15", "the next checkpoint half written", then="kept: the previous one is found")
def test_a_half_written_successor_does_not_hide_the_previous_one(tmp_path, trained):
    save(tmp_path / "last", trained, {})
    (tmp_path / "last.new").mkdir()
    (tmp_path / "last.new" / "model.safetensors").write_bytes(b"half")
    assert find(tmp_path / "last") == tmp_path / "last"


@pytest.mark.parametrize("name", ["last", "last.old"])
def test_a_checkpoint_that_lost_its_json_is_not_taken_for_none(tmp_path, trained, name):
    save(tmp_path / name, trained, {})
    (tmp_path / name / "checkpoint.json").unlink()
    with pytest.raises(CheckpointError, match="damaged"):
        find(tmp_path / "last")


def test_a_first_checkpoint_that_was_broken_off_is_none(tmp_path, trained):
    save(tmp_path / "last.new", trained, {})
    (tmp_path / "last.new" / "checkpoint.json").unlink()
    assert find(tmp_path / "last") is None


def test_nothing_is_found_where_nothing_was_saved(tmp_path):
    assert find(tmp_path / "last") is None


def test_another_network_is_refused_with_what_does_not_fit(tmp_path, trained):
    save(tmp_path / "last", trained, {})
    other = UNet(small_plan(widths=(4, 8, 16)), ModelSettings(), outputs=2, seed=0)
    with pytest.raises(CheckpointError, match="the checkpoint has no"):
        load_model(tmp_path / "last", other)
    wider = UNet(small_plan(widths=(4, 6)), ModelSettings(deep_supervision=False), outputs=2, seed=0)
    with pytest.raises(CheckpointError, match="the network needs"):
        load_model(tmp_path / "last", wider)


@fault("F12", "a checkpoint of a newer version", then="6, `update segtrain`")
def test_a_checkpoint_of_a_newer_segtrain_is_refused(tmp_path, trained):
    save(tmp_path / "last", trained, {})
    about = tmp_path / "last" / "checkpoint.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), "schema_version": 99}))
    with pytest.raises(CheckpointError, match="newer than this segtrain"):
        read_about(tmp_path / "last")


class Tied(torch.nn.Module):
    """One tensor under two names."""

    def __init__(self):
        super().__init__()
        self.one = torch.nn.Linear(2, 2)
        self.other = self.one


def test_a_network_with_one_tensor_under_two_names_is_saved_and_comes_back(tmp_path):
    states = [TrainingState(model, torch.optim.AdamW(model.parameters()), 1, 1) for model in (Tied(), Tied())]
    save(tmp_path / "last", states[0], {})
    load_state(tmp_path / "last", states[1])
    assert torch.equal(states[0].model.other.weight, states[1].model.one.weight)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_losses_of_a_broken_off_epoch_come_back_to_their_device(tmp_path):
    model = torch.nn.Linear(2, 2).cuda()
    state = TrainingState(model, torch.optim.AdamW(model.parameters()), 4, 4)
    state.losses = state.norms = [torch.tensor(1.0, device="cuda")]
    save(tmp_path / "last", state, {})
    load_state(tmp_path / "last", state)
    state.losses.append(torch.tensor(2.0, device="cuda"))
    state.norms.append(torch.tensor(2.0, device="cuda"))
    assert state.epoch_mean() == 1.5


@pytest.mark.parametrize("steps", [1, 3, 4, 6])
def test_the_seconds_of_an_epoch_are_those_of_all_sessions(tmp_path, monkeypatch, steps):
    now = itertools.count()
    monkeypatch.setattr("segtrain.training.loop.time.perf_counter", lambda: next(now))  # each look is a second later
    save(tmp_path / "last", stopped(steps), {})
    state = new_state()
    load_state(tmp_path / "last", state)
    found = [e.seconds for e in train(state, batches(steps), cross_entropy, SETTINGS, CPU) if isinstance(e, EpochEnded)]
    assert found == [5.0] * len(found), "four steps and the end"


@pytest.mark.parametrize(("steps", "seconds"), [(3, None), (4, 0.0)])
def test_of_an_older_checkpoint_within_an_epoch_its_seconds_are_not_known(tmp_path, steps, seconds):
    state = stopped(3)
    events = train(state, batches(3, steps), cross_entropy, SETTINGS, CPU)
    list(events)
    save(tmp_path / "last", state, {})
    path = tmp_path / "last" / "checkpoint.json"
    about = json.loads(path.read_text())
    del about["seconds"]
    path.write_text(json.dumps(about))
    again = new_state()
    load_state(tmp_path / "last", again)
    assert again.seconds == seconds
    told = [e.seconds for e in train(again, batches(steps), cross_entropy, SETTINGS, CPU) if isinstance(e, EpochEnded)]
    assert [second is None for second in told] == [seconds is None] + [False] * (len(told) - 1)
