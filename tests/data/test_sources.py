"""A hash follows the content of a scan, and is remembered only where a change could not hide."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import UnreadableScan
from segtrain.data import sources
from segtrain.data.sources import SourceMemory, size_bytes, source_hash, state_of
from segtrain.data.structure_folder import structure_files
from tests.data import itk_phantoms
from tests.data.dicom_phantoms import write_series
from tests.data.folders import write_scan, write_structures
from tests.data.itk_phantoms import VALUES


def case_of(*files: Path, label: Path | None = None, uid: str = "") -> Case:
    return Case("a", "p", tuple(ScanSource(file, uid) for file in files), ScanSource(label) if label else None)


@pytest.fixture
def file(tmp_path) -> Path:
    file = tmp_path / "scan.nii"
    file.write_bytes(b"voxels")
    return file


@pytest.fixture
def memory(tmp_path, monkeypatch) -> SourceMemory:
    """A memory that trusts a file at once, as if the last change were long ago."""
    if not sources.HAS_CHANGE_TIME:
        pytest.skip("nothing is remembered on Windows")
    monkeypatch.setattr(sources, "SETTLED_SECONDS", -1.0)
    return SourceMemory(tmp_path / "sources")


@pytest.mark.parametrize(("header", "voxels"), [("a.mhd", "a.raw"), ("a.nhdr", "a.raw"), ("a.hdr", "a.img")])
def test_voxels_beside_a_header_are_a_part_of_the_scan(tmp_path, header, voxels):
    if header == "a.hdr":
        nibabel.save(nibabel.Nifti1Pair(VALUES, np.eye(4)), tmp_path / header)
    else:
        itk_phantoms.write(tmp_path / header)
    case = case_of(tmp_path / header)
    before, state, size = source_hash(case), state_of(case), size_bytes(case)
    data = bytearray((tmp_path / voxels).read_bytes())
    assert size == len(data) + (tmp_path / header).stat().st_size
    data[-1] ^= 1
    (tmp_path / voxels).write_bytes(bytes(data))
    assert source_hash(case) != before
    assert state_of(case) != state


def test_the_hash_changes_with_image_and_mask_and_their_order(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    cases = [case_of(one), case_of(two), case_of(one, two), case_of(two, one), case_of(one, label=one)]
    assert len({source_hash(case) for case in cases}) == 5


def test_the_hash_is_of_all_slices_of_a_series_however_deep_and_of_no_other_file(tmp_path):
    slices = write_series(tmp_path / "scan" / "a", uid="1.2.1")
    write_series(tmp_path / "scan" / "b", (10, 12.5), uid="1.2.1")
    others = write_series(tmp_path / "scan" / "b" / "other", uid="1.2.2")
    case = case_of(tmp_path / "scan", uid="1.2.1")
    first = source_hash(case)
    for unread in (others[0], tmp_path / "scan" / "notes.txt"):
        unread.write_bytes(others[1].read_bytes() if unread.suffix == ".dcm" else b"mine")
        assert source_hash(case) == first
    slices[2].write_bytes(slices[2].read_bytes()[:-2] + b"\1\1")
    assert source_hash(case) != first


def test_the_hash_tells_two_series_of_one_folder_apart(tmp_path):
    for uid in ("1.2.1", "1.2.2"):
        write_series(tmp_path / uid, uid=uid)
    one, two = (source_hash(case_of(tmp_path, uid=uid)) for uid in ("1.2.1", "1.2.2"))
    assert one != two


@pytest.mark.parametrize("ask", [source_hash, state_of, size_bytes])
def test_a_scan_that_is_gone_is_unreadable_and_named(tmp_path, ask):
    with pytest.raises(UnreadableScan, match=r"cannot be read[\s\S]*gone.nii.gz"):
        ask(case_of(tmp_path / "gone.nii.gz"))


def test_the_size_is_that_of_all_files(tmp_path, file):
    slices = write_series(tmp_path / "series")
    expected = 2 * len(b"voxels") + sum(path.stat().st_size for path in slices)
    assert size_bytes(case_of(file, tmp_path / "series", label=file)) == expected


def test_what_was_learnt_is_recalled_without_reading(memory, file, monkeypatch):
    case = case_of(file)
    assert memory.recall(case) is None
    learnt = memory.learn(case)
    assert learnt == source_hash(case)
    monkeypatch.setattr(sources, "source_hash", None)
    assert memory.recall(case) == memory.learn(case) == learnt


def test_a_series_is_recalled_without_reading_a_header(memory, tmp_path, monkeypatch):
    write_series(tmp_path / "series", uid="1.2.1")
    case = case_of(tmp_path / "series", uid="1.2.1")
    learnt = memory.learn(case)
    monkeypatch.setattr(sources, "list_series", None)
    assert memory.recall(case) == learnt


def overwrite(file: Path) -> None:
    file.write_bytes(b"VOXELS")


def replace(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(b"VOXELS")
    shutil.copystat(file, other)
    other.replace(file)


def link_elsewhere(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(b"VOXELS")
    shutil.copystat(file, other)
    file.unlink()
    file.symlink_to(other)


@pytest.mark.parametrize("change", [overwrite, replace, link_elsewhere])
def test_a_change_that_keeps_length_and_time_is_not_mistaken(memory, file, change):
    """As `cp -p`, `rsync -t` and archives do: of what one sees with `ls -l`, nothing is different."""
    before = file.stat()
    learnt = memory.learn(case_of(file))
    time.sleep(0.02)  # more than a tick of the clock of the file system
    change(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert memory.recall(case_of(file)) is None
    assert memory.learn(case_of(file)) == source_hash(case_of(file)) != learnt


def test_a_slice_more_is_a_change(memory, tmp_path):
    write_series(tmp_path / "series", uid="1.2.1")
    case = case_of(tmp_path / "series", uid="1.2.1")
    memory.learn(case)
    write_series(tmp_path / "series" / "more", (30,), uid="1.2.1")
    assert memory.recall(case) is None


def test_a_file_that_changed_a_moment_ago_is_not_trusted(tmp_path, file):
    memory = SourceMemory(tmp_path / "sources")
    assert memory.learn(case_of(file)) == source_hash(case_of(file))
    assert memory.recall(case_of(file)) is None
    assert not (tmp_path / "sources").exists()


def test_a_file_that_changes_while_it_is_hashed_is_not_remembered(memory, file, monkeypatch):
    def changing(case):
        found = source_hash(case)
        file.write_bytes(b"longer than before")
        return found

    monkeypatch.setattr(sources, "source_hash", changing)
    memory.learn(case_of(file))
    assert memory.recall(case_of(file)) is None


def test_nothing_is_remembered_where_the_system_keeps_no_time_of_change(memory, file, monkeypatch):
    memory.learn(case_of(file))
    monkeypatch.setattr(sources, "HAS_CHANGE_TIME", False)
    assert memory.recall(case_of(file)) is None


@pytest.mark.parametrize("text", ["", "abc", "0" * 63, "\0" * 64, "ä" * 64])
def test_a_memory_that_was_cut_short_is_no_memory(memory, file, tmp_path, text):
    learnt = memory.learn(case_of(file))
    (place,) = (tmp_path / "sources").iterdir()
    place.write_text(text, encoding="utf-8")
    assert memory.recall(case_of(file)) is None
    assert memory.learn(case_of(file)) == learnt
    assert memory.recall(case_of(file)) == learnt


def test_a_mask_with_a_file_a_structure_changes_with_each_of_them(tmp_path):
    scan, folder = write_scan(tmp_path / "scan.nii.gz"), write_structures(tmp_path / "m", {"liver": [], "spleen": []})
    case = case_of(scan, label=folder)
    before, state, size = source_hash(case), state_of(case), size_bytes(case)
    assert size > scan.stat().st_size
    (folder / "liver.nii.gz").rename(folder / "lung.nii.gz")
    renamed = source_hash(case)
    assert renamed != before, "its name says which label it is"
    write_structures(folder, {"spleen": [(0, 0, 0)]})
    assert source_hash(case) not in (before, renamed)
    assert state_of(case) != state


def test_a_folder_of_structures_is_listed_once_a_source(tmp_path, monkeypatch):
    """On a network drive a list of files is what takes the time."""
    scan, folder = write_scan(tmp_path / "scan.nii.gz"), write_structures(tmp_path / "m", {"liver": [], "spleen": []})
    asked = []

    def counted(path):
        asked.append(path)
        return structure_files(path)

    monkeypatch.setattr(sources, "structure_files", counted)
    source_hash(case_of(scan, label=folder))
    assert asked == [scan, folder]
