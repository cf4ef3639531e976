"""Scans are read once, faults are gathered, and what was prepared before is not prepared again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import DataError, ResourceError
from segtrain.core.events import CasePrepared, CaseRead, Note
from segtrain.core.grid import Grid
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.data import sources
from segtrain.data.cases import find_cases, find_scans
from segtrain.data.files.nifti import write_nifti, write_nifti_image
from segtrain.data.read import read_labels
from segtrain.data.store import is_stored
from segtrain.data.store import load as load_stored
from segtrain.execution import workers
from segtrain.recipes import dataset, one_case
from segtrain.recipes.dataset import fingerprint_all, logged, prepare_all, processes_for
from segtrain.recipes.run_folder import RunFolder
from tests.faults.table import fault
from tests.phantoms import grid, scan
from tests.plans import small_plan
from tests.recipes import lethal
from tests.recipes.projects import CASES, SHAPE, load, result_of, write_case, write_study

TASK = Task(labels={"background": 0, "organ": 1})
needs_kill = pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")


@pytest.fixture
def data(tmp_path):
    """A study that a test may change."""
    write_study(tmp_path)
    return tmp_path


@pytest.fixture
def settled(monkeypatch):
    """Files that were written a moment ago are trusted, as if that were long ago."""
    if not sources.HAS_CHANGE_TIME:
        pytest.skip("nothing is remembered on Windows")
    monkeypatch.setattr(sources, "SETTLED_SECONDS", -1.0)


def cases_of(root):
    return find_cases(load(root).config.data)


def shift_label(root, case, voxels):
    """Move a mask by a share of a voxel along the first axis, its numbers unchanged."""
    source = next(c.label for c in cases_of(root) if c.id == case)
    labels = read_labels(source)
    step = np.eye(4)
    step[0, 3] = voxels
    write_nifti(source.path, LabelMap(labels.array, Grid(labels.grid.shape, labels.grid.affine @ step)))


def spoil(root):
    """Three kinds of faults in three of the five cases."""
    write_case(root, "P0_b", label=5)
    (root / "images" / "P1_a.nii.gz").write_bytes(b"no scan")
    shift_label(root, "P3_a", 2)


def places(error):
    return [problem.where.partition(",")[0] for problem in error.value.problems]


@pytest.mark.parametrize("count", [0, 2])
def test_the_faults_of_all_cases_are_in_one_error_in_their_order(data, count):
    spoil(data)
    with pytest.raises(DataError) as error:
        result_of(fingerprint_all(cases_of(data), ("T1",), TASK, workers=count))
    assert places(error) == ["case P0_b", "case P1_a", "case P3_a"]


@pytest.mark.parametrize("count", [0, 2])
def test_bad_cases_do_not_keep_the_good_ones_out_of_the_store(data, count):
    spoil(data)
    with pytest.raises(DataError) as error:
        result_of(prepare_all(cases_of(data), small_plan(), TASK, data / "store", workers=count))
    assert places(error) == ["case P0_b", "case P1_a", "case P3_a"]
    stored = [load_stored(file).case for file in (data / "store").glob("*.safetensors")]
    assert sorted(stored) == ["P0_a", "P2_a"]


def test_a_scan_with_a_fourth_axis_is_refused_where_one_channel_is_named(data):
    image, _ = scan(grid(SHAPE), channels=2)
    write_nifti_image(data / "images" / "P2_a.nii.gz", image)
    with pytest.raises(DataError, match=r"2 channels, not 1 \(T1\)[\s\S]*case P2_a"):
        result_of(fingerprint_all(cases_of(data), ("T1",), TASK))


def test_every_case_has_a_record(data):
    cases = cases_of(data)
    found = result_of(fingerprint_all(cases[::-1], ("T1",), TASK))
    assert list(found) == [case.id for case in cases[::-1]]
    assert all(record.case == case for case, record in found.items())


def test_processes_find_and_write_the_same_as_one_and_tell_every_case_once(data):
    cases = cases_of(data)
    alone, together = (result_of(fingerprint_all(cases, ("T1",), TASK, workers=count)) for count in (0, 2))
    for case, record in alone.items():
        assert np.array_equal(record.foreground_samples, together[case].foreground_samples)
    for count in (0, 2):
        told = list(prepare_all(cases, small_plan(), TASK, data / str(count), workers=count))
        assert [event.done for event in told] == [1, 2, 3, 4, 5]
        assert sorted(event.case for event in told) == list(CASES)
    one, other = ({file.name: file.read_bytes() for file in (data / name).glob("*.safetensors")} for name in "02")
    assert len(one) == 5
    assert one == other


def test_a_note_on_a_case_is_told(data):
    shift_label(data, "P1_a", 0.2)
    (note,) = (event for event in fingerprint_all(cases_of(data), ("T1",), TASK) if isinstance(event, Note))
    assert "P1_a" in note.text


def test_a_scan_without_a_mask_cannot_train(data):
    settings = load(data).config.data.model_copy(update={"labels": None})
    with pytest.raises(DataError, match=r"without a label cannot train[\s\S]*P0_a"):
        result_of(prepare_all(find_scans(settings, settings.images).cases, small_plan(), TASK, data / "store"))


def test_every_case_is_told_when_it_is_there(data):
    cases = cases_of(data)
    told = list(fingerprint_all(cases, ("T1",), TASK))
    assert told == [CaseRead(case.id, number, 5) for number, case in enumerate(cases, start=1)]
    told = list(prepare_all(cases, small_plan(), TASK, data / "store"))
    assert told == [CasePrepared(case.id, number, 5) for number, case in enumerate(cases, start=1)]
    assert all(event.seconds > 0 for event in told)
    assert {event.seconds for event in prepare_all(cases, small_plan(), TASK, data / "store")} == {None}


def prepared(root, plan=None):
    """Case -> its file, and when it was written."""
    files = result_of(prepare_all(cases_of(root), plan or small_plan(), TASK, root / "store"))
    return {case: (file, file.stat().st_mtime_ns) for case, file in files.items()}


def test_prepared_cases_are_used_again(data):
    first = prepared(data)
    assert prepared(data) == first
    assert prepared(data, small_plan(widths=(8, 16), patch=(8, 8, 8))) == first


def test_with_a_warm_store_no_scan_is_opened(data, settled, monkeypatch):
    names, store = ("T1",), data / "store"
    first = prepared(data)
    facts = result_of(fingerprint_all(cases_of(data), names, TASK, store=store))
    for name in ("read_case", "make_prepared", "make_fingerprint"):
        monkeypatch.setattr(one_case, name, None)
    monkeypatch.setattr(sources, "source_hash", None)
    assert prepared(data) == first
    again = result_of(fingerprint_all(cases_of(data), names, TASK, store=store))
    assert list(again) == list(facts)


@pytest.mark.parametrize("part", ["images", "labels"])
def test_a_case_whose_scan_or_mask_changed_is_prepared_anew(data, settled, part):
    first = prepared(data)
    (data / part / "P2_a.nii.gz").write_bytes((data / part / "P1_a.nii.gz").read_bytes())
    second = prepared(data)
    assert [case for case in first if first[case] != second[case]] == ["P2_a"]
    assert first["P2_a"][0] != second["P2_a"][0]


def test_another_spacing_prepares_everything_anew(data):
    first, second = prepared(data), prepared(data, small_plan(spacing_mm=(2.0, 2.0, 2.5)))
    assert all(first[case] != second[case] for case in first)


def test_a_preparation_that_was_cut_short_is_made_again(data, settled):
    file, _ = prepared(data)["P1_a"]
    file.write_bytes(file.read_bytes()[:-1])
    assert prepared(data)["P1_a"][0] == file
    assert is_stored(file)


def test_what_a_killed_writer_left_days_ago_is_cleared_away(data):
    prepared(data)
    old, new = (data / "store" / f".{name}.0123.99.tmp" for name in ("old", "new"))
    for file in (old, new):
        file.touch()
    os.utime(old, (1e9, 1e9))
    prepared(data)
    assert (old.exists(), new.exists()) == (False, True)


@needs_kill
@fault("F21", "a case that kills its process", then="4, the case; the others are prepared")
def test_a_case_whose_process_dies_twice_is_named_and_the_others_are_stored(data, monkeypatch):
    monkeypatch.setattr(dataset, "make_prepared", lethal.at_p1)
    work = prepare_all(cases_of(data), small_plan(), TASK, data / "store", workers=2)
    told = []
    with pytest.raises(ResourceError, match=r"process died[\s\S]*P1_a[\s\S]*SIGKILL"):
        told.extend(work)
    assert len(list((data / "store").glob("*.safetensors"))) == 4


@needs_kill
def test_a_case_whose_process_dies_once_is_noted_and_done(data, monkeypatch):
    monkeypatch.setattr(dataset, "make_prepared", lethal.at_p1_once)
    told = list(prepare_all(cases_of(data), small_plan(), TASK, data / "store", workers=2))
    (note,) = (event for event in told if isinstance(event, Note))
    assert "P1_a" in note.text
    assert "tried again" in note.text
    assert sorted(event.case for event in told if isinstance(event, CasePrepared)) == list(CASES)


PREPARING = """\
import sys
from pathlib import Path
from segtrain.core.task import Task
from segtrain.data.cases import find_cases
from segtrain.data.settings import DataSettings
from segtrain.recipes.dataset import prepare_all
from tests.plans import small_plan
root = Path(sys.argv[1])
cases = find_cases(DataSettings(images=root / "images", labels=root / "labels", channels=("T1",)))
task = Task(labels={"background": 0, "organ": 1})
for event in prepare_all(cases, small_plan(), task, root / "store", workers=int(sys.argv[2])):
    print(event, flush=True)
"""


def preparing(root: Path, count: int) -> subprocess.Popen:
    command = [sys.executable, "-c", PREPARING, str(root), str(count)]
    environment = {**os.environ, "PYTHONPATH": str(Path(dataset.__file__).parents[2])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_two_commands_may_prepare_the_same_cases_at_once(data):
    commands = [preparing(data, count) for count in (0, 2)]
    for command in commands:
        command.communicate()
    assert [command.returncode for command in commands] == [0, 0]
    found = [path.name for path in (data / "store").rglob("*")]
    assert len(found) == 5
    assert prepared(data).keys() == set(CASES)
    assert len(list((data / "store").rglob("*"))) == 5


@needs_kill
@pytest.mark.parametrize("count", [0, 2])
def test_a_command_that_is_killed_while_it_prepares_leaves_only_whole_cases(data, count):
    command = preparing(data, count)
    command.stdout.readline()
    command.kill()
    command.communicate()
    assert all(is_stored(file) for file in (data / "store").glob("*.safetensors"))
    files = prepared(data)
    assert all(is_stored(file) for file, _ in files.values())


def test_each_case_adds_its_seconds_to_the_log_unless_it_was_there(data):
    (data / "run").mkdir()
    folder = RunFolder(data / "run")
    work = partial(prepare_all, cases_of(data), small_plan(), TASK, folder.store)
    assert result_of(logged(folder, work())).keys() == set(CASES)
    result_of(logged(folder, work()))
    lines = [json.loads(line) for line in folder.log.read_text().splitlines()]
    assert [(line["event"], line["case"]) for line in lines] == [("prepared", case) for case in CASES]
    assert all(line["seconds"] >= 0 for line in lines)


def large(root: Path, count: int, megabytes: float) -> list[Case]:
    """Cases of so many bytes, which are not there."""
    found = []
    for number in range(count):
        file = root / f"{number}.nii"
        with file.open("wb") as hole:
            hole.truncate(int(megabytes * 1e6))
        found.append(Case(str(number), str(number), (ScanSource(file),)))
    return found


@pytest.mark.parametrize(
    ("count", "megabytes", "gigabytes", "expected"),
    [
        (5, 0.1, 64, 0),  # not worth a process
        (100, 20, 64, 4),
        (400, 0.1, 64, 4),  # small, but many
        (3, 40, 64, 3),
        (100, 20, 2, 2),  # memory for two
        (3, 100, 1, 1),  # for none: still tried, in a process whose death names the case
        (100, 20, None, 4),
    ],
)
def test_as_many_processes_as_the_work_and_the_machine_are_worth(
    tmp_path, monkeypatch, count, megabytes, gigabytes, expected
):
    monkeypatch.setattr(dataset, "usable_cores", lambda: 4)
    monkeypatch.setattr(dataset, "available_ram_bytes", lambda: None if gigabytes is None else int(gigabytes * 1e9))
    cases = large(tmp_path, count, megabytes)
    assert processes_for(cases, None) == expected
    assert processes_for(cases, 7) == 7


def test_a_scan_that_is_gone_does_not_keep_from_counting(tmp_path):
    assert processes_for([Case("a", "a", (ScanSource(tmp_path / "gone.nii"),))], None) == 0


def test_no_process_is_started_for_small_scans(data, monkeypatch):
    monkeypatch.setattr(workers.subprocess, "Popen", None)
    assert prepared(data).keys() == set(CASES)
