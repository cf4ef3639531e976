from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from segtrain.core.events import EpochEnded, Finished, Note, Validated
from segtrain.execution.executor import Processes
from segtrain.recipes.sweep.executors import Where
from tests.cli.commands import METRICS, config_file, finished, put, segtrain, telling

EPOCH = EpochEnded(epoch=1, epochs=3, step=5, train_loss=0.5, learning_rate=1e-3, seconds=2.0)
FACTS = {
    "schema_version": 1,
    "cases": 4,
    "patients": 3,
    "train": 3,
    "validation": 1,
    "device": "cpu",
    "threads": 2,
    "plan": {"patch_size": [32, 32, 16], "strides": [[2, 2, 1]], "intensity": [{"channel": "T1", "rule": "zscore"}]},
    "origins": {"patch_size": "config: model.patch_size (file)", "strides": "spacing", "intensity": "data"},
    "parameters": 1234,
    "epochs": 2,
    "steps_per_epoch": 3,
    "total_steps": 6,
    "step": {"seconds": 0.25, "first_seconds": 0.5, "loss": 1.25},
    "seconds": {"reading": 1.0, "preparing": 2.0, "training": 90.0, "validating": 4.0, "total": 97.0},
    "memory": {"peak_bytes": 2**29, "free_bytes": 2**31, "size_bytes": None},
    "disk": {"prepared_bytes": 2**20, "checkpoints_bytes": 2**21, "store": "runs/study/prepared", "free_bytes": 2**30},
    "warnings": ["the disk is too small"],
}
SWEEP = {
    "schema_version": 1,
    "losses": {
        "dice_ce": {"runs": 6, "steps": 60, "step_seconds": 0.25, "seconds": 3600.0, "loss": 1.25},
        "focal": {"runs": 6, "steps": 60, "step_seconds": 0.25, "seconds": 3600.0, "loss": None},
    },
    "folds": 3,
    "seeds": [0, 1],
    "runs": 12,
    "at_once": 3,
    "rungs": [5, 10],
    "cases": 20,
    "device": "cpu",
    "threads": 2,
    "total_steps": 120,
    "seconds": {"reading": 60.0, "preparing": 60.0, "running": 4200.0, "total": 4320.0},
    "memory": {"peak_bytes": None, "size_bytes": None},
    "disk": {"prepared_bytes": 2**20, "checkpoints_bytes": 2**21, "store": "runs/study/prepared", "free_bytes": 2**30},
    "warnings": ["the loss focal is not finite after a few steps"],
}
RANKING = [
    {
        "loss": "dice_ce",
        "mean": 0.9,
        "low": 0.85,
        "high": 0.95,
        "n": 12,
        "rank": 1.0,
        "rank_low": 1.0,
        "rank_high": 2.0,
    },
    {"loss": "dice", "mean": None, "low": None, "high": None, "n": 0, "rank": None, "status": "failed"},
]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return config_file(tmp_path)


class TestFit:
    def test_flags_reach_the_recipe(self, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        calls, recipe = telling(finished(run="r"))
        put(monkeypatch, "fits", fits=recipe)
        done = segtrain("fit", "--config", config, "training.epochs=7", "--run", "r", "--fold", "1", "--device", "cpu")
        assert done.exit_code == 0, done.output
        loaded, run = calls.positional[0]
        assert loaded.config.training.epochs == 7
        assert loaded.origins["training.epochs"] == "command line"
        assert run == Path("r")
        assert calls.named[0] == {
            "fold": 1,
            "resume": False,
            "overwrite": False,
            "device": "cpu",
            "ranks": None,
        }

    def test_run_folder_is_called_like_the_config(self, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        calls, recipe = telling(finished())
        put(monkeypatch, "fits", fits=recipe)
        segtrain("fit", "--config", config)
        segtrain("fit", "--config", config, "--fold", "2")
        assert [run for _, run in calls.positional] == [Path("runs/study"), Path("runs/study-fold_2")]

    def test_results_go_to_stdout_and_the_rest_to_stderr(self, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        last = finished(run="r", metrics=METRICS, report="r/report.html")
        _, recipe = telling(Note("hello"), EPOCH, Validated(1, {"dice": 0.75}, True), last)
        put(monkeypatch, "fits", fits=recipe)
        done = segtrain("fit", "--config", config, "--run", "r")
        assert "0.812 [0.700, 0.900] 2 (1 undefined)" in done.stdout
        assert "report: r/report.html" in done.stdout
        assert "hello" in done.stderr
        assert "epoch 1/3  loss 0.5000  dice 0.750  (best)" in done.stderr
        assert "next: segtrain eval --run r --images DIR --labels DIR" in done.stderr
        assert "hello" not in done.stdout

    def test_json_is_one_object(self, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        _, recipe = telling(EPOCH, finished(run="r", metrics=METRICS))
        put(monkeypatch, "fits", fits=recipe)
        done = segtrain("fit", "--config", config, "--json")
        assert json.loads(done.stdout) == {"schema_version": 1, "run": "r", "metrics": METRICS, "failed": []}

    def test_quiet_leaves_only_the_result(self, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        _, recipe = telling(Note("hello"), EPOCH, finished(run="r"))
        put(monkeypatch, "fits", fits=recipe)
        done = segtrain("fit", "--config", config, "-q")
        assert done.stderr == ""
        assert done.stdout == "written to r\n"

    def test_all_folds_are_trained_in_a_folder_beside_the_plain_run(
        self, config: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        by_fold = [{"fold": k, "run": f"r/fold_{k}", "metrics": METRICS} for k in range(3)]
        calls, recipe = telling(finished("r", "fold_1: P1", run="r", by_fold=by_fold))
        put(monkeypatch, "fits", fits=recipe)
        done = segtrain("fit", "--config", config, "--fold", "all", "--resume")
        assert done.exit_code == 1, done.output
        assert calls.positional[0][1] == Path("runs/study-folds")
        assert calls.named == [{"fold": "all", "resume": True, "overwrite": False, "device": "auto", "ranks": None}]
        assert "fold 2: r/fold_2" in done.stdout
        assert "failed: fold_1: P1" in done.stdout
        assert "next: segtrain eval --run runs/study-folds --images DIR --labels DIR" in done.stderr

    @pytest.mark.parametrize("fold", ["3", "-1", "one"])
    def test_a_fold_that_is_not_there(self, config: Path, monkeypatch: pytest.MonkeyPatch, fold: str) -> None:
        put(monkeypatch, "fits", fits=telling()[1])
        done = segtrain("fit", "--config", config, "--fold", fold)
        assert done.exit_code == 2
        assert "take 0 to 2 (training.folds is 3), or all" in done.stderr

    def test_resume_and_overwrite_exclude_each_other(self, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        calls, recipe = telling(finished())
        put(monkeypatch, "fits", fits=recipe)
        done = segtrain("fit", "--config", config, "--resume", "--overwrite")
        assert done.exit_code == 2
        assert not calls.positional

    def test_dry_run_trains_nothing(self, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        calls, recipe = telling(finished())
        tried, trial = telling(Note("hello"), Finished(Path("runs/study"), FACTS))
        put(monkeypatch, "fits", fits=recipe)
        put(monkeypatch, "dry_run", dry_run=trial)
        done = segtrain("fit", "--config", config, "training.seed=4", "--dry-run")
        assert done.exit_code == 0, done.output
        for text in ("4 cases of 3 patients", "patch_size", "32, 32, 16", "config: model.patch_size (file)", "1,234"):
            assert text in done.stdout
        assert "warning: the disk is too small" in done.stdout
        assert "hello" in done.stderr
        assert f"next: segtrain fit --config {config} training.seed=4 --run runs/study" in done.stderr
        assert not calls.positional
        assert json.loads(segtrain("fit", "--config", config, "--dry-run", "--json").stdout) == FACTS
        for fold in ("2", "all"):
            segtrain("fit", "--config", config, "--dry-run", "--fold", fold)
        assert [named["fold"] for named in tried.named] == [None, None, 2, 0]
        assert tried.positional[0][1] == Path("runs/study")

    def test_a_wrong_override_is_answered_before_any_recipe(
        self, config: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls, recipe = telling(finished())
        put(monkeypatch, "fits", fits=recipe)
        done = segtrain("fit", "--config", config, "training.epoch=5", "model.dims=4")
        assert done.exit_code == 2
        assert "error: training.epoch: there is no such key\n  where: command line\n  fix: did you mean 'epochs'?" in (
            done.stderr
        )
        assert "error: model.dims" in done.stderr
        assert not calls.positional

    def test_interruption_tells_how_to_go_on(self, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        _, recipe = telling(EPOCH, error=KeyboardInterrupt())
        put(monkeypatch, "fits", fits=recipe)
        done = segtrain("fit", "--config", config, "training.seed=1")
        assert done.exit_code == 130
        assert f"go on with: segtrain fit --config {config} training.seed=1 --run runs/study --resume" in done.stderr


class TestCompareLosses:
    def test_ranking_comes_with_verdicts(self, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pairs = [{"a": "dice", "b": "dice_ce", "difference": -0.05, "low": -0.1, "high": -0.01, "verdict": "worse"}]
        last = finished(ranking=RANKING, pairs=pairs, baseline="dice_ce", metric="dice", report="c/report.html")
        calls, recipe = telling(last)
        put(monkeypatch, "compare_losses", compare_losses=recipe)
        done = segtrain("compare-losses", "--config", config, "--overwrite")
        assert done.exit_code == 0, done.output
        assert calls.positional[0][1] == Path("runs/study-compare")
        assert calls.named[0] == {"resume": False, "overwrite": True, "device": "auto", "executor": Processes(1)}
        assert "0.900 [0.850, 0.950] 12" in done.stdout
        assert "-0.050 [-0.100, -0.010]" in done.stdout
        assert "worse" in done.stdout
        assert "baseline" in done.stdout

    def test_workers_are_processes(self, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        calls, recipe = telling(Note("hello"))
        put(monkeypatch, "compare_losses", compare_losses=recipe)
        segtrain("compare-losses", "--config", config, "--workers", "3")
        assert calls.named[0]["executor"] == Processes(3)

    def test_a_cluster_is_asked_for_as_the_flags_say(self, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = []

        @contextmanager
        def connect(where: Where, run: Path, device: str) -> Iterator[tuple[Processes, str]]:
            asked.append((where, run, device))
            yield Processes(7), "cpu"

        def recipe(*_: object, **flags: object) -> Iterator[Note]:
            asked.append((flags["executor"], flags["device"]))
            yield Note("hello")
            raise KeyboardInterrupt

        put(monkeypatch, "compare_losses", compare_losses=recipe)
        monkeypatch.setattr("segtrain.recipes.sweep.executors.executor_for", connect)
        flags = ("--executor", "ray", "--address", "head:6379", "--threads-per-run", "4", "--workers", "2")
        done = segtrain("compare-losses", "--config", config, *flags)
        assert asked == [
            (Where("ray", 2, "head:6379", 4), Path("runs/study-compare"), "auto"),
            (Processes(7), "cpu"),
        ]
        again = "--workers 2 --executor ray --address head:6379 --threads-per-run 4 --resume"
        assert f"--run runs/study-compare {again}" in done.stderr

    def test_without_ray_the_extra_is_named(self, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        put(monkeypatch, "compare_losses", compare_losses=None)
        monkeypatch.setattr("segtrain.execution.ray_cluster.find_spec", lambda name: None)
        done = segtrain("compare-losses", "--config", config, "--executor", "ray")
        assert done.exit_code == 2
        assert "pip install 'segtrain[ray]'" in done.stderr

    def test_an_address_without_a_cluster_is_refused(self, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        put(monkeypatch, "compare_losses", compare_losses=None)
        done = segtrain("compare-losses", "--config", config, "--address", "auto")
        assert done.exit_code == 2
        assert "--executor ray" in done.stderr

    def test_dry_run_trains_nothing(self, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        put(
            monkeypatch,
            "sweep_dry_run",
            dry_run_sweep=lambda _, run, **flags: iter([Finished(run, {**SWEEP, **flags})]),
        )
        done = segtrain("compare-losses", "--config", config, "--dry-run", "--workers", "3")
        assert done.exit_code == 0, done.output
        assert "12 runs: 2 losses x 3 folds x 2 seeds (0, 1), 20 cases" in done.stdout
        assert "about 1 h 12 min" in done.stdout
        assert "at most: losses that are behind are dropped after epoch 10" in done.stdout
        assert "warning: the loss focal is not finite" in done.stdout
        assert "--workers 3" in done.stderr
        found = json.loads(segtrain("compare-losses", "--config", config, "--dry-run", "--json").stdout)
        assert (found["runs"], found["workers"]) == (12, 1)
