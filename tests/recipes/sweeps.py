"""A sweep on the disk without a training: its config and record, and runs with the scores that a test gives them."""

from __future__ import annotations

from segtrain.core.scores import CaseScores, Score
from segtrain.recipes.fitting.begun_with import BESIDE_A_SWEEP, keep_config
from segtrain.recipes.run_folder import RunFolder, write_record
from segtrain.recipes.sweep.plan import meaning_in, meaning_of, runs_of, settings_of
from segtrain.recipes.sweep.scores import read_scores
from segtrain.reports.tables import write_cases_csv, write_csv
from tests.recipes.projects import CONFIG, load

COMPARE = "compare: {losses: [dice_ce, dice, focal], folds: 2, seeds: [0, 1], baseline: dice_ce}\n"
FOLDS = (("P0_a", "P0_b", "P1_a"), ("P2_a", "P3_a"))
GOOD = {"dice_ce": 0.7, "dice": 0.8, "focal": 0.5}


def case(name, dice, **more):
    """One label; `more`: other metrics."""
    status = "both_empty" if dice is None else "ok"
    values = {"dice": dice, "iou": None if dice is None else dice / 2, **more}
    scores = {"organ": {metric: Score(value, status) for metric, value in values.items()}}
    return CaseScores(name, name.partition("_")[0], scores, {"organ": 2.0}, {"organ": 1.0})


def dice_of(run, name):
    """Better from fold to fold and seed to seed, and a little different from case to case."""
    place = FOLDS[run.fold].index(name)
    return GOOD[run.entry.label] + 0.1 * run.seed + 0.01 * place


def write_run(run, value=dice_of):
    write_cases_csv(run.folder.validation / "cases.csv", [case(n, value(run, n)) for n in FOLDS[run.fold]])
    (run.folder.validation / "metrics.json").write_text("{}")
    rows = [[epoch, 1.0 / epoch + run.seed, 0.5 if epoch == 2 else None] for epoch in (1, 2)]
    write_csv(run.folder.metrics, ["epoch", "train_loss", "dice"], rows)
    write_record(run.folder, {"finished": "now"})


def begun(root, *overrides):
    """A sweep whose runs are still to be written."""
    folder = RunFolder(root / "sweep")
    folder.path.mkdir()
    loaded = load(root, "training.epochs=2", *overrides, text=CONFIG + COMPARE)
    keep_config(folder, loaded, BESIDE_A_SWEEP)
    write_record(folder, {"meaning": meaning_of(loaded).model_dump(mode="json")})
    return folder


def runs(sweep):
    return runs_of(settings_of(load(sweep.path)), sweep.path)


def scores_of(sweep):
    return read_scores(runs(sweep), meaning_in(sweep.record).best)
