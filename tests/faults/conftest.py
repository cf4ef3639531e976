"""The trained run of tests/commands, which the tests of this folder read and never change."""

from __future__ import annotations

from tests.commands.conftest import trained

__all__ = ["trained"]
