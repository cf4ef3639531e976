"""`init` and `check DATA` on the command line; tests/recipes/test_init.py has what they find."""

from __future__ import annotations

import pytest

from segtrain.core.case import ScanSource
from segtrain.core.volume import LabelMap
from segtrain.data.files.nifti import write_nifti
from segtrain.data.read import read_labels
from tests.cli.commands import segtrain
from tests.commands.projects import answer, done, refused, study


@pytest.fixture
def data(tmp_path):
    study(tmp_path / "data", cases=3).unlink()
    return tmp_path / "data"


def test_what_was_found_goes_to_stdout_and_the_next_command_to_stderr(data, tmp_path):
    out = tmp_path / "my config.yaml"
    told = done("init", data, "-o", out)
    assert told.stdout.splitlines()[:4] == [
        "recognised: two folders: 3 cases with a scan in images and a mask in labels",
        "cases: 3 of 3 patients",
        "channels: image",
        "labels: foreground 1 (in 3) of 3 masks read, of 3",
    ]
    assert f"written: {out}" in told.stdout
    assert f"next: segtrain check --config '{out}'" in told.stderr
    assert "no faults found" in done("check", "--config", out).stdout


def test_as_json_it_is_one_object(data, tmp_path):
    found = answer("init", data, "-o", tmp_path / "c.yaml")
    assert (found["cases"], found["labels"], found["config"]) == (
        3,
        {"background": 0, "foreground": 1},
        str(tmp_path / "c.yaml"),
    )


def test_a_config_that_is_there_stays(data, tmp_path):
    (tmp_path / "c.yaml").write_text("mine")
    assert "is there already" in refused("init", data, "-o", tmp_path / "c.yaml", code=2)[0]["what"]
    done("init", data, "-o", tmp_path / "c.yaml", "--overwrite")


def test_a_place_without_data_says_what_was_looked_for(tmp_path):
    (problem,) = refused("init", tmp_path, "-o", tmp_path / "c.yaml", code=3)
    assert "looked for" in problem["why"]
    assert not (tmp_path / "c.yaml").exists()


def test_data_are_checked_without_a_config_and_nothing_is_written(data, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    found = answer("check", data)
    assert (found["ok"], found["cases"]) == (True, 3)
    (data / "labels" / "P0.nii.gz").unlink()
    found = answer("check", data, code=1)
    assert [problem["what"] for problem in found["problems"]] == ["image P0 has no label"]
    assert sorted(tmp_path.rglob("*")) == [
        path for path in before if path.name != "P0.nii.gz" or "images" in path.parts
    ]


@pytest.mark.parametrize("arguments", [[], ["training.epochs=5"]])
def test_check_needs_a_config_or_data(arguments):
    result = segtrain("check", *arguments)
    assert result.exit_code == 2
    assert "nothing to check" in result.stderr


def test_a_path_where_nothing_is_leaves_nothing_behind_and_says_what_to_do(tmp_path):
    (tmp_path / "scans").mkdir()
    (problem,) = refused("init", tmp_path / "scan", "-o", tmp_path / "c.yaml", code=3)
    assert (problem["what"], problem["fix"]) == (
        "there is no such folder or table",
        f"did you mean {tmp_path / 'scans'}?",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["scans"]


def test_a_255_in_one_mask_is_told_on_the_screen(data, tmp_path):
    path = data / "labels" / "P1.nii.gz"
    mask = read_labels(ScanSource(path))
    array = mask.array.copy()
    array[0, 0, 0] = 255
    write_nifti(path, LabelMap(array, mask.grid))
    told = done("init", data, "-o", tmp_path / "c.yaml").stdout
    assert "labels: foreground 1 (in 3) of 3 masks read, of 3\nignore: 255 (in 1)\n" in told
    assert "note: 255 occurs in 1 of 3 masks (case P1), beside other labels" in told


def test_a_config_that_is_not_there_names_the_command_that_writes_one(tmp_path):
    (problem,) = refused("fit", "--config", tmp_path / "mine.yaml", code=2)
    assert f"`segtrain init DATA -o {tmp_path / 'mine.yaml'}` writes one for your scans" in problem["fix"]
