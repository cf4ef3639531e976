from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

from segtrain.cli.app import COMMANDS
from tests.cli.commands import segtrain

HEAVY = ("torch", "pandas", "numpy", "scipy", "nibabel", "SimpleITK", "matplotlib", "segtrain.recipes")


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_names_the_flags_that_all_commands_have(command: str) -> None:
    done = segtrain(*([command] if command else []), "--help")
    assert done.exit_code == 0
    flags = ["--json", "--quiet", "--verbose", "--debug"] if command else ["--version", "--install-completion"]
    assert all(flag in done.stdout for flag in flags)


def test_help_imports_nothing_heavy() -> None:
    code = f"""
import sys
from segtrain.__main__ import main
sys.argv = ["segtrain", "--help"]
try:
    main()
except SystemExit as end:
    assert end.code == 0, end.code
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "[]"


def test_a_wrong_config_is_answered_without_torch(tmp_path: object) -> None:
    code = """
import sys
from segtrain.__main__ import main
sys.argv = ["segtrain", "check", "--config", "nowhere.yaml"]
try:
    main()
except SystemExit as end:
    assert end.code == 2, end.code
"""
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert "there is no config nowhere.yaml" in done.stderr


def test_runs_as_a_module() -> None:
    done = python("-m", "segtrain", "--version")
    assert done.stdout == f"segtrain {version('segtrain')}\n"
    done = python("-m", "segtrain", "fit", "--epochs", "3")
    assert done.returncode == 2
    assert "Usage: segtrain fit" in done.stderr
    assert done.stdout == ""


def test_an_unknown_command_and_an_unknown_option() -> None:
    assert segtrain("fitt").exit_code == 2
    done = segtrain("losses", "--jsn")
    assert done.exit_code == 2
    assert "No such option" in done.stderr
