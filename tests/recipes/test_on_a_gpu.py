"""What a GPU changes, and what it must not."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from segtrain.core.errors import ResourceError
from segtrain.core.events import Note
from segtrain.data.files.nifti import read_nifti
from segtrain.execution.executor import Processes
from segtrain.recipes.compare_losses import compare_losses
from segtrain.recipes.evaluate import evaluate_run
from segtrain.recipes.fit import fit
from segtrain.recipes.predict import predict
from tests.faults.table import fault
from tests.recipes.projects import CONFIG, close_at, finished, load, step, write_study

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
    pytest.mark.filterwarnings("default"),
]

FLOAT32 = "training.precision=float32"


def weights(run):
    return load_file(run / "checkpoints" / "last" / "model.safetensors")


def test_a_fit_takes_the_gpu_by_itself_and_ends_as_on_the_cpu(study, tmp_path):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    one_network = load(study, "compare=null", FLOAT32, "model.convolutions=[1, 1]")
    finished(fit(one_network, tmp_path / "gpu"))
    finished(fit(one_network, tmp_path / "cpu", device="cpu"))
    record = json.loads((tmp_path / "gpu" / "run.json").read_text(encoding="utf-8"))
    assert "cuda" in json.dumps(record)
    here, there = weights(tmp_path / "cpu"), weights(tmp_path / "gpu")
    plan = json.loads((tmp_path / "gpu" / "plan.json").read_text(encoding="utf-8"))
    assert plan == json.loads((tmp_path / "cpu" / "plan.json").read_text(encoding="utf-8"))
    for name, value in here.items():
        assert torch.allclose(value, there[name], atol=2e-2), name


def test_a_fit_that_was_broken_off_goes_on(study, tmp_path):
    loaded = load(study, "compare=null")
    finished(fit(loaded, tmp_path / "whole"))
    close_at(fit(loaded, tmp_path / "cut"), step(4))
    finished(fit(loaded, tmp_path / "cut", resume=True))
    for name, value in weights(tmp_path / "whole").items():
        assert torch.allclose(value, weights(tmp_path / "cut")[name], atol=2e-2), name


@pytest.mark.parametrize("settings", [(), ("inference.mirror_axes=[0, 1]", "inference.memory_mib=16")])
def test_masks_are_those_of_the_cpu_but_for_ties(trained, study, tmp_path, settings):
    for device in ("cpu", "cuda"):
        finished(predict(trained, study / "images", tmp_path / device, device=device, overrides=settings))
    for file in (tmp_path / "cpu" / "predictions").iterdir():
        here, there = (read_nifti(tmp_path / device / "predictions" / file.name).array for device in ("cpu", "cuda"))
        assert np.mean(here != there) < 0.01


def test_scores_are_those_of_the_cpu_but_for_ties(trained, study, tmp_path):
    means = [
        finished(evaluate_run(trained, study / "images", study / "labels", tmp_path / device, device=device)).result[
            "metrics"
        ]["mean"]["dice"]
        for device in ("cpu", "cuda")
    ]
    assert means[0] == pytest.approx(means[1], abs=0.01)


@fault("F25", "memory full at the first step", then="4, a smaller patch is proposed")
def test_a_patch_that_no_gpu_holds_is_answered_with_what_to_set(tmp_path):
    write_study(tmp_path)
    torch.cuda.set_per_process_memory_fraction(0.01)
    try:
        huge = load(tmp_path, "model.widths=[512, 512]", "model.patch_size=[64, 64, 64]", "training.batch_size=8")
        with pytest.raises(ResourceError, match="memory") as found:
            list(fit(huge, tmp_path / "run"))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "patch_size" in str(found.value)


@fault("F25", "memory full at a prediction", then="0, goes on in smaller pieces")
def test_prediction_beside_a_full_gpu_goes_on_with_smaller_pieces(trained, study, tmp_path):
    whole = finished(predict(trained, study / "images", tmp_path / "whole", device="cuda"))
    total = torch.cuda.get_device_properties(0).total_memory
    taken = torch.empty(int(torch.cuda.mem_get_info()[0] - 0.002 * total), dtype=torch.uint8, device="cuda")
    try:
        events = list(predict(trained, study / "images", tmp_path / "full", device="cuda"))
    finally:
        del taken
        torch.cuda.empty_cache()
    assert events[-1].failed == whole.failed == ()
    assert all(isinstance(event.text, str) for event in events if isinstance(event, Note))


def test_a_sweep_in_several_processes_shares_the_gpu(tmp_path):
    losses = "compare: {losses: [dice, dice_ce], folds: 2, seeds: [4], baseline: dice}\n"
    write_study(tmp_path, CONFIG.replace("epochs: 2", "epochs: 1") + losses)
    end = finished(compare_losses(load(tmp_path), tmp_path / "sweep", executor=Processes(2)))
    assert end.failed == ()
    assert [row["status"] for row in end.result["ranking"]] == ["ok", "ok"]
