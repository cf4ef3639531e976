"""The runs of a sweep differ by what is compared, and by what is declared."""

from __future__ import annotations

import pytest

from segtrain.core.errors import ConfigError, DataError
from segtrain.core.task import Task
from segtrain.data.cases import find_cases
from segtrain.recipes.fitting.begun_with import BESIDE_A_FIT, keep_config
from segtrain.recipes.fitting.decide import draw_split
from segtrain.recipes.run_folder import RunFolder, write_record
from segtrain.recipes.sweep.plan import config_of, declared, meaning_in, meaning_of, runs_of, settings_of, timed_run
from tests.recipes.projects import CONFIG, load, write_study

COMPARE = """\
compare:
  losses: [dice_ce, dice, {name: tversky, label: recall, fn_weight: 0.8, training: {learning_rate: 1e-3}}, lovasz_hinge]
  folds: 2
  seeds: [5, 6]
  baseline: dice_ce
"""


@pytest.fixture
def loaded(tmp_path):
    write_study(tmp_path, CONFIG + COMPARE)
    return load(tmp_path, "training.seed=3")


def runs(loaded, sweep):
    return runs_of(settings_of(loaded), sweep)


def run_of(loaded, label, fold=0, seed=5):
    sweep = loaded.folder / "sweep"
    return next(r for r in runs(loaded, sweep) if (r.entry.label, r.fold, r.seed) == (label, fold, seed))


def test_a_config_without_a_comparison_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="which losses to compare"):
        settings_of(load(tmp_path, text=CONFIG))


def test_every_loss_fold_and_seed_is_run_once_in_a_folder_of_its_own(loaded, tmp_path):
    found = runs(loaded, tmp_path)
    assert len({run.folder.path for run in found}) == len(found) == 4 * 2 * 2
    assert run_of(loaded, "recall", 1, 6).folder.path == tmp_path / "sweep" / "runs" / "recall" / "1" / "6"


def test_all_losses_of_a_fold_are_run_before_the_next_fold(loaded, tmp_path):
    found = runs(loaded, tmp_path)
    assert [run.entry.label for run in found[:4]] == ["dice_ce", "dice", "recall", "lovasz_hinge"]
    assert [(run.seed, run.fold) for run in found[::4]] == [(5, 0), (5, 1), (6, 0), (6, 1)]


def test_a_run_has_its_own_loss_and_seed_and_all_else_in_common(loaded):
    one, two = (config_of(loaded, run_of(loaded, label, 0, 6)).config for label in ("dice_ce", "recall"))
    assert (two.loss.name, two.loss.options) == ("tversky", {"fn_weight": 0.8})
    assert one.training.seed == two.training.seed == 6
    rest = {"loss", "training"}
    assert one.model_dump(exclude=rest) == two.model_dump(exclude=rest)
    assert one.compare is None


def test_a_loss_may_have_a_learning_rate_of_its_own(loaded):
    usual, own = (config_of(loaded, run_of(loaded, label)).config.training for label in ("dice", "recall"))
    assert usual.learning_rate == loaded.config.training.learning_rate == 1e-2
    assert own == usual.model_copy(update={"learning_rate": 1e-3})


def test_what_the_sweep_set_is_marked_as_its_doing(loaded):
    origins = config_of(loaded, run_of(loaded, "recall")).origins
    swept = {key for key, origin in origins.items() if origin == "sweep"}
    assert swept >= {"loss.name", "loss.fn_weight", "training.seed", "training.learning_rate"}
    assert (origins["training.epochs"], origins["training.weight_decay"]) == ("file", "default")


def test_the_config_of_a_run_can_be_loaded_again(loaded, tmp_path):
    one = config_of(loaded, run_of(loaded, "recall"))
    (tmp_path / "one").mkdir()
    keep_config(RunFolder(tmp_path / "one"), one, BESIDE_A_FIT)
    assert load(tmp_path / "one").config == one.config


def test_without_shared_splits_a_case_is_held_out_in_one_fold_of_every_loss(loaded):
    cases = find_cases(loaded.config.data)
    one, two = (draw_split(config_of(loaded, run_of(loaded, label)), cases, 0) for label in ("dice_ce", "recall"))
    assert one == two


def test_a_run_is_done_once_it_ran_to_its_end(loaded):
    run = run_of(loaded, "dice")
    assert not run.is_done
    write_record(run.folder, {})
    assert not run.is_done
    write_record(run.folder, {"finished": "now"})
    assert run.is_done


def test_why_a_run_failed_is_kept(loaded):
    run = run_of(loaded, "dice")
    assert run.failure is None
    run.keep_failure("the loss is nan at step 1")
    assert run.failure == "the loss is nan at step 1"
    assert run_of(loaded, "dice", 1).failure is None


def test_what_a_loss_trains_with_of_its_own_is_declared(loaded):
    found = dict(declared(settings_of(loaded), loaded.config.task, loaded.folder))
    assert found["recall"] == "learning_rate 0.001"
    assert found.keys() == {"recall", "lovasz_hinge"}


def test_another_kind_of_answer_is_declared(loaded):
    found = dict(declared(settings_of(loaded), Task(labels={"background": 0, "a": 1, "b": 2}), loaded.folder))
    assert found["lovasz_hinge"] == "its network answers with 2 sigmoid outputs, not 3"


@pytest.mark.parametrize("text", ["[]", "{}", "{"])
def test_a_note_of_failure_that_is_damaged_is_named(loaded, text):
    run = run_of(loaded, "dice")
    run.keep_failure("")
    run.folder.failure.write_text(text)
    with pytest.raises(DataError, match=r"failed\.json"):
        run.settled  # noqa: B018


def test_a_run_is_settled_once_it_is_done_or_failed(loaded):
    done, failed, open_ = (run_of(loaded, label) for label in ("dice", "dice_ce", "recall"))
    write_record(done.folder, {"finished": "now", "steps_per_epoch": 3})
    failed.keep_failure("the loss is nan")
    assert [run.settled for run in (done, failed, open_)] == ["finished before", "failed before: the loss is nan", None]
    assert [run.steps_per_epoch for run in (done, failed, open_)] == [3, None, None]


def test_what_a_report_must_know_is_kept_and_read_back(loaded, tmp_path):
    meaning = meaning_of(load(tmp_path, "evaluation.metrics=[dice, relative_volume_error]"))
    assert meaning.best == {"dice": "higher", "relative_volume_error": "zero"}
    assert ("recall", "learning_rate 0.001") in meaning.declared
    write_record(RunFolder(tmp_path / "sweep"), {"meaning": meaning.model_dump(mode="json")})
    assert meaning_in(tmp_path / "sweep" / "run.json") == meaning


def test_a_caution_is_kept_under_the_label_of_the_loss(tmp_path, loaded):
    losses = "compare.losses=[dice_ce, post/combo, {name: post/dice, label: old}]"
    told = meaning_of(load(loaded.folder, losses, "compare.baseline=dice_ce")).cautions
    assert [text.partition(": ")[0] for text in told] == ["loss post-combo", "loss old"]
    assert meaning_of(loaded).cautions == ()


def test_a_pure_number_has_a_margin_and_a_distance_has_none_unless_it_is_named(loaded):
    folder, metrics = loaded.folder, "evaluation.metrics=[dice, hd95, assd]"
    meaning = meaning_of(load(folder, metrics, "compare.margins={hd95: 1.5}"))
    assert meaning.margins == {"dice": 0.01, "hd95": 1.5, "assd": None}
    assert [meaning.margin(name) for name in meaning.best] == [0.01, 1.5, None]


def test_a_sweep_of_before_there_were_margins_is_judged_as_it_was(loaded):
    meaning = meaning_of(loaded)
    assert meaning.model_copy(update={"margins": {}}).margin("dice") == 0.01


def test_a_margin_of_what_is_not_measured_is_refused(loaded):
    with pytest.raises(ConfigError, match=r"hd96 is not measured[\s\S]*dice, hd95"):
        meaning_of(load(loaded.folder, "evaluation.metrics=[dice, hd95]", "compare.margins={hd96: 1}"))


def test_scores_at_a_rung_lie_in_the_folder_of_the_run(loaded):
    run = run_of(loaded, "dice")
    assert run.rung(6) == run.folder.path / "rungs" / "6" / "cases.csv"


def test_the_run_that_was_timed_is_the_first_one_that_knows_its_steps(tmp_path):
    loaded = load(tmp_path, text=CONFIG + COMPARE)
    first, second, third, *others = runs_of(settings_of(loaded), tmp_path / "sweep")
    assert timed_run([first, second, third]) is None
    first.keep_failure("the loss is nan")
    write_record(second.folder, {"seed": 0})
    write_record(third.folder, {"steps_per_epoch": 5})
    assert timed_run([first, second, third, *others]) == third
