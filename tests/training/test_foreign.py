"""Tensors of other programs: as torch reads them, and nothing in the file is run."""

from __future__ import annotations

import collections
import io
import pickle
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segtrain.core.errors import CheckpointError
from segtrain.training.foreign import Inert, read_foreign
from tests.faults.table import fault

STATE = {
    "weight": torch.arange(24, dtype=torch.float32).reshape(2, 3, 4),
    "half": torch.tensor([0.5, -1.5], dtype=torch.float16),
    "brain": torch.tensor([0.5, -1.5], dtype=torch.bfloat16),
    "steps": torch.tensor(7),
    "flags": torch.tensor([True, False]),
    "none": torch.zeros(0, 3),
}


class Runs:
    """A pickle that calls a function when it is loaded."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call[0], self.call[1:]


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def refused(path: Path, match: str, part: str | None = None) -> None:
    with pytest.raises(CheckpointError, match=match) as caught:
        read_foreign(path, part)
    assert str(path) in str(caught.value)


def test_tensors_are_as_torch_reads_them(tmp_path):
    found = read_foreign(saved(tmp_path / "a.pth", STATE))
    assert found.tensors.keys() == STATE.keys()
    for name, tensor in STATE.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert torch.equal(found.tensors[name], tensor)
    assert (found.part, found.inert) == ("", ())


def test_views_lie_where_the_file_says_and_become_whole(tmp_path):
    whole = torch.arange(24.0).reshape(4, 6)
    found = read_foreign(saved(tmp_path / "a.pth", {"turned": whole.T, "part": whole[1:3, 2:4], "whole": whole}))
    assert torch.equal(found.tensors["turned"], whole.T)
    assert torch.equal(found.tensors["part"], whole[1:3, 2:4])
    assert all(tensor.is_contiguous() for tensor in found.tensors.values())


def test_parameters_of_a_network_are_tensors(tmp_path):
    network = torch.nn.Linear(3, 2)
    held = collections.OrderedDict(network.named_parameters())
    found = read_foreign(saved(tmp_path / "a.pth", held))
    assert torch.equal(found.tensors["weight"], network.weight)


@pytest.mark.parametrize("part", ["network_weights", "state_dict", "model"])
def test_the_usual_places_are_known(tmp_path, part):
    beside = {"optimizer_state": {"m": torch.zeros(2)}, "epoch": 3, "best": np.float64(0.5)}
    found = read_foreign(saved(tmp_path / "a.pth", {**beside, part: STATE}))
    assert found.part == part
    assert torch.equal(found.tensors["weight"], STATE["weight"])
    assert any("numpy" in name for name in found.inert)


def test_of_several_parts_one_is_asked_for(tmp_path):
    file = saved(tmp_path / "a.pth", {"ema": STATE, "raw": STATE})
    refused(file, r"not clear where[\s\S]*ema \(6\), raw \(6\)[\s\S]*--part")
    assert read_foreign(file, "ema").part == "ema"
    refused(file, "no part 'emma'", "emma")


@pytest.mark.parametrize("call", ["function", "class", "builtin", "subprocess", "state"])
@fault("F12", "pickles that call functions, trusted", then="read: tensors come out, nothing runs")
def test_nothing_in_the_file_is_run(tmp_path, call):
    canary = tmp_path / "canary"
    evil: Any = {
        "function": Runs(Path.touch, canary),
        "class": Runs(subprocess.Popen, ["touch", str(canary)]),
        "builtin": Runs(exec, f"open({str(canary)!r}, 'w')"),
        "subprocess": Runs(subprocess.check_call, ["touch", str(canary)]),
        "state": torch.nn.Sequential(torch.nn.Linear(1, 1)),
    }[call]
    file = saved(tmp_path / "a.pth", {"evil": evil, "network_weights": STATE})
    found = read_foreign(file)
    assert not canary.exists()
    assert torch.equal(found.tensors["weight"], STATE["weight"])
    assert found.inert


def test_what_is_inert_takes_anything_and_does_nothing():
    thing = Inert(1, two=2)
    thing.append(3)
    thing.extend([4])
    thing["five"] = 5
    thing.__setstate__({"six": 6})
    assert thing(7) is thing
    assert vars(thing) == {}


def rewritten(path: Path, content: bytes | None = None, compress: int = zipfile.ZIP_STORED, **others: bytes) -> Path:
    """The file with another pickle, packed or with other members."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    folder = next(iter(members)).partition("/")[0]
    if content is not None:
        members[f"{folder}/data.pkl"] = content
    members |= {f"{folder}/{name}": data for name, data in others.items()}
    with zipfile.ZipFile(path, "w", compress) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


class TestAFileThatIsNotWhatItSays:
    @pytest.fixture
    def file(self, tmp_path) -> Path:
        return saved(tmp_path / "a.pth", STATE)

    def test_cut_short(self, file):
        file.write_bytes(file.read_bytes()[:-30])
        refused(file, "no checkpoint of torch")

    def test_a_flipped_bit_in_the_values_is_seen_by_the_crc_of_the_zip(self, file):
        data = bytearray(file.read_bytes())
        place = data.index(STATE["weight"].numpy().tobytes())
        data[place + 5] ^= 1
        file.write_bytes(data)
        refused(file, "CRC")

    @pytest.mark.parametrize("name", ["__metadata__", "\udc80weight", "two\nlines"])
    def test_a_name_that_safetensors_does_not_hold(self, tmp_path, name):
        refused(saved(tmp_path / "b.pth", {name: torch.zeros(2)}), "no tensor can be called")

    def test_missing(self, file):
        refused(file.with_name("b.pth"), "no such file")

    def test_a_plain_pickle(self, file):
        file.write_bytes(pickle.dumps(STATE))
        refused(file, r"before 1\.6")

    def test_the_old_format_of_torch(self, file):
        torch.save(STATE, file, _use_new_zipfile_serialization=False)
        refused(file, r"before 1\.6")

    def test_packed_as_a_bomb_would_be(self, file):
        refused(rewritten(file, compress=zipfile.ZIP_DEFLATED), "packed")

    def test_torchscript(self, file):
        refused(rewritten(file, **{"constants.pkl": b""}), "TorchScript")

    def test_another_byte_order(self, file):
        refused(rewritten(file, byteorder=b"big"), "byte order")

    def test_a_pickle_of_nonsense(self, file):
        refused(rewritten(file, content=b"\x80\x02garbage"), "damaged")

    def test_no_tensors(self, tmp_path):
        refused(saved(tmp_path / "a.pth", {"epoch": 3}), "parts with tensors: none")
        refused(saved(tmp_path / "b.pth", [STATE["weight"]]), "parts with tensors: none")


def forged(
    path: Path, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], copies: int = 1, values: int = 4
) -> Path:
    """A file whose pickle says that tensors lie elsewhere than they do."""

    class Storage:
        """As torch writes one."""

    class Tensor:
        def __reduce__(self) -> tuple[Any, ...]:
            return torch._utils._rebuild_tensor_v2, (
                Storage(),
                offset,
                shape,
                strides,
                False,
                collections.OrderedDict(),
            )

    class Writer(pickle.Pickler):
        def persistent_id(self, thing: object) -> object:
            return ("storage", torch.FloatStorage, "0", "cpu", values) if isinstance(thing, Storage) else None

    saved(path, {"w": torch.zeros(values)})
    out = io.BytesIO()
    Writer(out, 2).dump({f"w{number}": Tensor() for number in range(copies)})
    return rewritten(path, content=out.getvalue())


def test_a_tensor_may_not_reach_beyond_its_bytes(tmp_path):
    file = tmp_path / "a.pth"
    assert read_foreign(forged(file, 1, (3,), (1,))).tensors["w0"].shape == (3,)
    for offset, shape, strides in [
        (2, (3,), (1,)),
        (-1, (3,), (1,)),
        (0, (2**40,), (0,)),
        (0, (0, 10**30), (1, 1)),
        (0, (2,), (2**62,)),
        (0, (1,) * 9, (1,) * 9),
        (0, (2, 2), (1,)),
    ]:
        refused(forged(file, offset, shape, strides), "tensor w0 is damaged")


def test_tensors_that_share_their_values_over_and_over_are_no_weights(tmp_path):
    refused(forged(tmp_path / "a.pth", 0, (4000,), (1,), copies=50, values=4000), "larger than the file")
