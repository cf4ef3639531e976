"""The store gives back what was put in, and never half a case."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from segtrain.core.errors import DataError, ResourceError
from segtrain.core.task import Task
from segtrain.data import store
from segtrain.data.plan.fingerprint import fingerprint_case
from segtrain.data.prepare import PreparedCase, prepare
from segtrain.data.store import (
    fingerprint_file,
    foreground_centres,
    is_stored,
    load,
    load_fingerprint,
    prepared_file,
    prepared_key,
    save,
    save_fingerprint,
)
from tests.phantoms import grid, scan
from tests.plans import small_plan

TASK = Task(labels={"background": 0, "organ": 1})


@pytest.fixture
def prepared():
    image, labels = scan(grid(degrees=20))
    return prepare("a", image, labels, small_plan(), TASK)


def test_a_case_comes_back_equal(tmp_path, prepared):
    save(prepared, prepared.classes, tmp_path / "a")
    again = load(tmp_path / "a")
    assert again.case == "a"
    assert np.array_equal(again.image, prepared.image)
    assert np.array_equal(again.classes, prepared.classes)
    assert np.array_equal(again.centres, foreground_centres("a", prepared.classes))
    for one, two in ((again.native, prepared.native), (again.grid, prepared.grid)):
        assert one.shape == two.shape
        assert np.array_equal(one.affine, two.affine)


def test_the_key_of_a_stored_case_is_the_hash_in_its_name_even_where_the_id_holds_dashes_and_dots(tmp_path, prepared):
    save(prepared, prepared.classes, tmp_path / "patient-7.1-0123456789ab.safetensors")
    assert load(tmp_path / "patient-7.1-0123456789ab.safetensors").key == "0123456789ab"


def test_a_case_that_was_cut_short_counts_as_missing_and_is_replaced(tmp_path, prepared):
    file = tmp_path / "a"
    save(prepared, prepared.classes, file)
    file.write_bytes(file.read_bytes()[:-1])
    assert not is_stored(file)
    with pytest.raises(DataError, match="cannot be read"):
        load(file)
    save(prepared, prepared.classes, file)
    assert is_stored(file)


def test_centres_lie_on_their_class(prepared):
    centres = foreground_centres("a", prepared.classes)
    assert len(centres) > 50
    assert all(prepared.classes[x, y, z] == label for label, x, y, z in centres)


def test_an_empty_mask_has_no_centres(tmp_path, prepared):
    empty = np.zeros_like(prepared.classes)
    assert foreground_centres("a", empty).shape == (0, 4)
    save(prepared, empty, tmp_path / "a")
    assert load(tmp_path / "a").centres.shape == (0, 4)


def test_the_name_changes_with_the_scan_the_preparation_and_the_task(tmp_path):
    first = prepared_file(tmp_path, "a", "hash", small_plan(), TASK)
    assert first == prepared_file(tmp_path, "a", "hash", small_plan(patch=(8, 8, 8)), TASK)
    assert first != prepared_file(tmp_path, "a", "other", small_plan(), TASK)
    assert first != prepared_file(tmp_path, "a", "hash", small_plan(spacing_mm=(2, 2, 2)), TASK)
    assert first != prepared_file(tmp_path, "a", "hash", small_plan(), Task(labels={"background": 0, "organ": 2}))
    hidden = Task(labels=TASK.labels, partial={"a": ()})
    assert first != prepared_file(tmp_path, "a", "hash", small_plan(), hidden), "its mask must not have the label"
    covering = Task(labels=TASK.labels, overlap="later")
    assert first != prepared_file(tmp_path, "a", "hash", small_plan(), covering), "overlapping structures differ"
    other = Task(labels=TASK.labels, partial={"b": ()})
    assert first == prepared_file(tmp_path, "a", "hash", small_plan(), other)


def test_a_task_without_newer_keys_has_the_keys_that_it_always_had():
    """Else no run that an older version began could be resumed."""
    text = f'2/hash/{small_plan().preparation_hash}/{{"labels":{{"background":0,"organ":1}},"ignore":null}}'
    task = Task(labels={"background": 0, "organ": 1})
    assert prepared_key("a", "hash", small_plan(), task) == hashlib.sha256(text.encode()).hexdigest()[:12]


def test_a_long_id_has_a_name_that_a_system_takes_and_no_other_case_has(tmp_path):
    one, other = (prepared_file(tmp_path, "é" * 120 + end, "hash", small_plan(), TASK) for end in "ab")
    assert one != other
    assert max(len(file.name.encode()) for file in (one, other)) < 255


def test_a_case_has_one_key_under_every_name(tmp_path, prepared):
    file = prepared_file(tmp_path, "a", "hash", small_plan(), TASK)
    save(prepared, prepared.classes, file)
    assert load(file).key == prepared_key("b", "hash", small_plan(), TASK)


def test_the_name_of_facts_changes_with_the_scan_the_task_and_what_is_sampled(tmp_path):
    names = [
        fingerprint_file(tmp_path, "a", "hash", TASK, (1, 5000)),
        fingerprint_file(tmp_path, "a", "other", TASK, (1, 5000)),
        fingerprint_file(tmp_path, "a", "hash", TASK, (1, 500)),
        fingerprint_file(tmp_path, "a", "hash", TASK, (2, 5000)),
        fingerprint_file(tmp_path, "a", "hash", Task(labels={"background": 0, "organ": 2}), (1, 5000)),
    ]
    assert len(set(names)) == 5


@pytest.mark.parametrize("note", [None, "the mask lies 0.2 voxels beside the image"])
def test_facts_come_back_equal(tmp_path, note):
    record = fingerprint_case("a", *scan(grid(degrees=20), channels=2), TASK)
    save_fingerprint(record, note, tmp_path / "f")
    again, told = load_fingerprint(tmp_path / "f")
    assert (again.case, again.minimum, told) == ("a", record.minimum, note)
    assert again.content == record.content
    assert all(again.content)
    assert np.array_equal(again.grid.affine, record.grid.affine)
    assert np.array_equal(again.foreground_samples, record.foreground_samples)


def test_a_file_that_another_run_holds_open_is_taken_as_it_is(tmp_path, prepared, monkeypatch):
    """Windows replaces no file that is mapped."""

    def refused(*_):
        raise ResourceError("cannot write")

    save(prepared, prepared.classes, tmp_path / "a")
    monkeypatch.setattr(store, "write_arrays", refused)
    save(prepared, prepared.classes, tmp_path / "a")
    with pytest.raises(ResourceError):
        save(prepared, prepared.classes, tmp_path / "b")


LARGE = (80, 80, 80)


def large_case() -> PreparedCase:
    """Some megabytes, so that writing takes a while."""
    image, labels = scan(grid(LARGE, (1.0, 1.0, 1.0)), seed=3)
    return prepare("a", image, labels, small_plan(spacing_mm=(1.0, 1.0, 1.0)), TASK)


def write_again_and_again(file: Path, rounds: int) -> None:
    case = large_case()
    for _ in range(rounds):
        save(case, case.classes, file)


def process(*arguments):
    found = multiprocessing.get_context("spawn").Process(target=write_again_and_again, args=arguments, daemon=True)
    found.start()
    return found


def test_two_writers_of_one_case_leave_it_whole_at_every_moment(tmp_path):
    file, expected = tmp_path / "a.safetensors", large_case()
    writers = [process(file, 8) for _ in range(2)]
    looks = 0
    while any(writer.is_alive() for writer in writers):
        if file.exists():
            looks += 1
            assert np.array_equal(load(file).image, expected.image)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert looks > 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
@pytest.mark.parametrize("seconds", [0.0, 0.01])
def test_a_kill_in_the_middle_leaves_no_case_or_a_whole_one(tmp_path, seconds):
    file = tmp_path / "a.safetensors"
    writer = process(file, 1000)
    while not any(tmp_path.iterdir()):
        assert writer.is_alive()
    time.sleep(seconds)
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    assert is_stored(file) == file.exists()
    if file.exists():
        assert np.array_equal(load(file).image, large_case().image)
    expected = large_case()
    save(expected, expected.classes, file)
    assert np.array_equal(load(file).image, expected.image)
