import copy
import itertools
import math
import pickle

import pytest
import torch
from pydantic import ValidationError

from segtrain.core.errors import ConfigError
from segtrain.losses import build_loss
from segtrain.losses.card import card
from segtrain.losses.combine import DeepSupervision
from segtrain.losses.schedule import Part, Schedule, WeightedSum, set_progress
from tests.losses.fixtures import random_sample

MODES = ["multiclass", "binary", "multilabel"]
RAMP = {"kind": "linear", "start": 0.0, "end": 1.0, "from": 0.2}
FADING = {"kind": "linear", "start": 1.0, "end": 0.0, "from": 0.2}


def value(loss, sample):
    return loss(*sample).item()


def same(number):
    return pytest.approx(number, rel=1e-11)


class TestSchedule:
    def test_linear_goes_straight_between_its_bounds(self):
        schedule = Schedule(kind="linear", start=2, end=1, **{"from": 0.2}, until=0.6)
        found = [schedule.weight(p) for p in (0, 0.2, 0.3, 0.4, 0.6, 1)]
        assert found == pytest.approx([2, 2, 1.75, 1.5, 1, 1])

    def test_cosine_is_level_at_both_ends_and_half_way_in_the_middle(self):
        schedule = Schedule(kind="cosine", start=0, end=4)
        assert [schedule.weight(p) for p in (0, 0.5, 1)] == pytest.approx([0, 2, 4])
        assert schedule.weight(0.25) == pytest.approx(2 * (1 - math.sqrt(0.5)))
        assert schedule.weight(0.01) < 0.002

    def test_step_changes_at_once(self):
        schedule = Schedule(kind="step", start=1, end=0.1, **{"from": 0.5})
        assert [schedule.weight(p) for p in (0, 0.49, 0.5, 1)] == [1, 1, 0.1, 0.1]

    def test_constant_never_changes(self):
        schedule = Schedule(kind="constant", start=0.3)
        assert {schedule.weight(p) for p in (0, 0.5, 1)} == {0.3}

    @pytest.mark.parametrize("kind", ["linear", "cosine", "step"])
    def test_it_never_turns_back(self, kind):
        schedule = Schedule(kind=kind, start=0, end=1, **{"from": 0.3}, until=0.8)
        weights = [schedule.weight(p / 50) for p in range(51)]
        assert all(later >= earlier for earlier, later in itertools.pairwise(weights))
        assert (weights[0], weights[-1]) == (0, 1)

    def test_bounds_that_meet_are_a_step(self):
        schedule = Schedule(kind="linear", start=0, end=1, **{"from": 0.5}, until=0.5)
        assert [schedule.weight(p) for p in (0.4, 0.5, 0.6)] == [0, 1, 1]

    @pytest.mark.parametrize(
        "wrong",
        [{"kind": "exponential"}, {"kind": "linear", "start": -1}, {"kind": "linear", "from": 0.8, "until": 0.2}],
    )
    def test_what_makes_no_sense_is_refused(self, wrong):
        with pytest.raises(ValidationError):
            Schedule(**wrong)


class TestWeightedSum:
    @pytest.mark.parametrize("mode", MODES)
    def test_it_is_the_sum_of_its_parts(self, mode):
        sample = random_sample(mode)
        parts = [{"name": "tversky", "fn_weight": 0.9, "weight": 0.5}, {"name": "ce", "weight": 2}, {"name": "cldice"}]
        tversky, ce, cldice = (
            value(build_loss(name, mode, **options), sample)
            for name, options in [("tversky", {"fn_weight": 0.9}), ("ce", {}), ("cldice", {})]
        )
        assert value(build_loss("weighted_sum", mode, of=parts), sample) == same(0.5 * tversky + 2 * ce + cldice)

    @pytest.mark.parametrize("mode", MODES)
    def test_by_default_it_is_dice_ce(self, mode):
        sample = random_sample(mode)
        assert value(build_loss("weighted_sum", mode), sample) == same(value(build_loss("dice_ce", mode), sample))

    def test_weights_follow_the_progress(self):
        sample = random_sample("multiclass")
        loss = build_loss("weighted_sum", of=[{"name": "dice", "weight": FADING}, {"name": "cl_ce", "weight": RAMP}])
        dice, other = (value(build_loss(name), sample) for name in ("dice", "cl_ce"))
        for progress, share in [(0, 0), (0.1, 0), (0.6, 0.5), (1, 1), (0.2, 0)]:
            set_progress(loss, progress)
            assert value(loss, sample) == same((1 - share) * dice + share * other)

    def test_a_part_of_weight_zero_is_not_measured(self, monkeypatch):
        sample = random_sample("multiclass")
        loss = build_loss("weighted_sum", of=[{"name": "dice"}, {"name": "cldice", "weight": RAMP}])
        monkeypatch.setattr(type(loss.terms[1]), "measure", lambda *_: pytest.fail("it was measured"))
        assert value(loss, sample) == value(build_loss("dice"), sample)

    def test_where_all_weights_are_zero_the_value_stays_in_the_graph(self):
        logits, target = random_sample("multiclass")
        found = build_loss("weighted_sum", of=[{"name": "dice", "weight": 0}])(logits.requires_grad_(), target)
        assert found == 0
        (gradient,) = torch.autograd.grad(found, logits)
        assert not gradient.any()

    def test_class_weights_reach_the_parts_that_know_them(self):
        sample, weights = random_sample("multiclass"), (1.0, 2.0, 3.0)
        own = (3.0, 1.0, 1.0)
        parts = [{"name": "dice"}, {"name": "ce", "class_weights": own}]
        expected = value(build_loss("dice", class_weights=weights), sample)
        expected += value(build_loss("ce", class_weights=own), sample)
        assert value(build_loss("weighted_sum", of=parts, class_weights=weights), sample) == same(expected)

    def test_sums_of_sums_are_sums(self):
        sample = random_sample("binary")
        inner = {"name": "weighted_sum", "of": [{"name": "dice"}, {"name": "bce", "weight": RAMP}]}
        loss = build_loss("weighted_sum", of=[inner, {"name": "iou"}])
        set_progress(loss, 1)
        names = ("dice", "bce", "iou")
        assert value(loss, sample) == same(sum(value(build_loss(name), sample) for name in names))

    def test_entropies_are_announced_once(self):
        loss = build_loss("weighted_sum", of=[{"name": "dice_ce"}, {"name": "ce"}, {"name": "focal", "weight": RAMP}])
        assert len(loss.asked().costs) == 1
        set_progress(loss, 1)
        assert len(loss.asked().costs) == 2

    def test_it_is_written_in_plain_words(self):
        shown = {option.name: option for option in card("weighted_sum").options}["of"]
        assert shown.default == [{"name": "dice"}, {"name": "ce"}]
        assert shown.type == "list of options"


class TestFaults:
    def test_all_faults_of_all_parts_are_listed(self):
        parts = [{"name": "diec"}, {"name": "tversky", "fn_wieght": 1}, {"name": "ce"}]
        with pytest.raises(ConfigError) as raised:
            build_loss("weighted_sum", of=parts)
        text = str(raised.value)
        assert "no loss is called 'diec'" in text
        assert "fn_wieght: there is no such key" in text

    def test_a_part_may_be_its_bare_name(self):
        assert build_loss("weighted_sum", of=["dice", "ce"]).parts == (Part(name="dice"), Part(name="ce"))

    def test_a_key_is_told_with_its_part_and_weight_is_one_of_the_known(self):
        with pytest.raises(ConfigError) as error:
            build_loss("weighted_sum", of=["ce", {"name": "dice", "wieght": 2}])
        (problem,) = error.value.problems
        assert problem.where == "loss weighted_sum, of.1"
        assert "did you mean 'weight'" in problem.hint

    def test_the_weight_of_a_part_is_checked(self):
        for wrong in (-1, {"kind": "linear", "form": 0.2}, {"start": 1}, "much"):
            with pytest.raises(ConfigError, match="weight"):
                build_loss("weighted_sum", of=[{"name": "dice", "weight": wrong}])

    def test_a_sum_of_nothing_is_refused(self):
        with pytest.raises(ConfigError, match="of"):
            build_loss("weighted_sum", of=[])

    def test_an_ignore_label_belongs_to_the_sum(self):
        with pytest.raises(ConfigError, match="ignore_label belongs to the whole sum"):
            build_loss("weighted_sum", of=[{"name": "dice", "ignore_label": 255}])

    def test_a_mode_that_a_part_does_not_have_is_refused(self):
        parts = [{"name": "dice"}, {"name": "bce"}]
        with pytest.raises(ConfigError, match="has no mode 'multiclass'"):
            build_loss("weighted_sum", "multiclass", of=parts)
        with pytest.raises(ValueError, match="BinaryCrossEntropy, a part of the sum, works on binary, multilabel"):
            build_loss("weighted_sum", of=parts)(*random_sample("multiclass"))

    def test_a_foreign_loss_is_refused(self, tmp_path):
        code = tmp_path / "mine.py"
        code.write_text("import torch\nclass Mine(torch.nn.Module): pass\n", encoding="utf-8")
        with pytest.raises(ConfigError, match="a Mine cannot be a part"):
            build_loss("weighted_sum", of=[{"name": f"{code}:Mine"}])


class TestProgress:
    def test_it_reaches_what_is_wrapped(self):
        loss = build_loss("weighted_sum", of=[{"name": "dice", "weight": RAMP}])
        set_progress(DeepSupervision(loss, 2), 0.6)
        assert loss.progress == 0.6

    def test_a_loss_without_schedules_does_not_mind(self):
        set_progress(build_loss("dice_ce"), 0.5)

    def test_no_share_beyond_the_ends(self):
        for wrong in (-0.1, 1.1, math.nan):
            with pytest.raises(ValueError, match="progress is a share from 0 to 1"):
                set_progress(build_loss("weighted_sum"), wrong)

    def test_it_is_no_state_of_the_module(self):
        loss = build_loss("weighted_sum", of=[{"name": "dice", "weight": RAMP}])
        set_progress(loss, 0.6)
        assert loss.state_dict() == {}
        assert isinstance(loss, WeightedSum)

    def test_copies_keep_it(self):
        loss, sample = build_loss("weighted_sum", of=[{"name": "dice", "weight": RAMP}]), random_sample("binary")
        set_progress(loss, 0.6)
        for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
            assert value(other, sample) == value(loss, sample)


def test_a_perfect_answer_is_its_minimum_where_it_is_that_of_every_part():
    assert build_loss("weighted_sum").optimum == 0
    assert build_loss("weighted_sum", of=[{"name": "dice"}, {"name": "boundary"}]).optimum is None
