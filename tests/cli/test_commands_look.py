from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from segtrain.core.errors import Problem
from segtrain.core.events import CaseFailed, Event, Finished, Note
from tests.cli.commands import config_file, put, segtrain
from tests.recipes.projects import write_case, write_study


class TestDemo:
    def test_writes_a_project_that_check_can_read(self, tmp_path: Path) -> None:
        done = segtrain("demo", tmp_path / "demo")
        assert done.exit_code == 0, done.output
        assert f"config: {tmp_path}/demo/config.yaml" in done.stdout
        assert f"next: segtrain fit --config {tmp_path}/demo/config.yaml --run {tmp_path}/demo/fit" in done.stderr
        again = segtrain("demo", tmp_path / "demo", "--json")
        assert again.exit_code == 2
        assert json.loads(again.stdout)["error"]["problems"][0]["fix"] == "--overwrite writes the demo anew"


def checked(folder: Path, result: dict[str, Any], *told: Event) -> Generator[Event, None, None]:
    """What `check_and_show` yields."""
    yield from told
    yield Finished(folder, result)


class TestCheck:
    def test_faults_are_the_result(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        faults = [Problem("P1 has no label", "labels", hint="add P1.nii.gz"), Problem("P2 is empty")]
        put(monkeypatch, "check", check_and_show=lambda loaded, **_: checked(tmp_path, {"problems": faults}))
        done = segtrain("check", "--config", config_file(tmp_path))
        assert done.exit_code == 1
        assert done.stdout == "P1 has no label\n  where: labels\n  fix: add P1.nii.gz\nP2 is empty\n"
        assert done.stderr == "2 faults\n"
        result = json.loads(segtrain("check", "--config", config_file(tmp_path), "--json").stdout)
        assert result["ok"] is False
        nothing = {"where": "", "why": "", "fix": "", "cases": [], "file": ""}
        assert result["problems"][1] == {"what": "P2 is empty", **nothing}

    @pytest.mark.parametrize(
        ("fault", "file"),
        [
            (Problem("it is damaged", "case P1, scans/P1.nii", cases=("P1",)), "scans/P1.nii"),
            (Problem("image P1 has no label", "scans/P1.nii", cases=("P1",)), "scans/P1.nii"),
            (Problem("its process died", "case P1", cases=("P1",)), ""),
            (Problem("the same image trains and judges", "cases P1 and P2", cases=("P1", "P2")), ""),
            (Problem("too few epochs", "training.epochs"), ""),
        ],
        ids=lambda value: value.what if isinstance(value, Problem) else "",
    )
    def test_a_program_finds_the_cases_and_the_file_of_a_fault(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Problem, file: str
    ) -> None:
        put(monkeypatch, "check", check_and_show=lambda loaded, **_: checked(tmp_path, {"problems": [fault]}))
        result = json.loads(segtrain("check", "--config", config_file(tmp_path), "--json").stdout)
        (found,) = result["problems"]
        assert (found["what"], found["where"]) == (fault.what, fault.where)
        assert (found["cases"], found["file"]) == (list(fault.cases), file)

    def test_nothing_found(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        seen = []

        def seeing(loaded, **asked):
            seen.append((loaded.config.training.seed, asked))
            return checked(tmp_path, {"problems": []})

        put(monkeypatch, "check", check_and_show=seeing)
        done = segtrain("check", "--config", config_file(tmp_path), "training.seed=9")
        assert done.exit_code == 0
        assert done.stdout == "no faults found\n"
        assert seen == [(9, {"sheet": None, "fix": None})]

    def test_what_was_mended_and_who_was_left_out_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fixed = {
            "out": "new",
            "config": "new/config.yaml",
            "cases": 3,
            "mended": {"P1": ["2 voxels were rounded"]},
            "left_out": {"P2": ["it is empty"], "P3": ["its process died"]},
        }
        result = {"problems": [Problem("it is empty", cases=("P2",))], "fixed": fixed, "sheet": "all.png"}
        told = [Note("1 mm is assumed"), CaseFailed("P2", "it is empty", 1, 1)]
        put(monkeypatch, "check", check_and_show=lambda loaded, **_: checked(tmp_path, result, *told))
        done = segtrain("check", "--config", config_file(tmp_path), "--fix", "new", "--sheet", "all.png")
        assert done.exit_code == 1
        assert done.stdout.splitlines() == [
            "it is empty",
            "all cases: all.png",
            "mended P1: 2 voxels were rounded",
            "left out for the faults above: P2",
            "left out P3: its process died",
            "3 cases in new; fixes.csv there has what was changed",
        ]
        assert done.stderr.splitlines() == [
            "1 mm is assumed",
            "next: segtrain check --config new/config.yaml",
            "1 fault before it was mended",
        ]

    def test_each_fault_is_on_the_screen_once(self, tmp_path: Path) -> None:
        config = write_study(tmp_path / "study")
        write_case(tmp_path / "study", "P0_b", seed=1, label=255)
        (tmp_path / "study" / "images" / "P2_a.nii.gz").write_bytes(b"no scan")
        (tmp_path / "study" / "labels" / "P3_a.nii.gz").unlink()
        problems = json.loads(segtrain("check", "--config", config, "--json").stdout)["problems"]
        assert [problem["cases"] for problem in problems] == [["P3_a"], ["P0_b"], ["P2_a"]]
        assert all(Path(problem["file"]).is_file() for problem in problems)
        done = segtrain("check", "--config", config, "--fix", tmp_path / "new")
        assert [done.output.count(problem["what"]) for problem in problems] == [1, 1, 1]
        assert "mended P0_b: " in done.stdout
        assert "left out for the faults above: P2_a, P3_a\n3 cases in " in done.stdout

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

    def test_no_training_is_proposed_with_a_loss_of_which_is_warned(self) -> None:
        warned, sound = segtrain("losses", "post/combo"), segtrain("losses", "combo")
        assert "caution: its sign is wrong" in warned.stdout
        assert "segtrain fit" not in warned.stderr
        assert "loss.name=combo" in sound.stderr

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

    def test_a_sheet_of_augmented_samples(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        seen = []
        drawn = {"kind": "augmentation", "samples": {"3": ["noise 0.05", "gamma 1.20"]}}
        put(monkeypatch, "augmented", draw_sheet=lambda *given: seen.append(given) or drawn)
        done = segtrain("info", "--augment", "scan.nii.gz", "--label", "mask.nii.gz", "--out", "s.png")
        assert done.exit_code == 0, done.output
        assert done.stdout == "kind: augmentation\nsamples:\n  3: noise 0.05, gamma 1.20\n"
        assert done.stderr == "next: open s.png\n"
        assert seen.pop() == (Path("scan.nii.gz"), Path("s.png"), None, Path("mask.nii.gz"))
        config = config_file(tmp_path)
        segtrain("info", "--augment", "scan.nii.gz", "--config", config, "--out", "s.png", "augmentation.share=0.5")
        assert seen[0][2].config.augmentation.share == 0.5
        assert seen[0][3] is None

    @pytest.mark.parametrize(
        ("flags", "said"),
        [
            (["--augment"], "--augment needs --out"),
            (
                ["--augment", "--out", "s.png", "augmentation.share=0.5"],
                "KEY=VALUE changes a config, and there is none",
            ),
            (["--label", "mask.nii.gz"], "--config, --label, --out and KEY=VALUE are for --augment"),
            (["augmentation.share=0.5"], "--config, --label, --out and KEY=VALUE are for --augment"),
        ],
    )
    def test_flags_that_do_not_go_together(self, flags: list[str], said: str) -> None:
        done = segtrain("info", "scan.nii.gz", *flags)
        assert done.exit_code == 2
        assert f"error: {said}\n" in done.stderr
        assert "segtrain info --augment SCAN --out sheet.png" in done.stderr


class TestDoctor:
    HINT = "pip install 'segtrain[mlflow]'"
    FACTS: ClassVar[dict[str, Any]] = {
        "segtrain": "0.1.0",
        "python": "CPython 3.12.1",
        "system": "Linux",
        "processor": "EPYC",
        "cores": {"usable": 2, "installed": 64},
        "ram_bytes": {"size": 2**34, "free": None},
        "disk_free_bytes": {"/work": 2**31},
        "packages": {"numpy": "2.1", "torch": None},
        "optional": {"mlflow": {"version": None, "purpose": "training.watch: [mlflow]", "install": HINT}},
    }
    TORCH: ClassVar[dict[str, Any]] = {
        "version": "2.10",
        "blas": "mkl",
        "onednn": True,
        "instructions": "AVX2",
        "threads": 2,
        "cuda_build": "12.8",
        "rocm_build": None,
        "distributed": ["gloo"],
    }

    def put(self, monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], *faults: Problem) -> None:
        warning = Problem("little memory", why="1 GiB", hint="buy some")
        health = SimpleNamespace(facts=facts, faults=list(faults), warnings=[warning])
        put(monkeypatch, "doctor", examine=lambda: health)

    def test_a_healthy_machine_on_one_page(self, monkeypatch: pytest.MonkeyPatch) -> None:
        steps = {"float32": {"ok": True, "step_seconds": 0.0125}, "bf16": {"ok": False, "step_seconds": None}}
        device = {"name": "cuda:0", "model": "H100", "memory_bytes": 80 * 2**30, "steps": steps}
        formats = {"NIfTI": "", "DICOM, JPEG 2000": "no codec"}
        self.put(monkeypatch, {**self.FACTS, "torch": self.TORCH, "devices": [device], "formats": formats})
        done = segtrain("doctor")
        assert done.exit_code == 0, done.output
        for text in ("2 of 64 cores", "16.0 GiB", "CUDA 12.8", "cuda:0", "12 ms", "fails", "reads: NIfTI\n", self.HINT):
            assert text in done.stdout
        assert "warning: little memory\n  why: 1 GiB\n  fix: buy some\n" in done.stdout
        assert done.stderr == "no faults found\n"
        assert len(done.stdout.splitlines()) <= 25

    def test_a_fault_is_told_and_ends_with_1(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.put(monkeypatch, self.FACTS, Problem("torch cannot be imported", hint="install it"))
        done = segtrain("doctor")
        assert done.exit_code == 1
        assert "torch missing" in done.stdout
        assert "fault: torch cannot be imported\n  fix: install it\n" in done.stdout
        assert done.stderr == "1 fault\n"
        found = json.loads(segtrain("doctor", "--json").stdout)
        assert (found["ok"], found["cores"], found["schema_version"]) == (False, {"usable": 2, "installed": 64}, 1)
        (fault,) = found["faults"]
        assert (fault["what"], fault["fix"]) == ("torch cannot be imported", "install it")
        assert found["warnings"][0]["what"] == "little memory"

    def test_this_machine(self) -> None:
        done = segtrain("doctor", "--json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["devices"][0]["name"] == "cpu"


class TestLossPlot:
    def test_one_loss_is_drawn(self, tmp_path: Path) -> None:
        done = segtrain("losses", "tversky", "--plot", tmp_path / "t.png", "--json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["plot"] == str(tmp_path / "t.png")
        assert (tmp_path / "t.png").is_file()

    def test_options_change_the_picture(self, tmp_path: Path) -> None:
        assert segtrain("losses", "tversky", "--plot", tmp_path / "a.png").exit_code == 0
        assert segtrain("losses", "tversky", "fn_weight=0.95", "--plot", tmp_path / "b.png").exit_code == 0
        assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()

    def test_options_without_a_picture_are_refused(self) -> None:
        done = segtrain("losses", "tversky", "fn_weight=0.95")
        assert done.exit_code == 2
        assert "add --plot out.png" in done.stderr

    def test_a_family_is_listed_alone(self) -> None:
        listed = json.loads(segtrain("losses", "--family", "boundary", "--json").stdout)["losses"]
        assert {loss["family"] for loss in listed} == {"boundary"}
        done = segtrain("losses", "--family", "boundry")
        assert done.exit_code == 2
        assert "families: boundary, compound" in done.stderr

    def test_all_at_once_are_refused(self, tmp_path: Path) -> None:
        done = segtrain("losses", "--plot", tmp_path / "t.png")
        assert done.exit_code == 2
        assert "segtrain losses NAME --plot" in done.stderr
