"""Notes of cases: what is the same in many of them is said once, and counted at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from segtrain.core.events import Note
from segtrain.core.words import count


class Repeated:
    """The notes of one command. A note is `CASE: what there is to know`."""

    def __init__(self) -> None:
        self._cases: Counter[str] = Counter()

    def first(self, note: str | None, case: str) -> Iterator[Note]:
        """The note, unless another case had the same."""
        if note is None:
            return
        text = note.removeprefix(f"{case}: ")
        self._cases[text] += 1
        if self._cases[text] == 1:
            yield Note(note)

    def rest(self) -> Iterator[Note]:
        """How many more cases each note was about."""
        yield from (Note(f"{count(n - 1, 'more case')}: {text}") for text, n in self._cases.items() if n > 1)
