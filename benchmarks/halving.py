"""compare-losses by `halving` against `full`: the source post's losses on the embedded data set, one thread.

What halving promises is looked at: the winner of `full`, which is not the baseline that stays anyway, goes to the end;
survivors have the scores of `full`; and who was dropped is not among the best of `full`.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.commands import segtrain, table

LOSSES = (
    "dice_ce, post/dice, post/bce_dice, post/iou, post/focal, post/tversky, post/focal_tversky, post/lovasz_hinge, "
    "post/combo"
)
COMPARE = f"compare={{losses: [{LOSSES}], folds: 2, seeds: [0], baseline: post-dice}}"


def main() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "demo"
        segtrain("demo", project)
        found, seconds = {}, {}
        for strategy in ("full", "halving"):
            changes = (COMPARE, f"compare.strategy={strategy}", "--run", Path(folder) / strategy)
            found[strategy], seconds[strategy] = segtrain(
                "compare-losses", "--config", project / "config.yaml", *changes
            )
    compared(found["full"], found["halving"])
    table(("strategy", "seconds"), list(seconds.items()))


def compared(full: dict[str, Any], halving: dict[str, Any]) -> None:
    """Print what halving made of the ranking of `full`."""
    ranked = {row["loss"]: row for row in full["ranking"]}
    left = {row["loss"]: row for row in halving["ranking"] if row["status"] != "dropped"}
    gone = {row["loss"]: row["epoch"] for row in halving["decisions"] if row["decision"] == "dropped"}
    rows = [
        (row["rank"], loss, row["mean"], left[loss]["mean"] if loss in left else f"dropped after epoch {gone[loss]}")
        for loss, row in ranked.items()
    ]
    table(("place in full", "loss", "Dice in full", "Dice in halving"), rows)
    winner = next(iter(ranked))
    same = all(row["mean"] == ranked[loss]["mean"] for loss, row in left.items())
    print(f"\nwinner of full: {winner}; halving {'trained it to the end' if winner in left else 'DROPPED it'}")
    print(f"the others have {'the same scores' if same else 'OTHER scores'} as in full")
    print(f"steps left out: {100 * halving['saved_share_of_steps']:.0f} %\n")


if __name__ == "__main__":
    main()
