"""Runs on the disk -> tables that can be traced to their cases, as often as one likes."""

from __future__ import annotations

import csv
import json
from statistics import fmean

import pytest

from segtrain.core.errors import DataError
from segtrain.core.scores import Score
from segtrain.recipes.run_folder import write_record
from segtrain.recipes.sweep.comparison import conclude, mean_curve
from segtrain.reports.tables import write_cases_csv, write_csv
from tests.faults.table import fault
from tests.recipes.projects import CANARY, OWN_METRIC
from tests.recipes.sweeps import FOLDS, begun, case, runs, write_run


@pytest.fixture
def sweep(tmp_path):
    return begun(tmp_path)


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_curve_is_the_mean_over_folds_and_seeds(sweep):
    found = [run for run in runs(sweep) if run.entry.label == "dice"]
    for run in found:
        write_run(run)
    assert mean_curve(found) == [
        {"epoch": 1.0, "train_loss": 1.5, "dice": None},
        {"epoch": 2.0, "train_loss": 1.0, "dice": 0.5},
    ]


def test_a_curve_takes_what_there_is_of_runs_that_were_cut_short(sweep):
    found = runs(sweep)[:2]
    write_csv(found[0].folder.metrics, ["epoch", "train_loss"], [[1, 4.0], [2, 2.0]])
    write_csv(found[1].folder.metrics, ["epoch", "train_loss"], [[1, 2.0]])
    assert [(row["epoch"], row["train_loss"]) for row in mean_curve(found)] == [(1.0, 3.0), (2.0, 2.0)]
    assert mean_curve(runs(sweep)[4:5]) == []


@pytest.fixture(scope="module")
def concluded(tmp_path_factory):
    """A whole sweep but for `focal`, which diverged in one fold and did not get to the others."""
    sweep = begun(tmp_path_factory.mktemp("concluded"))
    for run in runs(sweep):
        if run.entry.label != "focal":
            write_run(run)
    next(r for r in runs(sweep) if r.entry.label == "focal").keep_failure("the loss is nan at step 3")
    return sweep, conclude(sweep.path)


def test_the_ranking_has_the_best_loss_first_and_keeps_a_failed_one(concluded):
    _, summary = concluded
    assert [(row["loss"], row["status"]) for row in summary["ranking"]] == [
        ("dice", "ok"),
        ("dice_ce", "ok"),
        ("focal", "failed"),
    ]
    assert summary["ranking"][0]["mean"] == pytest.approx(0.85875)  # over four patients, of whom one has two cases
    assert summary["failed_runs"] == {"focal, fold 0, seed 0": "the loss is nan at step 3"}


def test_claims_have_a_row_a_case_and_a_column_a_loss(concluded):
    sweep, _ = concluded
    rows = table(sweep.path / "claims.csv")
    assert list(rows[0]) == ["case_id", "dice_ce", "dice", "focal"]
    assert [row["case_id"] for row in rows] == ["P0_a", "P0_b", "P1_a", "P2_a", "P3_a"]
    assert float(rows[1]["dice"]) == pytest.approx(0.86)
    assert {row["focal"] for row in rows} == {""}


def test_the_mean_of_the_ranking_is_that_of_the_claims_over_patients(concluded):
    sweep, summary = concluded
    of: dict[str, list[float]] = {}
    for row in table(sweep.path / "claims.csv"):
        of.setdefault(row["case_id"][:2], []).append(float(row["dice_ce"]))
    mean = next(row["mean"] for row in summary["ranking"] if row["loss"] == "dice_ce")
    assert fmean(map(fmean, of.values())) == pytest.approx(mean)


def test_tables_have_a_row_a_metric_and_a_loss_or_pair(concluded):
    sweep, _ = concluded
    ranking, pairs = table(sweep.path / "ranking.csv"), table(sweep.path / "pairwise.csv")
    assert [(row["metric"], row["loss"]) for row in ranking[:3]] == [("dice", n) for n in ("dice", "dice_ce", "focal")]
    assert (len(ranking), len(pairs)) == (6, 6)
    assert float(ranking[0]["seed_sd"]) == pytest.approx(0.1 / 2**0.5)
    assert float(pairs[0]["seed_sd"]) == pytest.approx(0.0)
    assert ranking[2]["seed_sd"] == ""
    assert {row["b"] for row in pairs[:2]} == {"dice_ce"}


def test_a_failed_loss_is_named_on_the_page(concluded):
    sweep, _ = concluded
    assert "focal, fold 0, seed 0 diverged: the loss is nan at step 3." in sweep.report.read_text(encoding="utf-8")


def test_concluding_twice_gives_equal_files(concluded):
    sweep, first = concluded
    names = ("ranking.csv", "pairwise.csv", "by_label.csv", "claims.csv", "summary.json", "report.html", "ranking.tex")
    before = {name: (sweep.path / name).read_bytes() for name in names}
    assert conclude(sweep.path) == first
    assert {name: (sweep.path / name).read_bytes() for name in names} == before
    assert json.loads(before["summary.json"]) == first


def test_a_sweep_is_reported_without_the_code_of_its_losses_and_metrics(tmp_path):
    """As somebody else's sweep is: what it names may do anything when it is imported."""
    loss, metric = f"{tmp_path}/loss.py:Mine", f"{tmp_path}/metric.py:Missed"
    (tmp_path / "loss.py").write_text("import torch\nclass Mine(torch.nn.BCEWithLogitsLoss): modes = ('binary',)\n")
    (tmp_path / "metric.py").write_text(OWN_METRIC)
    sweep = begun(tmp_path, f"evaluation.metrics=[dice, {metric}]", f"compare.losses.2={loss}")
    for name in ("loss.py", "metric.py"):
        (tmp_path / name).write_text(CANARY)
    for run in runs(sweep):
        cases = [case(n, {"dice_ce": 0.7, "dice": 0.8, "Mine": 0.5}[run.entry.label]) for n in FOLDS[run.fold]]
        for one in cases:
            one.scores["organ"][metric] = Score(1 - one.scores["organ"]["dice"].value, "ok")
        write_cases_csv(run.folder.validation / "cases.csv", cases)
        (run.folder.validation / "metrics.json").write_text("{}")
        write_record(run.folder, {"finished": "now"})
    ranking = conclude(sweep.path)["metrics"][metric]["ranking"]
    assert [row["loss"] for row in ranking] == ["dice", "dice_ce", "Mine"]
    assert "its network answers with 1 sigmoid outputs" in sweep.report.read_text(encoding="utf-8")


@pytest.mark.parametrize("meaning", [None, [], {"declared": [], "best": {"dice": "tallest"}}])
def test_a_sweep_whose_record_says_nothing_of_its_metrics_is_refused(sweep, meaning):
    record = json.loads(sweep.record.read_text())
    sweep.record.write_text(json.dumps({**record, "meaning": meaning}))
    with pytest.raises(DataError, match=r"run\.json"):
        conclude(sweep.path)


def test_steps_that_were_timed_are_told_with_the_run_that_timed_them(tmp_path):
    sweep = begun(tmp_path, "training.budget_minutes=3")
    for run in runs(sweep):
        write_run(run)
        write_record(run.folder, {"steps_per_epoch": 41})
    conclude(sweep.path)
    assert "41 in every run, as timed once, for dice_ce, fold 0, seed 0" in sweep.report.read_text(encoding="utf-8")


def test_every_file_of_a_paper_is_there(concluded):
    sweep, _ = concluded
    figures = {path.name for path in (sweep.path / "figures").iterdir()}
    assert {"means.svg", "means.png", "differences.svg", "curves.svg", "places.png"} <= figures
    assert "We compared 3 loss functions (dice_ce, dice and focal)" in (sweep.path / "methods.txt").read_text()
    assert r"dice\_ce" in (sweep.path / "ranking.tex").read_text(encoding="utf-8")
    assert [row["loss"] for row in table(sweep.path / "costs.csv")] == ["dice_ce", "dice", "focal"]
    rows = table(sweep.path / "by_label.csv")
    assert {(row["metric"], row["label"], row["size"], row["loss"]) for row in rows} == {
        (metric, "organ", "all", loss) for metric in ("dice", "iou") for loss in ("dice_ce", "dice", "focal")
    }


def test_runs_that_did_not_end_are_told_from_those_that_diverged(concluded):
    sweep, summary = concluded
    assert summary["unfinished_runs"] == [
        "focal, fold 1, seed 0",
        "focal, fold 0, seed 1",
        "focal, fold 1, seed 1",
    ]
    assert "3 runs did not end, or broke off: focal, fold 1, seed 0" in sweep.report.read_text(encoding="utf-8")


@pytest.fixture
def plain(monkeypatch):
    """Without the files of the figures, which other tests look at."""
    monkeypatch.setattr("segtrain.recipes.sweep.comparison.write_plots", lambda folder, plots: None)


def with_scores(folder, value, names, *overrides):
    """A sweep of one seed in which `value(loss, case)` is the Dice of each of the cases `names`, two folds of them."""
    sweep = begun(folder, "compare.seeds=[0]", *overrides)
    for run in runs(sweep):
        more = {"hd95": 3.0} if overrides else {}
        cases = [case(name, value(run.entry.label, name), **more) for name in names[run.fold :: 2]]
        write_cases_csv(run.folder.validation / "cases.csv", cases)
        (run.folder.validation / "metrics.json").write_text("{}")
        write_record(run.folder, {"finished": "now"})
    return sweep


@pytest.mark.parametrize("names", [("P0_a", "P0_b"), ("P0_a", "P1_a"), tuple(f"P{i}_a" for i in range(5))])
@fault("F29", "1, 2 and 5 patients", then="0, rows without a verdict")
def test_one_two_or_five_patients_keep_their_rows_and_get_no_verdict(tmp_path, plain, names):
    summary = conclude(with_scores(tmp_path, lambda loss, name: {"focal": 0.2}.get(loss, 0.8), names).path)
    means = {row["loss"]: row["mean"] for row in summary["ranking"]}
    assert means == pytest.approx({"dice_ce": 0.8, "dice": 0.8, "focal": 0.2})
    assert {pair["verdict"] for pair in summary["pairs"]} == {"too few patients"}
    assert next(pair["p"] for pair in summary["pairs"] if {pair["a"], pair["b"]} == {"dice", "dice_ce"}) == 1.0


@fault("F29", "losses that are all equal", then="0, p is 1 and nobody wins")
def test_all_equal_is_equivalent_and_has_no_winner(tmp_path, plain):
    summary = conclude(with_scores(tmp_path, lambda loss, name: 0.8, [f"P{i}_a" for i in range(7)]).path)
    assert {(pair["verdict"], pair["p"], pair["difference"]) for pair in summary["pairs"]} == {("equivalent", 1.0, 0.0)}
    assert {row["rank"] for row in summary["ranking"]} == {2.0}


@fault("F29", "nothing defined, all diverged", then="0, all rows are there and have failed")
def test_where_nothing_is_defined_or_everything_diverged_all_have_failed(tmp_path, plain):
    sweep = with_scores(tmp_path, lambda loss, name: None, ("P0_a", "P1_a"))
    assert {row["status"] for row in conclude(sweep.path)["ranking"]} == {"failed"}
    for run in runs(sweep):
        run.folder.record.unlink()
        run.keep_failure("the loss is nan")
    summary = conclude(sweep.path)
    assert {row["status"] for row in summary["ranking"]} == {"failed"}
    assert len(summary["failed_runs"]) == 6
    assert {pair["verdict"] for pair in summary["pairs"]} == {"failed"}


def test_a_loss_that_finds_nothing_has_failed_on_the_page_and_in_the_text(tmp_path, plain):
    names = [f"P{i}_a" for i in range(8)]
    sweep = with_scores(tmp_path, lambda loss, name: {"focal": 0.004}.get(loss, 0.8), names)
    summary = conclude(sweep.path)
    last = summary["ranking"][-1]
    assert (last["loss"], last["status"], last["rank"]) == ("focal", "failed", 3)
    assert last["reason"] == "hits nothing: mean Dice at most 0.004 in 2 runs"
    assert next(pair["verdict"] for pair in summary["pairs"] if pair["a"] == "focal") == "worse"
    assert summary["nothing_found"] == {"focal": last["reason"]}
    assert summary["failed_runs"] == {}
    page = sweep.report.read_text(encoding="utf-8")
    assert "focal has failed: hits nothing: mean Dice at most 0.004 in 2 runs." in page
    assert "focal has failed: it hits nothing" in " ".join((sweep.path / "methods.txt").read_text().split())


def test_a_caution_about_a_loss_is_on_the_page(tmp_path, plain):
    sweep = with_scores(tmp_path, lambda loss, name: 0.8, ["P0_a", "P1_a"])
    meaning = json.loads(sweep.record.read_text())["meaning"] | {"cautions": ["loss focal: its sign is wrong"]}
    write_record(sweep, {"meaning": meaning})
    conclude(sweep.path)
    assert '<p class="note caution">loss focal: its sign is wrong.</p>' in sweep.report.read_text(encoding="utf-8")


def test_only_a_metric_with_a_margin_calls_losses_equivalent(tmp_path, plain):
    names = [f"P{i}_a" for i in range(8)]
    sweep = with_scores(tmp_path, lambda loss, name: 0.8, names, "evaluation.metrics=[dice, hd95]")
    found = conclude(sweep.path)["metrics"]
    words = {metric: {pair["verdict"] for pair in of["pairs"]} for metric, of in found.items()}
    assert words == {"dice": {"equivalent"}, "hd95": {"not decided"}}
