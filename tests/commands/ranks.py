"""A command in several processes, started as torchrun starts them: same environment, a table kept by nobody of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch.distributed as dist

from tests.commands.processes import Running, start


@dataclass(frozen=True)
class Group:
    """The processes of one command, by rank."""

    processes: tuple[Running, ...]
    table: dist.TCPStore

    @property
    def first(self) -> Running:
        """The one that writes and speaks."""
        return self.processes[0]

    @property
    def said(self) -> str:
        """What all of them said."""
        return "".join(one.said for one in self.processes)

    def ended(self) -> list[int]:
        """Wait for the end of all: their exit codes."""
        return [one.ended() for one in self.processes]


def start_ranks(count: int, output: Path, *arguments: str | Path) -> Group:
    """Begin a command on so many ranks of one host."""
    table = new_table()
    outputs = [output.with_suffix(f".{rank}.txt") for rank in range(count)]
    started = [
        start(told, *arguments, environment=environment_of(rank, count, table)) for rank, told in enumerate(outputs)
    ]
    return Group(tuple(started), table)


def new_table() -> dist.TCPStore:
    """What torchrun keeps for its processes."""
    return dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)


def environment_of(rank: int, count: int, table: dist.TCPStore) -> dict[str, str]:
    """What torchrun tells a process."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(table.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_RESTART_COUNT": "0",
    }
