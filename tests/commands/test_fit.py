"""`segtrain fit`: the run folder of the contract, the same numbers twice, and no run overwritten by accident."""

from __future__ import annotations

import math
import shlex
import shutil
from pathlib import Path

import pytest

from tests.commands.conftest import Trained
from tests.commands.projects import CONFIG, answer, done, files_in, json_of, read, rows, study, unfinish, weights
from tests.faults.table import fault

CONTRACT = (
    "config.yaml",
    "run.json",
    "plan.json",
    "splits.json",
    "log.jsonl",
    "metrics.csv",
    "progress.png",
    "checkpoints/last/model.safetensors",
    "checkpoints/last/state.safetensors",
    "checkpoints/last/checkpoint.json",
    "checkpoints/best/model.safetensors",
    "checkpoints/best/state.safetensors",
    "checkpoints/best/checkpoint.json",
    "validation/metrics.json",
    "validation/cases.csv",
    "report.html",
)


@pytest.fixture
def copied(trained: Trained, tmp_path: Path) -> Path:
    """The trained run, to be changed."""
    return shutil.copytree(trained.run, tmp_path / "run")


def test_every_file_of_the_contract_is_in_the_run_folder(trained: Trained) -> None:
    there = files_in(trained.run)
    assert set(CONTRACT) <= set(there)
    held_out = read(trained.run / "splits.json")["folds"][0]["validation"]
    assert [f"validation/predictions/{case}.nii.gz" for case in held_out] == [f for f in there if f.endswith(".nii.gz")]


def test_nothing_temporary_stays_in_the_run_folder(trained: Trained) -> None:
    left = [name for name in files_in(trained.run) if ".tmp" in name or ".lock" in name or ".new" in name]
    assert left == []
    assert not [name for name in files_in(trained.run) if name.endswith((".pt", ".pth", ".pkl"))]


def test_run_json_says_how_the_numbers_came_about(trained: Trained) -> None:
    record = read(trained.run / "run.json")
    assert record["schema_version"] == 1
    assert {"versions", "git", "command", "seed", "data", "host", "started", "finished", "seconds"} <= set(record)
    assert {"segtrain", "torch", "numpy"} <= set(record["versions"])
    assert sorted(record["data"]) == ["P0", "P1", "P2", "P3"]
    assert (record["total_steps"], record["cases"]) == (6, {"train": 3, "validation": 1})


def test_the_resolved_config_names_the_origin_of_each_value(trained: Trained) -> None:
    lines = (trained.run / "config.yaml").read_text(encoding="utf-8").splitlines()
    assert "  epochs: 2  # file" in lines
    assert "  seed: 0  # default" in lines
    values = [line for line in lines if not line.rstrip().endswith(":") and not line.lstrip().startswith("- ")]
    assert all(line.rpartition("  # ")[2] in {"file", "default", "command line"} for line in values)


def test_metrics_json_has_the_shape_of_the_contract(trained: Trained) -> None:
    metrics = read(trained.run / "validation" / "metrics.json")
    assert {"schema_version", "cases", "labels", "mean", "failed"} <= set(metrics)
    assert (metrics["schema_version"], metrics["cases"], metrics["failed"]) == (1, 1, [])
    assert list(metrics["labels"]) == ["organ"]
    for name in ("dice", "iou"):
        found = metrics["labels"]["organ"][name]
        assert list(found) == ["mean", "median", "std", "ci95", "n", "n_undefined", "n_infinite"]
        assert (found["n"], found["n_undefined"]) == (1, 0)
        assert metrics["mean"][name] == found["mean"]


def test_json_prints_one_object_and_everything_else_goes_to_stderr(trained: Trained) -> None:
    assert trained.answer["metrics"] == read(trained.run / "validation" / "metrics.json")
    assert trained.answer["run"] == str(trained.run)
    assert Path(trained.answer["report"]).is_file()
    assert trained.answer["failed"] == []
    assert "epoch 2/2" in trained.stderr
    assert "next: segtrain eval --run" in trained.stderr


def test_metrics_csv_has_a_row_an_epoch_and_the_loss_falls(trained: Trained) -> None:
    first, second = rows(trained.run / "metrics.csv")
    assert (first["epoch"], second["epoch"], second["step"]) == ("1", "2", "6")
    assert float(second["train_loss"]) < float(first["train_loss"])
    assert 0 < float(second["dice"]) <= 1
    assert math.isclose(float(second["iou"]), float(second["dice"]) / (2 - float(second["dice"])), rel_tol=1e-6)


def test_the_report_is_one_file_that_needs_no_network(trained: Trained) -> None:
    page = (trained.run / "report.html").read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert not [word for word in ('src="http', 'href="http', "@import", "<script src") if word in page]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(trained: Trained, tmp_path: Path) -> None:
    done("fit", "--config", trained.config, "--run", tmp_path / "again")
    done("fit", "--config", trained.config, "--run", tmp_path / "other", "training.seed=1")
    assert weights(tmp_path / "again") == weights(trained.run)
    assert weights(tmp_path / "again", "best") == weights(trained.run, "best")
    assert weights(tmp_path / "other") != weights(trained.run)
    same = "validation/cases.csv"
    assert (tmp_path / "again" / same).read_bytes() == (trained.run / same).read_bytes()


def test_a_fold_is_held_out_and_all_folds_hold_out_every_case_once(trained: Trained, tmp_path: Path) -> None:
    one = answer("fit", "--config", trained.config, "--run", tmp_path / "one", "--fold", "1")
    told = done("fit", "--config", trained.config, "--run", tmp_path / "all", "--fold", "all", "--json")
    every = json_of(told)
    following = shlex.split(told.stderr.rpartition("next: ")[2])
    assert Path(following[following.index("--run") + 1]) == tmp_path / "all"
    assert [fold["fold"] for fold in every["by_fold"]] == [0, 1]
    held_out = [read(tmp_path / "all" / f"fold_{k}" / "splits.json")["folds"][0]["validation"] for k in (0, 1)]
    assert sorted(held_out[0] + held_out[1]) == ["P0", "P1", "P2", "P3"]
    assert read(tmp_path / "one" / "splits.json")["folds"][0]["validation"] == held_out[1]
    assert one["metrics"] == every["by_fold"][1]["metrics"]
    assert every["metrics"] == read(tmp_path / "all" / "validation" / "metrics.json")
    assert every["metrics"]["cases"] == 4
    images = trained.config.parent / "images"
    masks = answer("predict", "--run", tmp_path / "all", "--images", images, "--out", tmp_path / "masks")
    assert masks["cases"] == 4
    assert "no fold" in done("fit", "--config", trained.config, "--fold", "2", code=2).stderr


def test_a_filled_run_folder_is_left_alone_without_a_flag(trained: Trained, copied: Path) -> None:
    before = {name: (copied / name).read_bytes() for name in files_in(copied)}
    told = done("fit", "--config", trained.config, "--run", copied, code=2)
    assert "--resume goes on with it, --overwrite starts anew" in told.stderr
    assert {name: (copied / name).read_bytes() for name in files_in(copied)} == before


def test_resume_and_overwrite_exclude_each_other(trained: Trained, copied: Path) -> None:
    told = done("fit", "--config", trained.config, "--run", copied, "--resume", "--overwrite", code=2)
    assert "exclude each other" in told.stderr


def test_overwrite_starts_anew(trained: Trained, copied: Path) -> None:
    done("fit", "--config", trained.config, "--run", copied, "--overwrite", "training.seed=1")
    assert weights(copied) != weights(trained.run)
    assert read(copied / "run.json")["seed"] == 1


def test_overwrite_never_empties_a_folder_that_is_no_run(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    told = done("fit", "--config", trained.config, "--run", tmp_path / "thesis", "--overwrite", code=2)
    assert "not a run" in told.stderr
    assert files_in(tmp_path / "thesis") == ["chapter.txt"]


def test_resume_of_a_finished_run_says_so_and_changes_nothing(trained: Trained, copied: Path) -> None:
    told = done("fit", "--config", trained.config, "--run", copied, "--resume", "--json")
    assert "finished before" in told.stderr
    assert weights(copied) == weights(trained.run)
    again = answer("fit", "--config", trained.config, "--run", copied, "--resume")
    assert again["metrics"] == trained.answer["metrics"]


@pytest.mark.parametrize("change", [("training.epochs=4",), ("loss.name=dice",), ("--fold", "0")])
@fault("F18", "resumed with another loss, network, length or fold", then="2, the key with both values")
def test_resume_with_another_config_or_fold_is_refused(trained: Trained, copied: Path, change: tuple[str]) -> None:
    told = done("fit", "--config", trained.config, "--run", copied, "--resume", *change, code=2)
    assert "this run began with" in told.stderr
    assert weights(copied) == weights(trained.run)


def test_resume_of_a_run_that_was_cut_short_refuses_the_same_changes(trained: Trained, copied: Path) -> None:
    unfinish(copied)
    for change in (["training.epochs=4"], ["loss.name=dice"], ["--fold", "0"]):
        told = done("fit", "--config", trained.config, "--run", copied, "--resume", *change, code=2)
        assert "this run began with" in told.stderr


@fault("F18", "resumed with other scans", then="3, the cases")
def test_resume_refuses_scans_that_were_changed(tmp_path: Path) -> None:
    config = study(tmp_path)
    done("fit", "--config", config, "--run", tmp_path / "run")
    unfinish(tmp_path / "run")
    shutil.copy(tmp_path / "images" / "P0.nii.gz", tmp_path / "images" / "P1.nii.gz")
    shutil.copy(tmp_path / "labels" / "P0.nii.gz", tmp_path / "labels" / "P1.nii.gz")
    told = done("fit", "--config", config, "--run", tmp_path / "run", "--resume", code=3)
    assert "P1" in told.stderr
    assert "P2" not in told.stderr


def test_dry_run_says_what_would_be_done_and_writes_nothing(trained: Trained, tmp_path: Path) -> None:
    found = answer("fit", "--config", trained.config, "--run", tmp_path / "run", "--dry-run")
    assert (found["cases"], found["epochs"], found["steps_per_epoch"]) == (4, 2, 3)
    assert found["plan"] == read(trained.run / "plan.json")
    assert not (tmp_path / "run").exists()


@fault("F24", "a loss that diverges", then="5, the steps and their cases; no NaN in a checkpoint")
def test_a_loss_that_diverges_ends_with_5_and_names_the_step(trained: Trained, tmp_path: Path) -> None:
    told = done("fit", "--config", trained.config, "--run", tmp_path / "run", "training.learning_rate=1e30", code=5)
    assert "step" in told.stderr
    assert "lower training.learning_rate" in told.stderr


def test_a_budget_of_minutes_fixes_the_number_of_steps(tmp_path: Path) -> None:
    config = study(tmp_path, config=CONFIG.replace("steps_per_epoch: 3", "budget_minutes: 0.002"))
    done("fit", "--config", config, "--run", tmp_path / "run")
    record = read(tmp_path / "run" / "run.json")
    assert record["total_steps"] == record["steps_per_epoch"], "there is no time for a second epoch"
    assert len(rows(tmp_path / "run" / "metrics.csv")) == 1
