"""Epochs -> TensorBoard, in `tensorboard/` of a run: `tensorboard --logdir runs` shows all runs beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segtrain.recipes.run_folder import RunFolder
from segtrain.reports.curves import Row, watched_values

LAST_TAG = "training/loss"
"""Written last of each epoch: where it is, the whole row is."""


class TensorBoard:
    """An event file; one more each time a run goes on, which TensorBoard shows as one."""

    def __init__(self, folder: RunFolder) -> None:
        # Optional, and slow to import: only who asks for it pays for it.
        from torch.utils.tensorboard import SummaryWriter

        self._told = last_epoch_in(folder.tensorboard)
        self._writer: Any = SummaryWriter(str(folder.tensorboard))
        if not self._told:
            config = folder.config.read_text(encoding="utf-8")
            self._writer.add_text("config", f"```yaml\n{config}\n```")

    def tell(self, history: Sequence[Row]) -> None:
        """Write the rows after those that are there; the step of a value is its epoch."""
        for row in history:
            epoch = int(row["epoch"] or 0)
            if epoch <= self._told:
                continue
            for tag, value in sorted(watched_values(row).items(), key=lambda pair: pair[0] == LAST_TAG):
                self._writer.add_scalar(tag, value, epoch)
            self._told = epoch
        self._writer.flush()

    def close(self, ending: str) -> None:
        """Close the file."""
        del ending
        self._writer.close()


def last_epoch_in(folder: Path) -> int:
    """The last epoch that is whole in the event files of a folder; 0 for none."""
    if not folder.is_dir():
        return 0
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    if LAST_TAG not in found.Tags()["scalars"]:
        return 0
    return max(int(event.step) for event in found.Scalars(LAST_TAG))
