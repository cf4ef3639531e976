"""What fits is kept, and everything else is told."""

from __future__ import annotations

import pytest
import torch

from segtrain.core.errors import CheckpointError
from segtrain.models.registry import build_model
from segtrain.models.settings import SHIPPED, ModelSettings
from segtrain.models.transfer import Names, transfer
from tests.models import networks


def network(name="unet", channels=("T1",), outputs=2, seed=0, stages=3, **settings):
    plan = networks.plan(channels=channels, stages=stages)
    return build_model(plan, ModelSettings(name=name, **settings), outputs=outputs, seed=seed)


def moved(old, new, channels=(("T1",), ("T1",)), outputs=(("background", "organ"), ("background", "organ"))):
    """The weights of `new` before and after, those of `old`, and the table."""
    before = {key: value.clone() for key, value in new.state_dict().items()}
    parts = transfer(new, old.state_dict(), Names(*channels), Names(*outputs))
    return before, new.state_dict(), old.state_dict(), {part.name: part for part in parts}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_same_network_is_kept_as_a_whole(name):
    _, after, old, parts = moved(network(name), network(name, seed=1))
    assert all(torch.equal(after[key], old[key]) for key in old)
    assert all(part.kept == part.tensors for part in parts.values())
    assert sum(part.tensors for part in parts.values()) == len(old)


@pytest.mark.parametrize("name", SHIPPED)
def test_rows_of_labels_with_the_same_name_are_kept_wherever_they_were(name):
    labels = ("background", "organ", "lesion"), ("background", "vessel", "organ")
    before, after, old, parts = moved(network(name, outputs=3), network(name, outputs=3, seed=1), outputs=labels)
    for key in network(name).output_weights:
        assert torch.equal(after[key][0], old[key][0])
        assert torch.equal(after[key][2], old[key][1])
        assert torch.equal(after[key][1], before[key][1])
    assert parts["heads"].kept == 2, "biases begin with zero, there as here"
    assert "background, organ kept; vessel drawn anew" in parts["heads"].note


def test_a_network_for_more_labels_has_fresh_rows_for_them():
    _, after, old, parts = moved(
        network(), network(outputs=4, seed=1), outputs=(("background", "organ"), ("background", "a", "organ", "b"))
    )
    assert torch.equal(after["heads.0.weight"][[0, 2]], old["heads.0.weight"])
    assert parts["heads"].kept == 0
    assert all(part.kept == part.tensors for name, part in parts.items() if name != "heads")


def test_heads_with_other_labels_stay_as_drawn():
    before, after, _, _ = moved(network(), network(seed=1), outputs=((), ("background", "organ")))
    assert torch.equal(after["heads.0.weight"], before["heads.0.weight"])


@pytest.mark.parametrize(("name", "options"), [("unet", {}), ("unet", {"block": "residual"}), ("residual_unet", {})])
def test_channels_keep_their_weights_and_new_ones_read_with_the_mean(name, options):
    old, new = network(name, ("T1", "FLAIR"), **options), network(name, ("FLAIR", "T2", "T1"), seed=1, **options)
    _, after, given, parts = moved(old, new, channels=(("T1", "FLAIR"), ("FLAIR", "T2", "T1")))
    for key in new.input_weights:
        assert torch.equal(after[key][:, 0], given[key][:, 1])
        assert torch.equal(after[key][:, 2], given[key][:, 0])
        assert torch.allclose(after[key][:, 1], (given[key][:, 0] + given[key][:, 1]) / 2)
    (noted,) = [part for part in parts.values() if part.note.startswith("channels")]
    assert noted.note == "channels: FLAIR, T1 kept; T2 read with the mean of the old ones"


def test_a_single_channel_with_another_name_keeps_its_weights():
    old, new = network(channels=("T1",)), network(channels=("CT",), seed=1)
    _, after, given, _ = moved(old, new, channels=(("T1",), ("CT",)))
    assert torch.equal(after["encoder.0.0.0.weight"], given["encoder.0.0.0.weight"])


def test_levels_that_did_not_answer_before_are_drawn():
    before, after, _, parts = moved(network(deep_supervision=False), network(seed=1))
    assert torch.equal(after["heads.1.weight"], before["heads.1.weight"])
    assert parts["heads"].kept == 2


@pytest.mark.parametrize(
    ("old", "words"),
    [
        ({"stages": 2}, r"has no encoder.2.0.0.weight[\s\S]*the network then follows"),
        ({"name": "residual_unet"}, "model.init_from has no encoder.0.0.0.weight"),
    ],
)
def test_weights_of_another_network_are_refused_and_nothing_is_changed(old, words):
    new = network(seed=1)
    before = {key: value.clone() for key, value in new.state_dict().items()}
    with pytest.raises(CheckpointError, match=words) as error:
        moved(network(**old), new)
    assert 1 <= len(error.value.problems) <= 5
    assert all(torch.equal(value, before[key]) for key, value in new.state_dict().items())


def test_a_tensor_of_another_shape_is_refused_with_both_shapes():
    old = network().state_dict() | {"encoder.1.0.0.weight": torch.zeros(8, 4, 3, 3, 1)}
    with pytest.raises(CheckpointError, match=r"is \(8, 4, 3, 3, 1\), the network needs \(8, 4, 3, 3, 3\)"):
        transfer(network(), old, Names((), ()), Names((), ()))


def test_of_a_network_of_ones_own_all_that_fits_is_kept(tmp_path):
    networks.write_own(tmp_path)
    settings = ModelSettings(name="mine.py:Net")
    old, new = (build_model(networks.plan(), settings, outputs=n, seed=n, folder=tmp_path) for n in (2, 3))
    before, after, given, parts = moved(old, new)
    assert torch.equal(after["network.body.weight"], given["network.body.weight"])
    assert torch.equal(after["network.last.weight"], before["network.last.weight"])
    assert parts["network"].kept == parts["network"].tensors - 2
    with pytest.raises(CheckpointError, match=r"no weight of model\.init_from fits"):
        moved(network(), new)


def test_a_channel_or_label_is_told_in_words():
    assert Names(("a",), ("a",)).told("new") == "a kept"
    assert Names(("a",), ("b",)).told("new") == "b new"
    assert Names(("a", "b"), ("b", "c")).told("new") == "b kept; c new"
