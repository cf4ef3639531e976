"""F16, F11 and what comes before: disks that are full, too small or read-only, met by a command in its own process."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel
import pytest

from tests.commands.conftest import Trained
from tests.commands.projects import read, refused
from tests.faults.processes import can_mount, largest_file, limited, mounted
from tests.faults.studies import contents, inputs_untouched, small_study
from tests.faults.table import fault

pytest.importorskip("resource", reason="needs a system with limits for processes")
needs_mount = pytest.mark.skipif(not can_mount(), reason="this process may not mount a file system")


@needs_mount
@fault("F16", "no space for a mask", then="4, the mask")
def test_a_mask_for_which_there_is_no_space_is_not_there(trained: Trained, tmp_path: Path) -> None:
    out = tmp_path / "disk" / "out"
    out.parent.mkdir()
    places = ("--run", trained.run, "--images", trained.root / "images", "--out", out)
    three_pages = mounted(f"mount -t tmpfs -o size=12k none {out.parent}")
    with inputs_untouched(trained.config):
        done = limited(tmp_path, "predict", *places, before=three_pages)
    assert done.code == 4, done.text
    assert done.in_words
    assert "cannot write" in done.text
    assert ".nii.gz" in done.text
    assert "free some space" in done.text


@fault("F16", "no space for log.jsonl", then="4, the log; goes on with --resume")
def test_a_log_for_which_there_is_no_space(tmp_path: Path) -> None:
    config = small_study(tmp_path)
    run = tmp_path / "run"
    done = limited(tmp_path, "fit", "--config", config, "--run", run, before=largest_file(900))
    assert done.code == 4, done.text
    assert done.in_words
    again = limited(tmp_path, "fit", "--config", config, "--run", run, "--resume")
    assert again.code == 0, again.text
    assert "finished" in read(run / "run.json")


@needs_mount
@fault("F16", "a real disk (tmpfs) that is full at a checkpoint", then="4; once there is space, --resume ends it")
def test_a_real_disk_that_is_full(tmp_path: Path) -> None:
    config = small_study(tmp_path)
    run = tmp_path / "disk" / "run"
    (tmp_path / "disk").mkdir()
    script = (
        f"mount -t tmpfs -o size=160k none {tmp_path / 'disk'} && dd if=/dev/zero of={tmp_path / 'disk'}/full bs=1k"
    )
    through = mounted(f"{script} count=150 2>/dev/null")
    done = limited(
        tmp_path, "fit", "--config", config, f"data.store={tmp_path / 'store'}", "--run", run, before=through
    )
    assert done.code == 4, done.text
    assert done.in_words
    assert not run.exists()  # the disk was the child's own
    again = limited(tmp_path, "fit", "--config", config, f"data.store={tmp_path / 'store'}", "--run", run)
    assert again.code == 0, again.text


@needs_mount
@fault("F16", "a disk too small for checkpoints and prepared cases, before the start", then="4, both numbers")
@pytest.mark.parametrize("command", ["fit", "compare-losses"])
def test_too_small_a_disk_is_told_before_the_start(tmp_path: Path, command: str) -> None:
    config = small_study(tmp_path, cases=4)
    place = tmp_path / "disk"
    place.mkdir()
    through = mounted(f"mount -t tmpfs -o size=100k none {place}")
    done = limited(
        tmp_path, command, "--config", config, "model.widths=[32, 64]", "--run", place / "run", before=through
    )
    assert done.code == 4, done.text
    assert "too little room" in done.text
    assert "checkpoints: " in done.text
    assert "are free" in done.text
    assert done.in_words


@needs_mount
@fault("F16", "no room for probabilities, before the start of a prediction", then="4, both numbers; nothing is written")
def test_probabilities_for_which_there_is_no_room_are_told_before_the_start(trained: Trained, tmp_path: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    places = ("--run", trained.run, "--images", trained.root / "images", "--out", place / "out")
    through = mounted(f"mount -t tmpfs -o size=20k none {place}")
    done = limited(tmp_path, "predict", *places, "--save-probabilities", before=through)
    assert done.code == 4, done.text
    assert "masks and probabilities" in done.text
    assert "predicted" not in done.text


@needs_mount
@fault("F11", "a folder on a disk that is read-only", then="4, the path")
@pytest.mark.parametrize("command", ["fit", "predict"])
def test_a_read_only_disk_is_named(trained: Trained, tmp_path: Path, command: str) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    through = mounted(f"mount -t tmpfs -o ro none {place}")
    images = ("--run", trained.run, "--images", trained.root / "images", "--out", place / "out")
    arguments = images if command == "predict" else ("--config", trained.config, "--run", place / "run")
    done = limited(tmp_path, command, *arguments, before=through)
    assert done.code == 4, done.text
    assert str(place) in done.text
    assert done.in_words


@needs_mount
@fault("F11", "scans on a disk that is read-only", then="0, nothing is written beside them")
def test_scans_may_be_read_only(trained: Trained, tmp_path: Path) -> None:
    copy = tmp_path / "study"
    shutil.copytree(trained.root / "images", copy / "images")
    before = contents(copy)
    through = mounted(f"mount --bind {copy} {copy}; mount -o remount,ro,bind {copy}")
    places = ("--run", trained.run, "--images", copy / "images", "--out", tmp_path / "out")
    done = limited(tmp_path, "predict", *places, before=through)
    assert done.code == 0, done.text
    assert contents(copy) == before
    assert len(list((tmp_path / "out" / "predictions").iterdir())) == len(before)
    assert nibabel.load(tmp_path / "out" / "predictions" / "P0.nii.gz").shape


def test_what_is_refused_is_refused_in_this_process_too(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    refused("fit", "--config", trained.config, "--run", tmp_path / "file" / "run", code=4)
