"""A page is made anew from the files of a run, an evaluation or a sweep, and of nothing else."""

from __future__ import annotations

import shutil

import pytest

from segtrain.core.errors import DataError
from segtrain.recipes.report import rebuild
from tests.recipes.projects import CONFIG, write_study


@pytest.mark.parametrize("which", ["run", "sweep"])
def test_a_page_that_was_lost_is_made_again_as_it_was(trained, swept, which, tmp_path):
    folder = tmp_path / (trained if which == "run" else swept.folder).name
    shutil.copytree(trained if which == "run" else swept.folder, folder, ignore=shutil.ignore_patterns("prepared"))
    written = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()
    assert rebuild(folder) == folder / "report.html"
    assert (folder / "report.html").read_bytes() == written


def test_a_run_that_is_not_finished_has_a_page_without_scores(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run", ignore=shutil.ignore_patterns("validation", "report.html"))
    assert "Training of run" in rebuild(tmp_path / "run").read_text(encoding="utf-8")


def test_a_study_with_a_folder_of_runs_is_no_sweep(tmp_path):
    write_study(tmp_path, CONFIG + "compare: {losses: [dice, dice_ce], folds: 2}\n")
    (tmp_path / "runs").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match="nothing to report on"):
        rebuild(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="nothing to report on"):
        rebuild(tmp_path / "nowhere")
