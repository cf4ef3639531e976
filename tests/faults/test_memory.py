"""F22 and F23: little shared memory, little memory, met by a command in its own process."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests import phantoms
from tests.commands.conftest import Trained
from tests.commands.projects import write_image
from tests.faults.processes import can_mount, limited, most_data, mounted
from tests.faults.studies import image_of, small_study
from tests.faults.table import fault

pytest.importorskip("resource", reason="needs a system with limits for processes")
MIB = 2**20


@pytest.mark.skipif(not can_mount(), reason="this process may not mount a file system")
@fault("F22", "64 kB of shared memory, two processes that prepare", then="0, they use pipes and files")
def test_shared_memory_is_not_needed(tmp_path: Path) -> None:
    config = small_study(tmp_path)
    through = mounted("mount -t tmpfs -o size=64k none /dev/shm")
    fit = ("fit", "--config", config, "data.workers=2", "training.epochs=1", "training.steps_per_epoch=1")
    done = limited(tmp_path, *fit, "--run", tmp_path / "run", before=through)
    assert done.code == 0, done.text


@pytest.mark.slow
@fault("F23", "a limit of 1.5 GiB, a scan whose 100 outputs take 2.4 GiB", then="0, it is predicted in blocks")
def test_a_scan_with_many_labels_is_predicted_below_the_limit(tmp_path: Path) -> None:
    labels = ", ".join(["background: 0", *(f"l{number}: {number}" for number in range(1, 100))])
    text = f"""\
data: {{images: images, labels: labels, channels: [T1]}}
task: {{labels: {{{labels}}}}}
model: {{widths: [4, 8], patch_size: [16, 16, 16]}}
training: {{epochs: 1, steps_per_epoch: 1, batch_size: 1, validation_share: 0.34}}
evaluation: {{metrics: [dice]}}
"""
    config = small_study(tmp_path, config=text)
    fitted = limited(tmp_path, "fit", "--config", config, "--run", tmp_path / "run")
    assert fitted.code == 0, fitted.text
    large = phantoms.grid((200, 192, 168))
    (tmp_path / "large").mkdir()
    write_image(tmp_path / "large" / "a.nii.gz", np.random.default_rng(0).normal(size=large.shape), large)
    places = ("--run", tmp_path / "run", "--images", tmp_path / "large", "--out", tmp_path / "out")
    settings = ("inference.memory_mib=128", "inference.overlap=0")
    done = limited(tmp_path, "predict", *places, *settings, before=most_data(1536 * MIB))
    assert done.code == 0, done.text
    assert nibabel.load(tmp_path / "out" / "predictions" / "a.nii.gz").shape == large.shape


@fault("F23", "a limit that a scan does not fit into, among others that do", then="1, it is named; the others are done")
@pytest.mark.slow
def test_a_scan_that_memory_does_not_hold_costs_the_others_nothing(trained: Trained, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "P0.nii.gz").write_bytes(image_of(trained.config, "P0").read_bytes())
    nibabel.save(nibabel.Nifti1Image(np.zeros((1000, 1000, 500), np.int16), np.eye(4)), images / "huge.nii.gz")
    places = ("--run", trained.run, "--images", images, "--out", tmp_path / "out")
    done = limited(tmp_path, "predict", *places, before=most_data(1024 * MIB))
    assert done.code == 1, done.text
    assert "huge" in done.text
    assert "memory" in done.text
    assert done.in_words
    assert [path.name for path in (tmp_path / "out" / "predictions").iterdir()] == ["P0.nii.gz"]


@fault(
    "F23", "a patch that the machine cannot hold", then="4, before anything is prepared: the estimate and what is free"
)
def test_a_step_that_memory_does_not_hold_is_told_before_the_start(tmp_path: Path) -> None:
    config = small_study(tmp_path)
    huge = ("model.patch_size=[1024, 1024, 1024]", "training.batch_size=64")
    done = limited(tmp_path, "fit", "--config", config, *huge, "--run", tmp_path / "run")
    assert done.code == 4, done.text
    assert "a training step takes at least" in done.text
    assert "model.patch_size" in done.text
    assert not list((tmp_path / "run").glob("prepared/*.safetensors"))
