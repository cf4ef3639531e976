"""Results as text."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console, RenderableType

from segtrain.cli.tables import loss_card, loss_table, metric_table, ranking_table

OPTION = {"name": "gamma", "type": "float", "default": 2.0, "range": ">= 0", "doc": "focus"}
CARD: dict[str, Any] = {
    "name": "focal",
    "aliases": ["fl"],
    "family": "distribution",
    "formula": "-(1-p)^gamma log p",
    "paper": "Lin 2017",
    "modes": ["binary", "multiclass"],
    "optimum": 0.0,
    "good_for": "few hard voxels",
    "bad_at": "lesions when alone",
    "caution": "",
    "description": "Focal loss.\n\nMore.",
    "options": [OPTION],
}


def shown(what: RenderableType) -> list[str]:
    """The lines of a renderable, as in a pipe."""
    stream = io.StringIO()
    Console(file=stream, width=160, markup=False, highlight=False).print(what)
    return [line.rstrip() for line in stream.getvalue().splitlines() if line.strip()]


def statistic(mean: float | None, ci95: list[float] | None, n: int, undefined: int = 0) -> dict[str, Any]:
    return {"mean": mean, "median": mean, "std": None, "ci95": ci95, "n": n, "n_undefined": undefined}


def test_metrics() -> None:
    metrics = {
        "labels": {
            "liver": {"dice": statistic(0.9, [0.85, 0.95], 6), "iou": statistic(0.8, None, 6)},
            "[red]cyst": {"dice": statistic(None, None, 0, 6)},
        },
        "mean": {"dice": 0.9, "iou": 0.8},
    }
    lines = shown(metric_table(metrics))
    assert "dice" in lines[0]
    liver = next(line for line in lines if "liver" in line)
    assert "0.900 [0.850, 0.950] 6" in liver
    assert "0.800 [-] 6" in liver
    assert "(6 undefined)" in next(line for line in lines if "[red]cyst" in line)
    assert "0.900" in lines[-1]


def test_ranking() -> None:
    ranking = {
        "baseline": "dice_ce",
        "metric": "dice",
        "ranking": [
            {"rank": 1.0, "loss": "focal", "mean": 0.9, "low": 0.8, "high": 1.0, "n": 6, "rank_low": 1, "rank_high": 2},
            {"rank": 2.0, "loss": "dice_ce", "mean": 0.8, "low": None, "high": None, "n": 6, "status": "ok"},
            {"rank": None, "loss": "dice", "mean": None, "low": None, "high": None, "n": 0, "status": "failed"},
        ],
        "pairs": [
            {
                "a": "focal",
                "b": "dice_ce",
                "difference": 0.1,
                "low": 0.0,
                "high": 0.2,
                "p_holm": 0.03,
                "verdict": "better",
            }
        ],
    }
    lines = shown(ranking_table(ranking))
    rows = {line.split()[1]: line for line in lines[2:]}
    focal, baseline, failed = (rows[name] for name in ("focal", "dice_ce", "dice"))
    assert "better" in focal
    assert "+0.100" in focal
    assert "baseline" in baseline
    assert "failed" in failed


def test_a_p_that_three_digits_do_not_show_is_said_to_be_less() -> None:
    row = {"loss": "dice", "mean": 0.5, "rank": 1.0, "status": "ok"}
    pair = {"a": "dice", "b": "ce", "difference": 0.1, "p_holm": 0.00098, "verdict": "better"}
    result = {"ranking": [row, {**row, "loss": "ce"}], "pairs": [pair], "baseline": "ce"}
    assert "< 0.001" in "\n".join(shown(ranking_table(result)))


def test_losses() -> None:
    text = "\n".join(shown(loss_table([CARD, {**CARD, "name": "other", "aliases": [], "options": []}])))
    assert "focal" in text
    assert "fl" in text
    assert "More" not in text


def test_a_loss() -> None:
    text = "\n".join(shown(loss_card(CARD)))
    for part in ("focal", "fl", "Lin 2017", "gamma", ">= 0", "-(1-p)^gamma log p", "multiclass"):
        assert part in text
    assert "good for: few hard voxels\nbad at: lesions when alone\n" in text


def test_a_loss_without_options() -> None:
    assert ">= 0" not in "\n".join(shown(loss_card({**CARD, "options": [], "paper": ""})))


def test_many_metrics_have_a_row_each_with_their_unit():
    found = {"mean": 12.5, "ci95": [10, 15], "n": 4, "n_undefined": 1, "n_infinite": 2}
    names = ["dice", "nsd", "hd95", "assd"]
    metrics = {
        "labels": {"liver": dict.fromkeys(names, found), "spleen": dict.fromkeys(names, found)},
        "mean": dict.fromkeys(names, 12.5),
        "definitions": {"hd95": {"unit": "mm"}},
    }
    text = "\n".join(shown(metric_table(metrics)))
    assert "hd95 (mm)" in text
    assert "4 (1 undefined, 2 missed or invented)" in text
    assert text.count("liver") == 1
    assert "mean of labels" in text
