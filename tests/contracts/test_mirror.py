"""Every module has its test file: `segtrain/<room>/<module>.py` -> `tests/<room>/test_<module>.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

import segtrain

PACKAGE = Path(segtrain.__file__).parent
TESTS = Path(__file__).parents[1]

DECLARATIONS = "it only declares"
EXCEPTIONS = {
    "__main__.py": "the entry point; tests/cli runs it",
    "core/batch.py": DECLARATIONS,
    "reports/contents.py": DECLARATIONS,
    "reports/on_white.py": DECLARATIONS,
    "losses/options.py": DECLARATIONS,
    "losses/builtin.py": "a table of contents; tests/contracts/test_losses.py goes through it",
    "cli/options.py": "flags; tests/cli/test_commands_*.py type them",
    "cli/results.py": "what commands print; tests/cli/test_commands_*.py read it",
    "config/source.py": "places in a YAML; tests/config/test_load.py and test_dump.py read the origins it finds",
}


def modules() -> list[str]:
    found = sorted(p.relative_to(PACKAGE).as_posix() for p in PACKAGE.rglob("*.py"))
    return [name for name in found if not name.endswith("__init__.py")]


def places_of(module: str) -> list[Path]:
    """Where its test file may lie; a recipe may also be tested as the command that runs it."""
    path = Path(module)
    rooms = [path.parent, *([Path("commands")] if path.parts[0] == "recipes" else [])]
    return [TESTS / room / f"test_{path.name}" for room in rooms]


def test_the_package_is_found():
    assert len(modules()) > 50


@pytest.mark.parametrize("module", [m for m in modules() if m not in EXCEPTIONS])
def test_a_module_has_its_test_file(module):
    first, *others = places_of(module)
    there = any(p.is_file() for p in (first, *others))
    assert there, f"write {first.relative_to(TESTS.parent)}, or say in EXCEPTIONS why not"


@pytest.mark.parametrize("module", EXCEPTIONS)
def test_an_exception_is_a_module_without_a_test_file(module):
    assert module in modules(), "the module is gone"
    there = [p for p in places_of(module) if p.is_file()]
    assert there == [], "it has a test file now"


@pytest.mark.parametrize("init", sorted(PACKAGE.glob("*/**/__init__.py")), ids=lambda p: p.parent.name)
def test_the_init_of_a_room_only_gives_names_on(init):
    lines = [line for line in init.read_text(encoding="utf-8").splitlines() if line]
    assert not any(line.startswith(("def ", "class ", "async ")) for line in lines)
    assert len(lines) <= 30
