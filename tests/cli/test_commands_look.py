from __future__ import annotations

import json
from pathlib import Path

import pytest

from segtrain.core.errors import Problem
from tests.cli.commands import config_file, put, segtrain


class TestDemo:
    def test_writes_a_project_that_check_can_read(self, tmp_path: Path) -> None:
        done = segtrain("demo", tmp_path / "demo")
        assert done.exit_code == 0, done.output
        assert f"config: {tmp_path}/demo/config.yaml" in done.stdout
        assert f"next: segtrain fit --config {tmp_path}/demo/config.yaml --run {tmp_path}/demo/fit" in done.stderr
        again = segtrain("demo", tmp_path / "demo", "--json")
        assert again.exit_code == 2
        assert json.loads(again.stdout)["error"]["problems"][0]["fix"] == "--overwrite writes the demo anew"


class TestCheck:
    def test_faults_are_the_result(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        faults = [Problem("P1 has no label", "labels", hint="add P1.nii.gz"), Problem("P2 is empty")]
        put(monkeypatch, "check", check=lambda loaded: faults)
        done = segtrain("check", "--config", config_file(tmp_path))
        assert done.exit_code == 1
        assert done.stdout == "P1 has no label\n  where: labels\n  fix: add P1.nii.gz\nP2 is empty\n"
        assert done.stderr == "2 faults\n"
        result = json.loads(segtrain("check", "--config", config_file(tmp_path), "--json").stdout)
        assert result["ok"] is False
        assert result["problems"][1] == {"what": "P2 is empty", "where": "", "why": "", "fix": ""}

    def test_nothing_found(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        seen = []
        put(monkeypatch, "check", check=lambda loaded: seen.append(loaded) or [])
        done = segtrain("check", "--config", config_file(tmp_path), "training.seed=9")
        assert done.exit_code == 0
        assert done.stdout == "no faults found\n"
        assert seen[0].config.training.seed == 9

    def test_a_wrong_config_is_a_config_error(self, tmp_path: Path) -> None:
        done = segtrain("check", "--config", config_file(tmp_path, "data: {}\nepochs: 3\n"))
        assert done.exit_code == 2
        assert "where: study.yaml, line 2" in done.stderr
        assert "did you mean 'training.epochs'?" in done.stderr


class TestLosses:
    def test_all_are_listed(self) -> None:
        listed = json.loads(segtrain("losses", "--json").stdout)
        names = [loss["name"] for loss in listed["losses"]]
        shown = segtrain("losses")
        assert shown.exit_code == 0
        assert len(names) > 10
        assert all(name in shown.stdout for name in names)

    def test_one_in_full(self) -> None:
        shown = segtrain("losses", "tversky")
        assert "fn_weight" in shown.stdout
        assert "Salehi" in shown.stdout
        loss = json.loads(segtrain("losses", "tversky", "--json").stdout)["loss"]
        assert {option["name"]: option["default"] for option in loss["options"]}["fn_weight"] == 0.7
        assert f"good for: {loss['good_for']}" in " ".join(shown.stdout.split())
        assert f"bad at: {loss['bad_at']}" in " ".join(shown.stdout.split())

    def test_an_unknown_name_gets_the_nearest(self) -> None:
        done = segtrain("losses", "tversy")
        assert done.exit_code == 2
        assert "did you mean 'tversky'" in done.stderr


class TestReportAndInfo:
    def test_report(self, monkeypatch: pytest.MonkeyPatch) -> None:
        put(monkeypatch, "report", rebuild=lambda folder: folder / "report.html")
        done = segtrain("report", "r", "--json")
        assert json.loads(done.stdout) == {"schema_version": 1, "report": "r/report.html"}
        assert "next: open r/report.html" in done.stderr

    def test_info_in_words(self, monkeypatch: pytest.MonkeyPatch) -> None:
        facts = {
            "schema_version": 1,
            "kind": "scan",
            "spacing_mm": [1.0, 1.0, 2.5],
            "label": None,
            "grid": {"ok": True},
        }
        put(monkeypatch, "info", describe=lambda path: facts)
        assert segtrain("info", "x").stdout == "kind: scan\nspacing_mm: 1, 1, 2.5\nlabel: -\ngrid:\n  ok: yes\n"
        assert json.loads(segtrain("info", "x", "--json").stdout) == facts


class TestLossPlot:
    def test_one_loss_is_drawn(self, tmp_path: Path) -> None:
        done = segtrain("losses", "tversky", "--plot", tmp_path / "t.png", "--json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["plot"] == str(tmp_path / "t.png")
        assert (tmp_path / "t.png").is_file()

    def test_all_at_once_are_refused(self, tmp_path: Path) -> None:
        done = segtrain("losses", "--plot", tmp_path / "t.png")
        assert done.exit_code == 2
        assert "segtrain losses NAME --plot" in done.stderr
