"""`segtrain compare-losses`: a sweep with a loss that diverges, one that is there twice, and two that stand still."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load

from tests.commands.projects import CONFIG, answer, done, files_in, read, rows, study, weights

LOSSES = """\
import torch


class Diverging(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, logits, target):
        self.calls += 1
        value = logits.square().mean()
        return value * float("nan") if self.calls > 4 else value
"""

COMPARE = """\
compare:
  losses:
    - dice_ce
    - dice
    - {name: dice, label: dice_again}
    - {name: 'losses.py:Diverging', label: diverging}
    - {name: dice_ce, label: still, training: {learning_rate: 1e-30}}
    - {name: focal, label: still_too, training: {learning_rate: 1e-30}}
  folds: 2
  seeds: [0]
  baseline: dice_ce
"""

LABELS = ["dice_ce", "dice", "dice_again", "diverging", "still", "still_too"]
CASES = ["P0", "P1", "P2", "P3"]


@dataclass(frozen=True)
class Sweep:
    """A finished sweep, and what it printed with `--json`."""

    config: Path
    folder: Path
    answer: dict[str, Any]

    def run(self, label: str, fold: int) -> Path:
        return self.folder / "runs" / label / str(fold) / "0"


def project(root: Path, compare: str = COMPARE) -> Path:
    config = study(root, config=CONFIG[: CONFIG.index("compare:")] + compare)
    (root / "losses.py").write_text(LOSSES, encoding="utf-8")
    return config


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    root = tmp_path_factory.mktemp("sweep")
    config = project(root)
    found = answer("compare-losses", "--config", config, "--run", root / "sweep", code=1)
    return Sweep(config, root / "sweep", found)


def test_every_file_of_the_contract_is_there(sweep: Sweep) -> None:
    there = set(files_in(sweep.folder))
    assert {"ranking.csv", "pairwise.csv", "claims.csv", "summary.json", "report.html", "config.yaml"} <= there
    for label in LABELS:
        assert {f"runs/{label}/{fold}/0/config.yaml" for fold in (0, 1)} <= there
    summary = read(sweep.folder / "summary.json")
    assert summary.items() <= sweep.answer.items()
    assert Path(sweep.answer["report"]) == sweep.folder / "report.html"


def test_a_loss_that_diverged_is_failed_and_the_others_are_done(sweep: Sweep) -> None:
    assert sweep.answer["failed"] == ["diverging, fold 0, seed 0", "diverging, fold 1, seed 0"]
    by_loss = {row["loss"]: row for row in sweep.answer["ranking"]}
    assert by_loss["diverging"]["status"] == "failed"
    assert (by_loss["diverging"]["mean"], by_loss["diverging"]["n"]) == (None, 0)
    others = [label for label in LABELS if label != "diverging"]
    assert all((by_loss[label]["status"], by_loss[label]["n"]) == ("ok", 4) for label in others)
    for fold in (0, 1):
        assert "the loss is nan at step 4 of 6" in read(sweep.run("diverging", fold) / "failed.json")["message"]
        assert "finished" not in read(sweep.run("diverging", fold) / "run.json")


def test_claims_csv_has_a_row_a_case_and_a_column_a_loss(sweep: Sweep) -> None:
    claims = rows(sweep.folder / "claims.csv")
    assert list(claims[0]) == ["case_id", *LABELS]
    assert [row["case_id"] for row in claims] == CASES
    for fold in (0, 1):
        for row in rows(sweep.run("dice", fold) / "validation" / "cases.csv"):
            if row["metric"] == "dice":
                assert float(claims[CASES.index(row["case"])]["dice"]) == float(row["value"])
    assert {row["diverging"] for row in claims} == {""}


def test_ranking_and_pairs_have_all_losses_for_both_metrics(sweep: Sweep) -> None:
    ranking = rows(sweep.folder / "ranking.csv")
    assert {(row["metric"], row["loss"]) for row in ranking} == {(m, loss) for m in ("dice", "iou") for loss in LABELS}
    pairs = rows(sweep.folder / "pairwise.csv")
    against = {row["a"] for row in pairs if row["metric"] == "dice" and row["b"] == "dice_ce"}
    assert against >= {"dice", "dice_again", "still", "still_too"}
    means = [float(row["mean"]) for row in ranking if row["metric"] == "dice" and row["mean"]]
    assert means == sorted(means, reverse=True)


def test_a_loss_that_is_there_twice_scores_the_same(sweep: Sweep) -> None:
    assert all(row["dice"] == row["dice_again"] for row in rows(sweep.folder / "claims.csv"))
    for fold in (0, 1):
        assert weights(sweep.run("dice", fold)) == weights(sweep.run("dice_again", fold))
    assert weights(sweep.run("dice", 0)) != weights(sweep.run("dice_ce", 0))


def test_all_losses_begin_with_the_same_weights(sweep: Sweep) -> None:
    """At a rate of nearly nothing the weights stay what they were."""
    for fold in (0, 1):
        still, still_too = (load(weights(sweep.run(label, fold))) for label in ("still", "still_too"))
        assert all((still[name] - still_too[name]).abs().max() < 1e-20 for name in still | still_too)


def test_all_losses_have_the_same_plan_and_folds(sweep: Sweep) -> None:
    for name in ("plan.json", "splits.json"):
        for fold in (0, 1):
            assert len({(sweep.run(label, fold) / name).read_bytes() for label in LABELS}) == 1
    for fold in (0, 1):
        plan = sweep.folder / "plans" / f"{fold}.json"
        assert (sweep.run("dice", fold) / "plan.json").read_bytes() == plan.read_bytes()
    folds = read(sweep.folder / "splits.json")["folds"]
    assert sorted(folds[0]["validation"] + folds[1]["validation"]) == CASES
    assert [read(sweep.run("dice", fold) / "splits.json")["folds"] for fold in (0, 1)] == [[folds[0]], [folds[1]]]


def test_a_run_of_the_sweep_can_be_trained_alone(sweep: Sweep, tmp_path: Path) -> None:
    config = sweep.run("dice", 1) / "config.yaml"
    done("fit", "--config", config, "--run", tmp_path / "alone", "--fold", "1")
    assert weights(tmp_path / "alone") == weights(sweep.run("dice", 1))


def test_resume_of_a_finished_sweep_trains_nothing_again(sweep: Sweep) -> None:
    before = {path: path.stat().st_mtime_ns for path in sweep.folder.rglob("*.safetensors")}
    tables = {name: (sweep.folder / name).read_bytes() for name in ("claims.csv", "summary.json", "report.html")}
    told = done("compare-losses", "--config", sweep.config, "--run", sweep.folder, "--resume", code=1)
    assert told.stderr.count("finished before") == 10
    assert told.stderr.count("failed before") == 2
    assert "epoch" not in told.stderr
    assert {path: path.stat().st_mtime_ns for path in sweep.folder.rglob("*.safetensors")} == before
    assert {name: (sweep.folder / name).read_bytes() for name in tables} == tables


def test_without_a_flag_a_filled_sweep_is_left_alone(sweep: Sweep) -> None:
    told = done("compare-losses", "--config", sweep.config, "--run", sweep.folder, code=2)
    assert "--resume goes on with it" in told.stderr
    told = done("compare-losses", "--config", sweep.config, "--run", sweep.folder, "--resume", "loss.name=iou", code=2)
    assert "this run began with" in told.stderr


def test_the_report_can_be_rebuilt_from_the_files(sweep: Sweep, tmp_path: Path) -> None:
    copy = shutil.copytree(sweep.folder, tmp_path / "sweep")
    for name in ("report.html", "ranking.csv", "claims.csv"):
        (copy / name).unlink()
    assert answer("report", copy)["report"] == str(copy / "report.html")
    for name in ("report.html", "ranking.csv", "claims.csv"):
        assert (copy / name).read_bytes() == (sweep.folder / name).read_bytes()


def test_the_table_names_each_loss_and_its_verdict(sweep: Sweep) -> None:
    told = done("compare-losses", "--config", sweep.config, "--run", sweep.folder, "--resume", code=1)
    lines = {line.split()[1]: line for line in told.stdout.splitlines() if len(line.split()) > 2}
    assert "failed" in lines["diverging"]
    assert "baseline" in lines["dice_ce"]
    assert set(LABELS) <= set(lines)
    assert "failed: diverging, fold 0, seed 0" in told.stdout


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        ("tversk", "did you mean 'tversky'"),
        ("{name: tversky, fn_wight: 0.7}", "fn_wight"),
        ("'losses.py:Missing'", "has no 'Missing'"),
        ("'nowhere.py:Loss'", "there is no file"),
    ],
)
def test_a_wrong_loss_is_refused_before_anything_is_trained(tmp_path: Path, loss: str, says: str) -> None:
    config = project(tmp_path, f"compare: {{losses: [dice_ce, {loss}], folds: 2, baseline: dice_ce}}\n")
    told = done("compare-losses", "--config", config, "--run", tmp_path / "run", code=2)
    assert says in told.stderr
    assert "epoch" not in told.stderr
    assert not (tmp_path / "run").exists()


def test_dry_run_counts_the_runs_and_writes_nothing(sweep: Sweep, tmp_path: Path) -> None:
    found = answer("compare-losses", "--config", sweep.config, "--run", tmp_path / "run", "--dry-run")
    assert (list(found["losses"]), found["folds"], found["seeds"], found["runs"]) == (LABELS, 2, [0], 12)
    assert not (tmp_path / "run").exists()
