"""F15 and F17: killed in the middle of writing a checkpoint, of predictions and of sweeps; always ended by --resume.

With those of tests/commands/test_killed.py: 10 kills by `make test`, 100 by `make test-slow`. Moments follow from the
trial's number, which is in the test's name and printed.
"""

from __future__ import annotations

import random
import shutil
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from tests.commands.conftest import Trained
from tests.commands.processes import Running, start
from tests.commands.projects import CONFIG, files_in, study, weights
from tests.faults.processes import PATIENCE
from tests.faults.studies import contents
from tests.faults.table import fault

resource = pytest.importorskip("resource", reason="needs a system with limits for processes")

KILLS = 3
"""In each trial of a prediction or a sweep."""
TRIALS = [0, *(pytest.param(trial, marks=pytest.mark.slow) for trial in range(1, 8))]
OFFSETS = [0, *(pytest.param(trial, marks=pytest.mark.slow) for trial in range(1, 20))]
QUICK = ("training.epochs=1", "training.steps_per_epoch=4")


def moments(trial: int, until: float) -> list[float]:
    """Seconds after its start at which each of a trial's processes is killed."""
    found = [random.Random(100 * trial + number).uniform(0.0, until) for number in range(KILLS)]
    print(f"trial {trial}: killed after", *(f"{moment:.3f}" for moment in found), "s")  # noqa: T201
    return found


def killed_after(running: Running, seconds: float) -> int:
    """How it ended: minus SIGKILL, or as a command that was done before."""
    running.process.join(seconds)
    running.send(signal.SIGKILL)
    return running.ended()


def timed(running: Running) -> float:
    began = time.monotonic()
    assert running.ended(PATIENCE) == 0, running.said
    return time.monotonic() - began


def limit_kills() -> None:
    """A file that grows too large then ends the process at that byte; Python would ignore it."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study, and a fit that nobody broke off; of the same threads as those that are killed."""
    root = tmp_path_factory.mktemp("torn")
    longer = CONFIG.replace("epochs: 2, steps_per_epoch: 3", "epochs: 4, steps_per_epoch: 3")
    config = study(root, cases=3, config=longer + "evaluation: {metrics: [dice]}\n")
    begun = start(root / "whole.txt", "fit", "--config", config, f"data.store={root / 'store'}", "--run", root / "run")
    assert begun.ended(PATIENCE) == 0, begun.said
    return config, root / "run"


@fault(
    "F15", "killed at a random byte of a checkpoint, 20 times", then="kept: a whole one is found; equal bits, no temps"
)
@pytest.mark.parametrize("trial", OFFSETS)
def test_killed_at_a_byte_of_a_checkpoint(whole: tuple[Path, Path], tmp_path: Path, trial: int) -> None:
    config, reference = whole
    fit = ("fit", "--config", config, f"data.store={config.parent / 'store'}", "--run", tmp_path / "run")
    size = (reference / "checkpoints" / "last" / "state.safetensors").stat().st_size
    offset = random.Random(trial).randrange(1, size)
    print(f"trial {trial}: killed at byte {offset} of {size}")  # noqa: T201
    running = start(tmp_path / "killed.txt", *fit, before=limit_kills)
    running.wait_until((tmp_path / "run" / "metrics.csv").exists)
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (offset, offset))
    assert running.ended() in (-signal.SIGXFSZ, 0), running.said
    again = start(tmp_path / "again.txt", *fit, "--resume")
    assert again.ended(PATIENCE) == 0, again.said
    for name in ("last", "best"):
        assert weights(tmp_path / "run", name) == weights(reference, name)
    left = files_in(tmp_path / "run")
    assert not [name for name in left if ".tmp" in name or ".new" in name or ".old" in name or name == ".lock"]


@fault("F17", "predictions killed at random moments", then="kept: --resume ends with equal masks and tables")
@pytest.mark.parametrize("trial", TRIALS)
def test_a_prediction_that_is_killed_at_random_moments(trained: Trained, tmp_path: Path, trial: int) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number in range(8):
        shutil.copy(trained.root / "images" / f"P{number % 4}.nii.gz", images / f"C{number}.nii.gz")
    predict = ("predict", "--run", trained.run, "--images", images)
    until = timed(start(tmp_path / "whole.txt", *predict, "--out", tmp_path / "whole"))
    for number, moment in enumerate(moments(trial, until)):
        out = start(tmp_path / f"{number}.txt", *predict, "--out", tmp_path / "cut", "--resume")
        assert killed_after(out, moment) in (-signal.SIGKILL, 0), out.said
    again = start(tmp_path / "again.txt", *predict, "--out", tmp_path / "cut", "--resume")
    assert again.ended(PATIENCE) == 0, again.said
    made, wanted = contents(tmp_path / "cut"), contents(tmp_path / "whole")
    assert made.keys() == wanted.keys()
    assert {name: made[name] for name in made if name != "prediction.json"} == {
        name: wanted[name] for name in wanted if name != "prediction.json"
    }


@fault("F17", "sweeps killed at random moments", then="kept: --resume ends with equal weights and tables")
@pytest.mark.parametrize("trial", TRIALS)
def test_a_sweep_that_is_killed_at_random_moments(trained: Trained, tmp_path: Path, trial: int) -> None:
    sweep = ("compare-losses", "--config", trained.config, *QUICK, f"data.store={tmp_path / 'store'}")
    until = timed(start(tmp_path / "whole.txt", *sweep, "--run", tmp_path / "whole"))
    for number, moment in enumerate(moments(trial, until)):
        flags = ("--resume",) if (tmp_path / "cut").exists() else ()
        cut = start(tmp_path / f"{number}.txt", *sweep, "--run", tmp_path / "cut", *flags)
        assert killed_after(cut, moment) in (-signal.SIGKILL, 0), cut.said
    again = start(tmp_path / "again.txt", *sweep, "--run", tmp_path / "cut", "--resume")
    assert again.ended(PATIENCE) == 0, again.said
    made, wanted = contents(tmp_path / "cut"), contents(tmp_path / "whole")
    kept = partial(filter, lambda name: name.endswith((".safetensors", "claims.csv", "ranking.csv", "pairwise.csv")))
    assert [*kept(wanted)]
    assert {name: made.get(name) for name in kept(wanted)} == {name: wanted[name] for name in kept(wanted)}
