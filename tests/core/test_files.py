"""A file is whole or not there; a disk that fails is told as such."""

import errno
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from segtrain.core.errors import DataError, ResourceError, UnreadableScan
from segtrain.core.files import (
    LONGEST_BEGINNING,
    checked_file,
    disk_errors,
    read_json,
    real_path,
    remove_abandoned,
    scan_errors,
    shortened,
    sync_folder,
    whole_cache_file,
    whole_file,
    write_bytes,
    write_json,
    write_text,
)
from tests.faults.table import fault


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def write_half(path, failure, within=whole_file):
    with within(path) as temporary:
        temporary.write_text("half of the ne")
        raise failure


@pytest.mark.parametrize(
    ("write", "value", "stored"),
    [
        (write_text, "größer\nals\n", "größer\nals\n".encode()),
        (write_bytes, b"\x00\xff\r\n", b"\x00\xff\r\n"),
        (write_json, {"ä": [1, None]}, '{\n  "ä": [\n    1,\n    null\n  ]\n}\n'.encode()),
    ],
)
def test_what_is_written_is_there_to_the_byte_and_nothing_beside_it(tmp_path, write, value, stored):
    path = tmp_path / "new" / "folder" / "file"
    write(path, value)
    assert path.read_bytes() == stored
    assert names(path.parent) == ["file"]


def test_json_comes_back_equal(tmp_path):
    value = {"schema_version": 1, "dice": {"mean": 0.1 + 0.2, "n": 3}, "failed": [], "note": "Prüfung"}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), ValueError("no"), OSError(errno.ENOSPC, "No space left")])
def test_a_failure_within_the_block_leaves_the_old_file_and_no_other(tmp_path, failure):
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises((KeyboardInterrupt, ValueError, ResourceError)):
        write_half(path, failure)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_the_old_file_is_readable_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file"
    write_text(path, "old")
    with whole_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [np.nan]}, object()])
def test_what_is_not_json_is_refused_before_the_old_file_is_touched(tmp_path, value):
    path = tmp_path / "a.json"
    write_json(path, 1)
    with pytest.raises((ValueError, TypeError)):
        write_json(path, value)
    assert read_json(path) == 1
    assert names(tmp_path) == ["a.json"]


def test_a_block_that_wrote_nothing_makes_no_file(tmp_path):
    with pytest.raises(ResourceError, match="cannot write"), whole_file(tmp_path / "file"):
        pass
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_a_resource_error_with_the_path(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ResourceError) as error:
        write_text(tmp_path / "file" / "a.txt", "text")
    assert str(tmp_path / "file" / "a.txt") in str(error.value)
    assert "space" not in str(error.value)
    assert error.value.exit_code == 4


@fault("F16", "no space for any file", then="4, the path and a way out")
def test_a_full_disk_is_told_with_its_reason_and_a_way_out(tmp_path):
    with pytest.raises(ResourceError) as error, disk_errors(tmp_path / "scan.npy"):
        raise OSError(errno.ENOSPC, "No space left on device")
    (problem,) = error.value.problems
    assert "scan.npy" in problem.what
    assert problem.why == "No space left on device"
    assert "free some space" in problem.hint
    assert error.value.exit_code == 4


def test_errors_that_are_not_the_disks_pass_through(tmp_path):
    with pytest.raises(KeyError), disk_errors(tmp_path):
        raise KeyError("mine")


def test_a_link_is_replaced_and_what_it_points_at_is_kept(tmp_path):
    write_text(tmp_path / "target", "old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "target").read_text() == "old"
    assert (tmp_path / "link").read_text() == "new"


def test_a_folder_can_be_synced(tmp_path):
    sync_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "none")


@pytest.mark.parametrize("within", [whole_cache_file, checked_file])
def test_a_file_that_can_be_made_again_is_whole_or_not_there_too(tmp_path, within):
    path = tmp_path / "new" / "file"
    with within(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    with pytest.raises(ValueError, match="no"):
        write_half(path, ValueError("no"), within)
    assert path.read_text() == "new"
    assert names(path.parent) == ["file"]


def test_two_writers_of_one_file_do_not_share_a_temporary_one(tmp_path):
    path = tmp_path / "file"
    with whole_cache_file(path) as one, whole_cache_file(path) as other:
        one.write_text("one")
        other.write_text("other")
        assert one != other
    assert path.read_text() == "one", "the later one wins"
    assert names(tmp_path) == ["file"]


def test_only_half_written_files_that_are_old_are_abandoned(tmp_path):
    (tmp_path / "deep").mkdir()
    old = [tmp_path / ".a.0123.7.tmp", tmp_path / "deep" / ".b.0123.7.tmp", tmp_path / "c.tmp", tmp_path / ".d"]
    new = tmp_path / ".e.0123.7.tmp"
    for file in (*old, new):
        file.touch()
    for file in old:
        os.utime(file, (1e9, 1e9))
    remove_abandoned(tmp_path)
    remove_abandoned(tmp_path / "none")
    assert names(tmp_path) == [".d", ".e.0123.7.tmp", "c.tmp", "deep"]
    assert names(tmp_path / "deep") == []


def test_a_name_as_long_as_a_system_allows_can_be_written(tmp_path):
    for name in ("x" * 251 + ".txt", "é" * 125 + ".txt"):
        write_text(tmp_path / name, "whole")
        assert (tmp_path / name).read_text() == "whole"
    assert shortened("short.txt") == "short.txt"
    assert len(shortened("é" * 125 + "a").encode()) <= LONGEST_BEGINNING


def test_a_path_is_followed_and_one_that_leads_to_itself_is_told(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    assert real_path(tmp_path / "link") == (tmp_path / "there").resolve()
    assert real_path(tmp_path / "nothing") == (tmp_path / "nothing").resolve()
    with pytest.raises(DataError, match="cannot be followed"):
        real_path(Path("~nobody-of-this-name/scans"))


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="from 3.13 on such a link has a place, and holds nothing")
def test_a_link_to_itself_is_told(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(DataError, match="cannot be followed"):
        real_path(tmp_path / "loop")


def test_a_scan_that_cannot_be_opened_is_named_with_the_reason(tmp_path):
    gone, words = tmp_path / "none.nii", r"cannot be read[\s\S]*none\.nii[\s\S]*No such file"
    with pytest.raises(UnreadableScan, match=words), scan_errors(gone):
        gone.read_bytes()
