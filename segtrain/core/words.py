"""Numbers in sentences, for every room that tells a person something."""

from __future__ import annotations


def count(n: int, noun: str, plural: str = "") -> str:
    """`1 case`, `12 cases`; `2 losses` where the plural is more than an s."""
    return f"{n} {noun}" if n == 1 else f"{n} {plural or f'{noun}s'}"
