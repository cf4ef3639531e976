"""What torchrun says of a process is believed only where all of it is there."""

from __future__ import annotations

import pytest

from segtrain.core.launch import NAMES, Launch, launched

TOLD = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "host", "MASTER_PORT": "29500"}


@pytest.fixture
def tell(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)

    def tell(**values):
        for name, value in {**TOLD, **values}.items():
            monkeypatch.setenv(name, value)

    return tell


def test_a_process_without_a_launcher_is_alone(tell):
    assert launched() is None


def test_a_rank_knows_its_place(tell):
    tell()
    assert launched() == Launch(rank=3, local_rank=1, size=4)
    assert not launched().is_first
    tell(RANK="0")
    assert launched().is_first


@pytest.mark.parametrize("name", NAMES)
def test_what_only_says_a_part_is_not_torchrun(tell, monkeypatch, name):
    tell()
    monkeypatch.delenv(name)
    assert launched() is None


@pytest.mark.parametrize("values", [{"WORLD_SIZE": "1", "RANK": "0"}, {"RANK": "first"}])
def test_one_process_and_nonsense_are_no_group(tell, values):
    tell(**values)
    assert launched() is None
