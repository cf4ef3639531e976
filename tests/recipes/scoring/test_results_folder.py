"""New results lie among no older ones, and nothing is deleted but these."""

from __future__ import annotations

import pytest

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import ConfigError
from segtrain.recipes.lock import LOCK
from segtrain.recipes.run_folder import RunFolder, write_record
from segtrain.recipes.scoring.results_folder import TABLES, open_results, results_folder, sources_of, written_masks


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def out(tmp_path):
    """A folder that holds results, and what somebody put beside them."""
    folder = tmp_path / "out"
    for name in (*TABLES, "predictions/a.nii.gz", "predictions/notes.txt", "thesis.txt", "scans/a.nii.gz"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    return folder


@pytest.mark.parametrize("name", [*TABLES, "predictions/a.nii.gz"])
def test_any_of_the_old_results_is_reason_enough(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("old")
    with pytest.raises(ConfigError, match=r"holds results already[\s\S]*--overwrite"):
        open_results(tmp_path, [], overwrite=False)


def test_a_new_or_foreign_folder_is_used_as_it_is(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    open_results(tmp_path, [], overwrite=False)
    open_results(tmp_path / "new", [], overwrite=True)
    assert files_in(tmp_path) == ["thesis.txt"]


def test_overwrite_deletes_results_and_nothing_else(out):
    open_results(out, [ScanSource(out / "scans" / "a.nii.gz")], overwrite=True)
    assert files_in(out) == ["predictions/notes.txt", "scans/a.nii.gz", "thesis.txt"]


def test_scores_of_masks_replace_no_predictions(out):
    open_results(out, [], overwrite=True, masks=False)
    assert "predictions/a.nii.gz" in files_in(out)
    open_results(out, [], overwrite=False, masks=False)


@pytest.mark.parametrize("link", [False, True])
def test_what_is_to_be_read_is_not_deleted(out, tmp_path, link):
    source = out / "predictions" / "a.nii.gz"
    if link:
        (tmp_path / "link.nii.gz").symlink_to(source)
        source = tmp_path / "link.nii.gz"
    before = files_in(out)
    with pytest.raises(ConfigError, match="would delete what is to be read"):
        open_results(out, [ScanSource(source)], overwrite=True)
    assert files_in(out) == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_run_is_no_place_for_results(out, overwrite):
    write_record(RunFolder(out), {})
    before = files_in(out)
    with pytest.raises(ConfigError, match="not written into a run"):
        open_results(out, [], overwrite=overwrite)
    assert files_in(out) == before


def test_every_file_of_a_case_is_a_source(tmp_path):
    one, two, label = (ScanSource(tmp_path / name) for name in ("a_0000", "a_0001", "label"))
    assert sources_of([Case("a", "a", (one, two), label), Case("b", "b", (two,))]) == [one, two, label, two]


def test_masks_in_every_format_and_their_probabilities_are_results(tmp_path):
    names = ["predictions/a.nii.gz", "predictions/b.mha", "predictions/c.dcm", "probabilities/a.nii"]
    for name in (*names, "probabilities/outputs.json", "prediction.json", "predictions/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert [path.name for path in written_masks(tmp_path)] == ["a.nii.gz", "b.mha", "c.dcm"]
    with pytest.raises(ConfigError, match="holds results already"):
        open_results(tmp_path, [], overwrite=False)
    open_results(tmp_path, [], overwrite=True)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["notes.txt"]


def test_a_folder_of_results_is_one_process_s_and_is_not_left_empty(tmp_path):
    with results_folder(tmp_path / "out"):
        assert (tmp_path / "out" / LOCK).is_file()
    assert not (tmp_path / "out").exists()
    with results_folder(tmp_path / "out"):
        (tmp_path / "out" / "metrics.json").write_text("{}")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["metrics.json"]


def test_results_are_never_written_into_a_run(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ConfigError, match="not written into a run"), results_folder(tmp_path):
        pass
