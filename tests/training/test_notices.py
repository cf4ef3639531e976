"""Waiting in the table ends when all are there or one has ended, and one voice says why."""

from __future__ import annotations

import threading
import time

import pytest
import torch.distributed as dist

from segtrain.core.errors import ConfigError, EndedElsewhere, ResourceError
from segtrain.core.launch import Launch
from segtrain.training import notices
from segtrain.training.notices import Notices, exit_code_of, notices_of, translated

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="torch without torch.distributed")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """No second is spent on politeness."""
    for name in ("PRECEDENCE_S", "FAREWELL_S"):
        monkeypatch.setattr(notices, name, 0.1)


@pytest.fixture
def two():
    """Both ranks' view of one table."""
    store = dist.HashStore()
    return [Notices(store, Launch(rank, rank, 2)) for rank in range(2)]


def test_everybody_is_waited_for_and_read_in_order(two):
    first, second = two
    first.put("device", "cpu")
    late = threading.Timer(0.2, second.put, ("device", "cuda"))
    late.start()
    began = time.monotonic()
    assert first.everybody("device") == ["cpu", "cuda"]
    assert time.monotonic() - began > 0.1
    late.join()


def test_who_waits_for_a_rank_that_has_ended_ends_with_its_code(two):
    first, second = two
    assert second.speaks(3)
    with pytest.raises(EndedElsewhere) as error:
        first.everybody("device")
    assert error.value.exit_code == 3
    assert error.value.problems == ()


def test_only_the_first_to_fail_speaks(two):
    first, second = two
    assert second.speaks(4)
    assert not first.speaks(2)
    assert first.ended_elsewhere().exit_code == 4


def test_where_all_fail_at_once_the_first_rank_speaks(two):
    first, second = two
    heard = []
    other = threading.Thread(target=lambda: heard.append(second.speaks(5)))
    other.start()
    heard.append(first.speaks(5))
    other.join()
    assert heard == [True, False]


def test_who_is_told_to_end_and_never_why_ends_as_one_whose_peer_is_gone(two, monkeypatch):
    monkeypatch.setattr(notices, "PRECEDENCE_S", 0.01)
    assert two[0].ended_elsewhere().exit_code == ResourceError.exit_code


class Gone:
    """A table whose keeper has died."""

    def check(self, keys):
        raise dist.DistNetworkError("Broken pipe\nException raised from sendBytes")


def test_a_table_that_is_gone_is_a_peer_that_is_gone():
    left = Notices(Gone(), Launch(1, 1, 2))
    with pytest.raises(ResourceError, match=r"another process of this training is gone\n  why: Broken pipe\n  fix"):
        left.everybody("device")
    assert left.speaks(4), "nobody else can"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("mine"), 2),
        (EndedElsewhere(143), 143),
        (KeyboardInterrupt(), 130),
        (MemoryError(), 4),
        (ValueError(), 70),
    ],
)
def test_the_code_is_the_one_with_which_a_command_would_end(error, code):
    assert exit_code_of(error) == code


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [::1]:4"),
        dist.DistBackendError("NCCL error in: ProcessGroupNCCL.cpp, remote process exited"),
    ],
)
def test_what_a_library_says_of_a_lost_peer_is_no_bug(error):
    assert isinstance(translated(error), ResourceError)


@pytest.mark.parametrize("error", [RuntimeError("shapes do not fit"), KeyboardInterrupt(), ConfigError("mine")])
def test_other_errors_stay_what_they_are(error):
    assert translated(error) is error


def test_a_place_to_meet_that_makes_no_sense_is_told(monkeypatch):
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "x"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ResourceError, match=r"rank 1 cannot meet the others[\s\S]*torchrun"):
        notices_of(Launch(1, 1, 2))
