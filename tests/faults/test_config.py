"""F13: configs that are none, met by a command: bounded in time and memory, with the line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.commands.projects import CONFIG, answer, assert_untouched, refused, words_of
from tests.faults.studies import small_study
from tests.faults.table import fault

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
BOMB += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
LINES = len(CONFIG.splitlines())

WRONG = {
    "a python tag": (CONFIG + "extra: !!python/object/apply:os.system ['touch canary']\n", f"line {LINES + 1}", "tag"),
    "a key twice": (CONFIG + "task: {labels: {background: 0, other: 1}}\n", f"line {LINES + 1}", "task"),
    "an unknown key": (CONFIG + "trainning: {epochs: 1}\n", f"line {LINES + 1}", "did you mean 'training'"),
    "a tab": (CONFIG + "inference:\n\toverlap: 0.5\n", f"line {LINES + 2}", "tab"),
    "an alias bomb": (CONFIG + BOMB, "", "20000 values"),
    "brackets without end": (CONFIG + "extra: " + "[" * 10_000 + "\n", "", ""),
    "not UTF-8": ((CONFIG + "extra: \xe9\n").encode("latin-1"), f"line {LINES + 1}", "UTF-8"),
    "null bytes": (b"\0" * 5000, "", ""),
}


@fault("F13", "tags, a key twice, an unknown key, tabs, an alias bomb, binary", then="2, the line and what is wrong")
@pytest.mark.parametrize("what", WRONG)
def test_a_config_that_is_none(tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text, line, words = WRONG[what]
    config = tmp_path / "config.yaml"
    config.write_bytes(text if isinstance(text, bytes) else text.encode())
    began = time.perf_counter()
    problems = refused("fit", "--config", config, "--run", tmp_path / "run", code=2)
    assert time.perf_counter() - began < 10
    told = words_of(problems)
    assert line in told
    assert words in told
    assert_untouched(tmp_path / "run")
    assert not (tmp_path / "canary").exists()


@fault("F13", "a file of 1 GB", then="2, in a moment: what is larger than a config is not read")
def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "config.yaml").open("wb") as file:
        file.truncate(10**9)
    began = time.perf_counter()
    problem = refused("fit", "--config", tmp_path / "config.yaml", "--run", tmp_path / "run", code=2)[0]
    assert "larger than" in problem["why"]
    assert time.perf_counter() - began < 10


@fault("F13", "`1e-3` for a rate", then="0, it is a number")
def test_one_e_minus_three_is_a_number(tmp_path: Path) -> None:
    config = small_study(tmp_path, config=CONFIG.replace("2e-2", "1e-3"))
    assert answer("check", "--config", config)["problems"] == []


@fault("F13", "a config of a stranger that names code, with `--safe`", then="2, the key; the code is not run")
@pytest.mark.parametrize("command", ["check", "fit", "compare-losses"])
def test_code_is_not_run_where_that_is_asked(tmp_path: Path, command: str) -> None:
    canary = tmp_path / "canary"
    (tmp_path / "evil.py").write_text(f"open({str(canary)!r}, 'w').close()\n")
    evil = "loss: {name: weighted_sum, of: [dice, {name: 'evil.py:Loss'}]}\n"
    config = small_study(tmp_path, config=CONFIG + evil)
    place = [] if command == "check" else ["--run", tmp_path / "run"]
    problems = refused(command, "--config", config, *place, "--safe", code=2)
    assert [problem["where"] for problem in problems] == ["loss.of.1.name"]
    assert not canary.exists()
