"""A run of a sweep as a process does it: what goes wrong is told, and costs this run alone."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from segtrain.config.schema import LossEntry
from segtrain.core.events import EpochEnded, Finished
from segtrain.core.plan import Plan
from segtrain.data.cases import find_cases
from segtrain.data.splits import Splits
from segtrain.recipes.fitting.sound import Shared
from segtrain.recipes.sweep.one_run import Ended, RunJob, do_run, run_events
from segtrain.recipes.sweep.plan import runs_of, settings_of
from tests.recipes.projects import load, result_of


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def job(swept, tmp_path):
    """The first run of a sweep, to be done once more elsewhere."""
    loaded = load(swept.config.parent)
    one = replace(runs_of(settings_of(loaded), swept.folder)[0], sweep=tmp_path / "sweep")
    record = json.loads((swept.folder / "run.json").read_text(encoding="utf-8"))
    prepared = {case: swept.folder / "prepared" / name for case, name in record["data"].items()}
    plan = Plan.model_validate_json((swept.folder / "plans" / "0.json").read_text(encoding="utf-8"))
    splits = Splits.read(swept.folder / "splits.json")
    return RunJob(loaded, one, Shared(plan, splits, tuple(find_cases(loaded.config.data)), prepared), "cpu", threads=1)


def test_a_run_tells_its_events_but_not_its_end(job):
    def watched():
        ended = yield from run_events(job)
        assert ended == Ended("done")

    found = list(watched())
    assert any(isinstance(event, EpochEnded) for event in found)
    assert not any(isinstance(event, Finished) for event in found)
    assert job.one.settled == "finished before"


def test_a_process_does_it_without_a_word_and_keeps_to_its_threads(job):
    assert do_run(job) == Ended("done")
    assert torch.get_num_threads() == 1


def test_a_loss_that_diverges_has_failed_and_is_not_broken(job):
    entry = next(e for e in settings_of(job.loaded).losses if e.label == "broken")
    broken = replace(job, one=replace(job.one, entry=entry))
    ended = do_run(broken)
    assert not ended.broken
    assert broken.one.failure == ended.message


def test_what_goes_wrong_otherwise_is_told_and_may_be_tried_again(job):
    gone = {case: path.with_name("gone.safetensors") for case, path in job.shared.prepared.items()}
    ended = do_run(replace(job, shared=replace(job.shared, prepared=gone)))
    assert ended.broken
    assert job.one.settled is None


def loss_of(job, tmp_path, body):
    """The same run with a loss of one's own, which is sound where it is tried."""
    head = "import torch\nclass Mine(torch.nn.Module):\n    def forward(self, logits, target):\n"
    (tmp_path / "mine.py").write_text(f"{head}        if logits[0, 0].numel() != 512:\n            {body}\n{SOUND}")
    return replace(job, one=replace(job.one, entry=LossEntry(name=f"{tmp_path / 'mine.py'}:Mine", label="mine")))


SOUND = "        return torch.nn.functional.cross_entropy(logits, target.long())\n"


def test_a_fault_of_the_code_costs_this_run_and_leaves_its_traceback(job, tmp_path):
    faulty = loss_of(job, tmp_path, "raise ZeroDivisionError('no voxel')")
    ended = do_run(faulty)
    log = faulty.one.folder.log
    assert ended == Ended(f"ZeroDivisionError: no voxel\n  where: {log} has the traceback", broken=True)
    last = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
    assert last["event"] == "broken"
    assert "mine.py" in last["text"]


def test_too_little_memory_is_the_end_of_the_process_so_that_it_is_tried_again_alone(job, tmp_path):
    large = loss_of(job, tmp_path, "raise torch.OutOfMemoryError('CUDA out of memory')")
    with pytest.raises(MemoryError):
        do_run(large)
    ended = result_of(run_events(large))
    assert (ended.broken, ended.too_large) == (True, True)
    assert "out of memory" in large.one.folder.log.read_text(encoding="utf-8")
