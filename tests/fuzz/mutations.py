"""Files that went wrong on the way: bits that flipped, ends that got lost, pieces that are there twice."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

SPECIAL = (b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xff\x7f\0\0", b"nan ", b"../.", b"%s%n")
"""What headers and texts choke on."""


@dataclass(frozen=True)
class Change:
    """One mutation; places are shares of the file, so that it fits any."""

    kind: str
    place: float
    number: int

    def apply(self, data: bytes) -> bytes:
        """The file after it."""
        at = int(self.place * len(data))
        if self.kind == "flip" and data:
            at = min(at, len(data) - 1)
            return data[:at] + bytes([data[at] ^ (1 << self.number % 8)]) + data[at + 1 :]
        if self.kind == "cut":
            return data[:at]
        if self.kind == "drop":
            return data[:at] + data[at + 1 + self.number % 64 :]
        if self.kind == "twice":
            piece = data[at : at + 1 + self.number % 256]
            return data[:at] + piece + data[at:]
        if self.kind == "special":
            word = SPECIAL[self.number % len(SPECIAL)]
            return data[:at] + word + data[at + len(word) :]
        return data


def changes(head: float = 1.0) -> st.SearchStrategy[list[Change]]:
    """One to four mutations; `head`: the share of the file in which half of them lie, as headers are short."""
    place = st.one_of(st.floats(0, 1), st.floats(0, head))
    kinds = st.sampled_from(["flip", "flip", "special", "cut", "drop", "twice"])
    return st.lists(st.builds(Change, kinds, place, st.integers(0, 2**16)), min_size=1, max_size=4)


def mutated(data: bytes, steps: list[Change]) -> bytes:
    """A file after all of its mutations."""
    for step in steps:
        data = step.apply(data)
    return data
