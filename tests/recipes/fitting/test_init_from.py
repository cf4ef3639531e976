"""A fit starts from the weights of another run, follows its network, and says what it kept."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from segtrain.core.errors import CheckpointError, ConfigError
from segtrain.core.events import Note
from segtrain.core.plan import Plan
from segtrain.core.volume import LabelMap, Volume
from segtrain.data.files.nifti import write_nifti, write_nifti_image
from segtrain.models.settings import ModelSettings
from segtrain.recipes import api
from segtrain.recipes.assemble import Answer
from segtrain.recipes.check import check
from segtrain.recipes.fit import fit
from segtrain.recipes.fitting.init_from import Source, followed, try_network, wishes_from
from segtrain.recipes.fitting.set_up import set_up
from segtrain.recipes.fitting.sound import try_config
from segtrain.recipes.run_folder import RunFolder
from segtrain.training import checkpoint
from tests import phantoms
from tests.faults.table import fault
from tests.recipes.projects import SHAPE, close_at, finished, load, step, write_study

CPU = torch.device("cpu")

CONFIG = """\
data: {images: images, labels: labels, channels: [T1], patient_from: '(P\\d+)_'}
task: {labels: {background: 0, organ: 1}}
training: {epochs: 1, steps_per_epoch: 2, batch_size: 1, folds: 2}
inference: {overlap: 0}
"""
"""Says nothing of the network."""

OTHER = """\
data: {images: images, labels: labels, channels: [T2, T1]}
task: {labels: {background: 0, lesion: 1, organ: 2}}
training: {epochs: 1, steps_per_epoch: 2, batch_size: 1, validation_share: 0.4}
inference: {overlap: 0}
"""
"""Another channel and another label."""


@pytest.fixture
def other(tmp_path) -> Path:
    """A study with two channels and two labels."""
    for number in range(4):
        image, mask = phantoms.scan(phantoms.grid(SHAPE), channels=2, seed=number)
        for channel in range(2):
            path = tmp_path / "images" / f"Q{number}_000{channel}.nii.gz"
            write_nifti_image(path, Volume(image.array[channel : channel + 1], image.grid))
        labels = np.where(mask.array > 0, 2, 0).astype(np.uint8)
        labels[:3, :3, :3] = 1
        write_nifti(tmp_path / "labels" / f"Q{number}.nii.gz", LabelMap(labels, mask.grid))
    (tmp_path / "config.yaml").write_text(OTHER, encoding="utf-8")
    return tmp_path


@pytest.fixture
def plain(tmp_path, study) -> Path:
    """The study of the trained run with a config that leaves the network open."""
    text = CONFIG.replace("images: images, labels: labels", f"images: {study / 'images'}, labels: {study / 'labels'}")
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def weights_of(run: Path, name: str = "best") -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / name / checkpoint.MODEL)


def job_of(loaded, run: Path):
    """A fit that is set up, and the notes that it told."""
    run.mkdir()
    notes = []

    def told(work):
        while True:
            try:
                event = next(work)
            except StopIteration as end:
                return end.value
            if isinstance(event, Note):
                notes.append(event.text)

    loaded = followed(loaded)
    return told(set_up(try_config(loaded, None), RunFolder(run), None, None, CPU)), notes


def test_the_same_task_starts_with_all_weights_of_the_best_checkpoint(plain, trained):
    job, notes = job_of(load(plain, f"model.init_from={trained}"), plain / "run")
    old = weights_of(trained)
    assert all(torch.equal(value.cpu(), old[name]) for name, value in job.state.model.state_dict().items())
    assert job.state.step == 0
    (told,) = [note for note in notes if note.startswith("starts from the weights of")]
    assert [line.split()[0] for line in told.splitlines()[1:]] == ["encoder", "up", "decoder", "heads"]
    assert "heads    2 of 2 tensors kept; outputs: background, organ kept" in told


def test_the_plan_follows_and_the_batch_is_the_configs(plain, trained):
    job, _ = job_of(load(plain, f"model.init_from={trained}"), plain / "run")
    old = Plan.model_validate_json((trained / "plan.json").read_text())
    assert (job.plan.widths, job.plan.patch_size, job.plan.strides) == (old.widths, old.patch_size, old.strides)
    assert job.plan.batch_size == 1


@pytest.mark.parametrize("part", ["", "checkpoints/last", "checkpoints/best/model.safetensors"])
def test_a_run_a_checkpoint_or_its_weights_may_be_named(trained, part):
    source = Source.at(trained / part)
    name = "last" if "last" in part else "best"
    file = trained / "checkpoints" / name / checkpoint.MODEL
    assert source.path == file.parent
    assert source.sha256 == sha256(file.read_bytes()).hexdigest()


def test_other_channels_and_labels_keep_what_has_the_same_name(other, trained):
    loaded = load(other, f"model.init_from={trained}")
    job, notes = job_of(loaded, other / "run")
    old, new = weights_of(trained), job.state.model.state_dict()
    first = "encoder.0.0.0.weight"
    assert torch.equal(new[first][:, 1:], old[first]), "T1"
    assert torch.equal(new[first][:, :1], old[first]), "T2 reads with the mean of one channel"
    assert torch.equal(new["heads.0.weight"][[0, 2]], old["heads.0.weight"])
    assert all(torch.equal(new[name], old[name]) for name in new if name != first and not name.startswith("heads"))
    (told,) = [note for note in notes if note.startswith("starts from")]
    assert "channels: T1 kept; T2 read with the mean of the old ones" in told
    assert "outputs: background, organ kept; lesion drawn anew" in told


def test_what_was_kept_and_from_what_is_in_the_record_and_the_fit_runs_to_its_end(other, trained):
    api.fit(other / "config.yaml", other / "run", overrides=[f"model.init_from={trained}"], device="cpu")
    record = json.loads((other / "run" / "run.json").read_text())["init_from"]
    file = trained / "checkpoints" / "best" / checkpoint.MODEL
    assert record["sha256"] == sha256(file.read_bytes()).hexdigest()
    assert record["path"] == str(file.parent)
    by_name = {part["name"]: part for part in record["parts"]}
    assert by_name["decoder"]["kept"] == by_name["decoder"]["tensors"] > 0
    assert by_name["heads"]["kept"] == 0
    assert not torch.equal(weights_of(other / "run")["up.0.weight"], weights_of(trained)["up.0.weight"]), "it learnt"


def test_a_head_under_another_activation_is_drawn_anew(plain, trained):
    loaded = load(plain, f"model.init_from={trained}", "loss.name=lovasz_hinge")
    job, notes = job_of(loaded, plain / "run")
    assert job.answer.activation == "sigmoid"
    assert "outputs: organ drawn anew" in notes[0]


def test_every_loss_of_a_race_starts_from_the_same_weights(plain, trained):
    states = []
    for loss in ("dice_ce", "dice", "lovasz_hinge"):
        job, _ = job_of(load(plain, f"model.init_from={trained}", f"loss.name={loss}"), plain / loss)
        states.append(job.state.model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    shared = [name for name in states[0] if not name.startswith("heads")]
    assert all(torch.equal(states[0][name], states[2][name]) for name in shared)


def test_a_comparison_of_losses_follows_too(plain, trained):
    compare = "compare={losses: [dice_ce, dice], folds: 2, seeds: [0], baseline: dice_ce}"
    api.compare_losses(plain / "config.yaml", plain / "sweep", overrides=[f"model.init_from={trained}", compare])
    records = [json.loads(path.read_text()) for path in (plain / "sweep" / "runs").rglob("run.json")]
    assert len(records) == 4
    assert len({record["init_from"]["sha256"] for record in records}) == 1
    assert json.loads((plain / "sweep" / "plans" / "0.json").read_text())["widths"] == [4, 8]


def test_a_resumed_run_goes_on_with_its_own_weights_and_outlives_its_source(plain, trained, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(trained, source, ignore=shutil.ignore_patterns("prepared"))
    loaded, whole, run = load(plain, f"model.init_from={source}"), plain / "whole", plain / "run"
    finished(fit(loaded, whole))
    close_at(fit(loaded, run), step(1))
    shutil.rmtree(source)
    again = load(plain, text=(run / "config.yaml").read_text(encoding="utf-8"))
    notes = [event.text for event in fit(again, run, resume=True) if isinstance(event, Note)]
    assert not any("starts from" in note for note in notes)
    uninterrupted, resumed = weights_of(whole, "last"), weights_of(run, "last")
    assert all(torch.equal(uninterrupted[name], resumed[name]) for name in resumed)


def changed(trained: Path, folder: Path, **model) -> Path:
    """A copy of a checkpoint that says something else of its network."""
    shutil.copytree(trained / "checkpoints" / "last", folder)
    about = json.loads((folder / checkpoint.ABOUT).read_text())
    about["model"].update(model)
    (folder / checkpoint.ABOUT).write_text(json.dumps(about))
    return folder


def test_the_config_of_the_run_says_which_network_it_followed(plain, trained, tmp_path):
    source = changed(trained, tmp_path / "last", name="residual_unet", preset="S")
    loaded = followed(load(plain, f"model.init_from={source}"))
    assert (loaded.config.model.name, loaded.config.model.preset) == ("residual_unet", "S")
    assert loaded.origins["model.name"] == "init_from"
    assert followed(loaded).config == loaded.config


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.widths=[4, 8, 16]", r"model.widths is \(4, 8, 16\), the network of model.init_from has \(4, 8\)"),
        ("model.dims=2", "model.dims is 2, the network of model.init_from has 3"),
        ("model.block=residual", "model.block is residual, the network of model.init_from has plain"),
        ("model.name=residual_unet", r"model.name is residual_unet[\s\S]*leave model.name out"),
        ("model.patch_size=[7, 8, 8]", "patch_size 7"),
    ],
)
def test_a_config_that_wants_another_network_is_refused_before_anything_is_trained(plain, trained, override, words):
    loaded = load(plain, f"model.init_from={trained}", override)
    with pytest.raises(ConfigError, match=words):
        finished(fit(loaded, plain / "run"))
    assert not (plain / "run" / "run.json").exists()
    (problem,) = check(loaded)
    assert problem.what


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere", "there is no such run or checkpoint"),
        ("empty", "this is neither a run nor a checkpoint"),
        ("old.pth", "never read"),
    ],
)
def test_a_wrong_place_is_named_by_check_and_before_a_fit(plain, name, words):
    (plain / "empty").mkdir()
    (plain / "old.pth").write_bytes(b"")
    loaded = load(plain, f"model.init_from={plain / name}")
    with pytest.raises(CheckpointError, match=words):
        finished(fit(loaded, plain / "run"))
    assert not (plain / "run").exists()
    (problem,) = check(loaded)
    assert name in problem.where


def test_damaged_weights_are_refused(plain, trained, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(trained, source)
    file = source / "checkpoints" / "best" / checkpoint.MODEL
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match="damaged"):
        followed(load(plain, f"model.init_from={source}"))


def test_a_checkpoint_that_says_nothing_of_its_network_is_refused(trained, tmp_path):
    source = tmp_path / "last"
    shutil.copytree(trained / "checkpoints" / "last", source)
    about = json.loads((source / checkpoint.ABOUT).read_text())
    del about["plan"]
    (source / checkpoint.ABOUT).write_text(json.dumps(about))
    with pytest.raises(CheckpointError, match=r"no checkpoint of segtrain[\s\S]*plan"):
        Source.at(source)


def test_somebody_elses_code_is_not_followed(plain, trained, tmp_path):
    source = changed(trained, tmp_path / "last", name="theirs.py:Net")
    with pytest.raises(ConfigError, match=r"somebody's own code[\s\S]*write model.name yourself"):
        followed(load(plain, f"model.init_from={source}"))


def test_weights_that_do_not_fit_are_found_before_scans_are_prepared(trained, tmp_path):
    loaded = followed(load(tmp_path, f"model.init_from={trained}", text=CONFIG))
    plan = Plan.model_validate_json((trained / "plan.json").read_text())
    other = plan.model_copy(update={"kernels": ((5, 5, 5), (3, 3, 3))})
    answer = Answer("multiclass", "softmax", 2)
    try_network(loaded.config, plan, answer)
    with pytest.raises(CheckpointError, match=r"encoder.0.0.0.weight of model.init_from is \(4, 1, 3, 3, 1\)"):
        try_network(loaded.config, other, answer)


def test_the_split_of_the_run_that_trained_the_weights_is_known(trained):
    assert Source.at(trained).splits == trained / "splits.json"
    assert Source.at(trained).splits.is_file()


def test_without_init_from_nothing_is_followed(tmp_path):
    loaded = load(tmp_path, text=CONFIG)
    assert followed(loaded) is loaded
    assert wishes_from(loaded.config).follows is None


def test_a_path_is_relative_to_the_config(tmp_path):
    write_study(tmp_path, CONFIG + "model: {init_from: runs/old}\n")
    assert load(tmp_path).config.model.init_from == tmp_path / "runs" / "old"


@fault("F34", "a checkpoint without newer keys", then="0, it is read")
def test_old_checkpoints_have_settings_without_the_newer_keys(trained):
    about = json.loads((trained / "checkpoints" / "best" / checkpoint.ABOUT).read_text())
    older = {name: about["model"][name] for name in ("name", "dims", "block", "deep_supervision", "widths")}
    assert ModelSettings.model_validate(older).init_from is None
