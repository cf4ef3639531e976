"""From a run on the disk to a network that predicts, or to the reason why not."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from segtrain.core.errors import CheckpointError, ConfigError
from segtrain.data.cases import find_cases
from segtrain.data.prepare import prepare
from segtrain.recipes.fitting.set_up import set_up
from segtrain.recipes.fitting.sound import try_config
from segtrain.recipes.one_case import read_case
from segtrain.recipes.run_folder import RunFolder, write_record
from segtrain.recipes.trained import load_ensemble, load_predictor, runs_in, trained_config
from segtrain.training import checkpoint
from tests.recipes.projects import load, result_of


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the finished run that a test may damage."""
    shutil.copytree(trained, tmp_path / "run", ignore=shutil.ignore_patterns("prepared"))
    return tmp_path / "run"


def rewrite(run, **changes):
    """Change what the best checkpoint says of itself."""
    path = run / "checkpoints" / "best" / checkpoint.ABOUT
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def predictor_of(run, *, allow_code=False):
    return load_predictor(run, device="cpu", allow_code=allow_code)


def test_it_predicts_as_the_network_did_in_training(study, trained, tmp_path):
    loaded = load(study)
    shutil.copytree(trained, tmp_path / "again")
    sound = try_config(load(study, "compare=null"), None)
    job = result_of(set_up(sound, RunFolder(tmp_path / "again"), None, None, torch.device("cpu")))
    checkpoint.load_model(trained / "checkpoints" / "best", job.state.model)
    found = predictor_of(trained)
    for case in find_cases(loaded.config.data)[:2]:
        image, _, _ = read_case(case, ("T1",), found.task)
        scan = prepare(case.id, image, None, found.plan, found.task)
        assert (found.classes(scan.image) == job.predictor.classes(scan.image)).all()


def test_all_it_needs_lies_in_the_checkpoint(run):
    for name in ("config.yaml", "plan.json", "splits.json"):
        (run / name).unlink()
    found = predictor_of(run)
    assert found.task.labels == {"background": 0, "organ": 1}
    assert (found.plan.widths, found.activation) == ((4, 8), "softmax")


def test_what_labels_are_may_be_said_after_the_training(run):
    codes = "  codes: {organ: {type: {value: '10200004', meaning: Liver}}}"
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("  codes: {}", codes))
    found = load_ensemble([run], device="cpu", allow_code=False)
    assert found.task.codes_of("organ").type.meaning == "Liver"
    assert predictor_of(run).task.codes == {}


def test_the_last_checkpoint_does_where_there_is_no_best_one(run):
    shutil.rmtree(run / "checkpoints" / "best")
    assert predictor_of(run).plan.widths == (4, 8)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="not a run"):
        predictor_of(tmp_path)


def test_a_run_without_a_checkpoint_is_refused(run):
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(CheckpointError, match="no checkpoint yet"):
        predictor_of(run)


def test_a_damaged_checkpoint_is_refused(run):
    file = run / "checkpoints" / "best" / checkpoint.MODEL
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match="damaged"):
        predictor_of(run)


@pytest.mark.parametrize(
    "changes", [{"plan": {}}, {"task": None}, {"loss": {}}, {"outputs": "two"}, {"activation": "tanh"}]
)
def test_a_checkpoint_of_another_kind_is_refused(run, changes):
    rewrite(run, **changes)
    with pytest.raises(CheckpointError, match="not one of this segtrain"):
        predictor_of(run)


def test_a_checkpoint_that_does_not_fit_its_own_plan_is_refused(run):
    rewrite(run, outputs=5)
    with pytest.raises(CheckpointError, match="the network needs"):
        predictor_of(run)


def test_a_checkpoint_that_names_code_needs_a_word_of_trust(run):
    rewrite(run, loss={"name": "theirs.py:Loss"})
    with pytest.raises(CheckpointError, match=r"names code[\s\S]*--allow-code"):
        predictor_of(run)
    assert predictor_of(run, allow_code=True).plan.widths == (4, 8)


def test_the_config_of_a_run_that_names_code_needs_a_word_of_trust(run):
    assert trained_config(run, allow_code=False).evaluation.metrics == ("dice", "iou")
    text = (run / "config.yaml").read_text().replace("metrics: [dice, iou]", "metrics: [dice, 'theirs:Metric']")
    (run / "config.yaml").write_text(text)
    with pytest.raises(CheckpointError, match=r"names code[\s\S]*theirs:Metric[\s\S]*--allow-code"):
        trained_config(run, allow_code=False)
    assert trained_config(run, allow_code=True).evaluation.metrics == ("dice", "theirs:Metric")


def test_several_runs_are_one_ensemble_and_settings_are_changed_for_all(run, trained):
    overrides = ["inference.mirror_axes=[0]", "inference.overlap=0.25"]
    found = load_ensemble([run, trained], device="cpu", allow_code=False, overrides=overrides)
    assert [(m.settings.mirror_axes, m.settings.overlap) for m in found.members] == [((0,), 0.25)] * 2
    assert len({member.weights_sha256 for member in found.members}) == 1


def test_runs_that_do_not_answer_alike_are_no_ensemble(run, trained):
    rewrite(run, task={"labels": {"background": 0, "lesion": 1}})
    with pytest.raises(CheckpointError, match="cannot be averaged"):
        load_ensemble([run, trained], device="cpu", allow_code=False)


def test_post_processing_of_a_label_that_is_not_there_is_refused(run):
    with pytest.raises(ConfigError, match=r"orgn[\s\S]*did you mean 'organ'"):
        load_predictor(run, device="cpu", allow_code=False, overrides=["inference.postprocess.keep_largest=[orgn]"])


def test_the_folds_of_a_cross_validation_stand_in_order_and_a_copy_of_one_is_none_of_them(tmp_path):
    for name in ("fold_10", "fold_2", "fold_0", "fold_0_old", "fold_02"):
        write_record(RunFolder(tmp_path / name), {})
    (tmp_path / "fold_3").mkdir()
    assert [run.name for run in runs_in(tmp_path)] == ["fold_0", "fold_2", "fold_10"]
    assert runs_in(tmp_path / "fold_2") == [tmp_path / "fold_2"]
