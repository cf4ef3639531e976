"""What TensorBoard itself reads of a run."""

from __future__ import annotations

import pytest

from segtrain.core.events import CaseScored, EpochEnded
from segtrain.recipes.fit import fit
from segtrain.recipes.fitting.watch_tensorboard import TensorBoard, last_epoch_in
from segtrain.recipes.run_folder import RunFolder
from segtrain.recipes.run_report import epoch_rows
from tests.recipes.projects import close_at, load, step

pytest.importorskip("tensorboard", reason="TensorBoard is an extra: pip install 'segtrain[tensorboard]'")


def rows(epochs):
    return [{"epoch": n, "step": n, "train_loss": 1 / n, "dice": 0.5, "dice/a b": None} for n in range(1, epochs + 1)]


def read(folder):
    """Tag -> (epoch, value) pairs, as TensorBoard finds them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    return {tag: [(e.step, pytest.approx(e.value)) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.yaml").write_text("training: {}\n")
    return RunFolder(tmp_path)


def told(folder, *epochs):
    board = TensorBoard(folder)
    for count in epochs:
        board.tell(rows(count))
    board.close("done")


def test_each_value_is_there_once(folder):
    told(folder, 1, 2, 2, 3)
    assert read(folder.tensorboard) == {
        "training/loss": [(1, 1.0), (2, 0.5), (3, 1 / 3)],
        "validation/dice": [(1, 0.5), (2, 0.5), (3, 0.5)],
    }


def test_one_that_goes_on_tells_what_is_missing(folder):
    told(folder, 2)
    assert last_epoch_in(folder.tensorboard) == 2
    told(folder, 4)
    assert [epoch for epoch, _ in read(folder.tensorboard)["training/loss"]] == [1, 2, 3, 4]


def test_nothing_was_told_where_there_is_no_file(tmp_path):
    assert last_epoch_in(tmp_path / "nowhere") == 0
    (tmp_path / "empty").mkdir()
    assert last_epoch_in(tmp_path / "empty") == 0


def test_a_file_that_was_cut_short_by_a_kill_loses_no_epoch(folder):
    told(folder, 3)
    (file,) = folder.tensorboard.iterdir()
    file.write_bytes(file.read_bytes()[:-20])
    assert last_epoch_in(folder.tensorboard) == 2
    told(folder, 3)
    found = read(folder.tensorboard)
    assert {epoch for epoch, _ in found["training/loss"]} == {1, 2, 3}
    assert {epoch for epoch, _ in found["validation/dice"]} == {1, 2, 3}


def test_a_fit_that_is_broken_off_tells_the_same_as_metrics_csv(study, tmp_path):
    loaded = load(study, "compare=null", "training.watch=[tensorboard]")
    run = tmp_path / "run"
    close_at(fit(loaded, run, device="cpu"), lambda event: isinstance(event, EpochEnded))
    close_at(fit(loaded, run, device="cpu", resume=True), step(4))
    close_at(fit(loaded, run, device="cpu", resume=True), lambda event: isinstance(event, CaseScored))
    found, table = read(run / "tensorboard"), epoch_rows(RunFolder(run))
    assert found["training/loss"] == [(row["epoch"], row["train_loss"]) for row in table]
    assert found["training/gradient_norm"] == [(row["epoch"], row["gradient_norm"]) for row in table]
    assert found["validation/dice/organ"] == [(row["epoch"], row["dice/organ"]) for row in table]
    assert [row["epoch"] for row in table] == [1, 2]
