from __future__ import annotations

import json
from pathlib import Path

import pytest

from segtrain.core.events import CaseFailed, CaseScored, Finished
from segtrain.recipes.scoring.predict_cases import Manner
from tests.cli.commands import METRICS, UNSCORED, finished, put, segtrain, telling


class TestEval:
    def test_a_run_on_scans(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls, recipe = telling(CaseScored("P1", 1, 2, UNSCORED), finished(metrics=METRICS, out="r/eval"))
        put(monkeypatch, "evaluate", evaluate_run=recipe)
        done = segtrain("eval", "--run", "r", "--images", "i", "--labels", "l", "--allow-code")
        assert done.exit_code == 0, done.output
        assert calls.positional == [([Path("r")], Path("i"), Path("l"), Path("r/eval"))]
        (named,) = calls.named
        assert (named["device"], named["allow_code"], named["overwrite"]) == ("auto", True, False)
        assert (named["overrides"], named["manner"]) == ([], Manner())
        assert "case 1/2  P1  predicted" in done.stderr
        assert "0.812" in done.stdout

    def test_several_runs_need_a_folder_of_their_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls, recipe = telling(finished(metrics=METRICS))
        put(monkeypatch, "evaluate", evaluate_run=recipe)
        runs = ("--run", "a", "--run", "b", "--images", "i")
        done = segtrain("eval", *runs)
        assert done.exit_code == 2
        assert "add --out DIR" in done.stderr
        assert segtrain("eval", *runs, "--out", "o", "--resume", "evaluation.metrics=[dice]").exit_code == 0
        assert calls.positional == [([Path("a"), Path("b")], Path("i"), None, Path("o"))]
        assert calls.named[0]["overrides"] == ["evaluation.metrics=[dice]"]
        assert calls.named[0]["manner"] == Manner(resume=True)

    def test_masks_need_no_run(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        calls, recipe = telling(finished(metrics=METRICS))
        put(monkeypatch, "score_masks", evaluate_masks=recipe)
        (tmp_path / "masks").mkdir()
        monkeypatch.chdir(tmp_path / "masks")
        for place in ("../masks", "."):
            done = segtrain("eval", "--predictions", place, "--labels", "l")
            assert done.exit_code == 0, done.output
            assert calls.positional.pop() == (Path(place), Path("l"), tmp_path / "masks-eval")
            flags = {"allow_missing": False, "overlap": "refuse", "overwrite": False}
            assert calls.named.pop() == {"label_names": None, "overrides": [], **flags}

    def test_masks_with_names_and_metrics(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls, recipe = telling(finished())
        put(monkeypatch, "score_masks", evaluate_masks=recipe)
        flags = ("--label", "liver=1", "--label", "kidneys=4,5", "--metric", "dice", "--out", "o", "--overwrite")
        segtrain("eval", "--predictions", "p", "--labels", "l", "--overlap", "later", *flags)
        assert calls.positional[0][2] == Path("o")
        names = {"liver": [1], "kidneys": [4, 5]}
        (named,) = calls.named
        assert (named["label_names"], named["overwrite"], named["overlap"]) == (names, True, "later")
        assert named["overrides"] == ['evaluation.metrics=["dice"]']

    @pytest.mark.parametrize(
        ("flags", "faults"),
        [
            ("", ["--run RUN or --predictions DIR is needed, and not both"]),
            ("--run r", ["--run needs --images"]),
            ("--predictions p", ["--predictions needs --labels"]),
            (
                "--run r --images i --predictions p --labels l",
                ["--run RUN or --predictions DIR is needed, and not both"],
            ),
            (
                "--run r --allow-missing --overlap refuse",
                [
                    "--allow-missing goes with --predictions alone",
                    "--overlap goes with --predictions alone",
                    "--run needs --images",
                ],
            ),
            ("--predictions p --labels l --images i", ["--images goes with --run alone"]),
            ("--predictions p --labels l --label liver", ["'liver' is no label"]),
            ("--predictions p --labels l --label a=1 --label a=2", ["'a=2' is no label"]),
            ("--predictions p --labels l --label a=1,", ["'a=1,' is no label"]),
            ("--predictions p --labels l --nsd-tolerance-mm far", ["'far' is no tolerance"]),
            ("--run r --images i --metric dice --profile organ", ["metrics are chosen in two ways"]),
        ],
    )
    def test_each_flag_that_does_not_go_with_the_others_is_told(
        self, monkeypatch: pytest.MonkeyPatch, flags: str, faults: list[str]
    ) -> None:
        calls, recipe = telling(finished())
        put(monkeypatch, "evaluate", evaluate_run=recipe)
        put(monkeypatch, "score_masks", evaluate_masks=recipe)
        done = segtrain("eval", "--json", *flags.split())
        assert done.exit_code == 2
        problems = json.loads(done.stdout)["error"]["problems"]
        assert [problem["what"] for problem in problems] == faults
        assert all(problem["fix"] for problem in problems)
        assert not calls.positional

    def test_where_there_was_no_mask_to_compare_with_that_is_said_and_where_the_masks_are(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        metrics = {"cases": 0, "labels": {"organ": {"dice": {"mean": None, "n": 0}}}}
        put(monkeypatch, "evaluate", evaluate_run=telling(Finished(Path("o"), {"out": "o", "metrics": metrics}))[1])
        done = segtrain("eval", "--run", "r", "--images", "i")
        assert "nothing was scored: there was no mask to compare with; the masks are in o/predictions" in done.stdout
        assert "organ" not in done.stdout

    def test_failed_cases_are_named_and_the_code_is_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        events = (CaseFailed("P2", "no such\nfile", 1, 2), CaseScored("P1", 2, 2, UNSCORED), finished("o", "P2"))
        put(monkeypatch, "evaluate", evaluate_run=telling(*events)[1])
        done = segtrain("eval", "--run", "r", "--images", "i")
        assert done.exit_code == 1
        assert "failed 1/2  P2: no such file" in done.stderr
        assert "failed: P2" in done.stdout
        done = segtrain("eval", "--run", "r", "--images", "i", "--json")
        assert json.loads(done.stdout)["failed"] == ["P2"]


class TestPredict:
    def test_flags_reach_the_recipe(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls, recipe = telling(finished(out="my masks"))
        put(monkeypatch, "predict", predict=recipe)
        done = segtrain("predict", "--run", "r", "--images", "i", "--out", "my masks", "--device", "cuda")
        assert done.exit_code == 0, done.output
        assert calls.positional == [([Path("r")], Path("i"), Path("my masks"))]
        (named,) = calls.named
        assert (named["device"], named["allow_code"], named["overwrite"]) == ("cuda", False, False)
        assert named["manner"] == Manner()
        assert "next: segtrain eval --predictions 'my masks/predictions' --labels DIR" in done.stderr

    def test_several_runs_their_settings_and_how_to_go_about_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls, recipe = telling(finished(out="o"))
        put(monkeypatch, "predict", predict=recipe)
        flags = ("--resume", "--strict", "--save-probabilities", "inference.mirror_axes=[0,1]")
        done = segtrain("predict", "--run", "a", "--run", "b", "--images", "i", "--out", "o", *flags)
        assert done.exit_code == 0, done.output
        assert calls.positional[0][0] == [Path("a"), Path("b")]
        assert calls.named[0]["overrides"] == ["inference.mirror_axes=[0,1]"]
        assert calls.named[0]["manner"] == Manner(probabilities=True, resume=True, strict=True)

    def test_out_is_needed(self) -> None:
        done = segtrain("predict", "--run", "r", "--images", "i")
        assert done.exit_code == 2
        assert "--out" in done.stderr

    @pytest.mark.parametrize("form", ["nii.gz", "nrrd", "dicom-seg"])
    def test_masks_may_have_another_format(self, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
        calls, recipe = telling(finished(out="o"))
        put(monkeypatch, "predict", predict=recipe)
        done = segtrain("predict", "--run", "r", "--images", "i", "--out", "o", "--format", form)
        assert done.exit_code == 0, done.output
        assert calls.named[0]["manner"].format == form
        assert "eval --predictions" in done.stderr
