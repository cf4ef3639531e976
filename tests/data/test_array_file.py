"""A file of arrays: what comes back, that nothing stays open, and that a damaged one is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from segtrain.core.errors import DataError, ResourceError
from segtrain.data.array_file import (
    MappedArrays,
    is_whole,
    read_checked_arrays,
    write_arrays,
    write_checked_arrays,
)

ARRAYS = {
    "image": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "classes": np.array([[0, 255, 3]], np.uint8),
    "centres": np.zeros((0, 4), np.int32),
}


@pytest.fixture
def file(tmp_path) -> Path:
    write_arrays(tmp_path / "new" / "a.safetensors", ARRAYS, {"case": "Prüfung", "grid": [0.1 + 0.2]})
    return tmp_path / "new" / "a.safetensors"


def test_arrays_and_text_come_back_equal(file):
    found = MappedArrays(file)
    assert found.about == {"case": "Prüfung", "grid": [0.1 + 0.2]}
    assert sorted(found) == sorted(ARRAYS)
    assert len(found) == 3
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)


def test_an_array_that_is_not_contiguous_is_written_as_it_looks(tmp_path):
    turned = ARRAYS["image"].transpose(2, 0, 1)[::-1]
    write_arrays(tmp_path / "a", {"turned": turned}, {})
    assert np.array_equal(MappedArrays(tmp_path / "a")["turned"], turned)


def test_the_same_content_makes_the_same_bytes(file):
    for _ in range(5):
        write_arrays(file.with_name("b"), dict(reversed(ARRAYS.items())), {"case": "Prüfung", "grid": [0.1 + 0.2]})
        assert file.with_name("b").read_bytes() == file.read_bytes()


def test_another_reader_of_the_format_finds_the_same(file):
    for name, array in load_file(file).items():
        assert np.array_equal(array, ARRAYS[name])


def test_arrays_cannot_be_written_to(file):
    with pytest.raises(ValueError, match="read-only"):
        MappedArrays(file)["image"][0, 0, 0] = 1


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux")
def test_an_array_that_is_let_go_leaves_no_open_file_and_no_map(file):
    found = MappedArrays(file)
    array = found["image"]
    assert str(file) in Path("/proc/self/maps").read_text()
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    del array
    for _ in range(50):
        found["image"].sum()
    assert str(file) not in Path("/proc/self/maps").read_text()
    assert len(list(Path("/proc/self/fd").iterdir())) < open_files


def test_a_part_of_an_array_outlives_it(file):
    part = MappedArrays(file)["image"][1, 1:]
    assert np.array_equal(part, ARRAYS["image"][1, 1:])


@pytest.mark.parametrize("kept", [0, 4, 8, 40, -1])
def test_a_file_that_was_cut_short_is_not_whole_and_named(file, kept):
    data = file.read_bytes()
    file.write_bytes(data[:kept])
    assert not is_whole(file)
    with pytest.raises(DataError, match=r"cannot be read[\s\S]*a.safetensors"):
        MappedArrays(file)


@pytest.mark.parametrize(
    "content", [b"\x00" * 200, b"\xff" * 200, b"\x02" + b"\0" * 7 + b"[]", b"\x08" + b"\0" * 7 + b'{"a": 1}']
)
def test_a_file_of_something_else_is_told_as_such(file, content):
    file.write_bytes(content)
    assert not is_whole(file)
    with pytest.raises(DataError, match="cannot be read"):
        MappedArrays(file)


def test_a_file_that_went_away_is_named_when_it_is_looked_into(file):
    found = MappedArrays(file)
    file.unlink()
    assert not is_whole(file)
    with pytest.raises(DataError, match=r"cannot be read[\s\S]*a.safetensors[\s\S]*No such file"):
        found["image"]


def test_a_file_is_replaced_whole_under_whoever_reads_it(file):
    old = MappedArrays(file)["image"]
    write_arrays(file, {"image": ARRAYS["image"] + 1}, {})
    assert np.array_equal(old, ARRAYS["image"])
    assert np.array_equal(MappedArrays(file)["image"], ARRAYS["image"] + 1)
    assert [path.name for path in file.parent.iterdir()] == ["a.safetensors"]


def test_a_place_that_cannot_be_written_to_is_a_fault_of_the_disk(file):
    with pytest.raises(ResourceError, match="cannot write"):
        write_arrays(file / "b", ARRAYS, {})


@pytest.fixture
def checked(tmp_path) -> Path:
    write_checked_arrays(tmp_path / "b.safetensors", ARRAYS, {"minimum": (1.5, 2), "note": None})
    return tmp_path / "b.safetensors"


def test_checked_arrays_come_back_equal_and_in_memory(checked):
    arrays, about = read_checked_arrays(checked)
    checked.unlink()
    assert about == {"minimum": [1.5, 2], "note": None}
    assert sorted(arrays) == sorted(ARRAYS)
    assert all(np.array_equal(arrays[name], array) for name, array in ARRAYS.items())


def test_a_bit_that_flipped_is_found(checked):
    data = checked.read_bytes()
    for place in (data.index(b"1.5"), len(data) - 1):
        checked.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(DataError, match="not what was written"):
            read_checked_arrays(checked)


def test_arrays_without_a_hash_are_not_taken_for_checked_ones(file):
    with pytest.raises(DataError, match="not what was written"):
        read_checked_arrays(file)
