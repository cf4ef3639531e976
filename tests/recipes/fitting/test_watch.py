"""Those who watch a training are told everything once, and cannot end it."""

from __future__ import annotations

import pytest

from segtrain.core.errors import ConfigError
from segtrain.core.events import EpochEnded, Note
from segtrain.recipes.check import check
from segtrain.recipes.compare_losses import compare_losses
from segtrain.recipes.fit import fit
from segtrain.recipes.fitting import watch
from segtrain.recipes.fitting.watch import DRAWING_SHARE, Picture, Watchers, require_watchers, watching
from segtrain.recipes.run_folder import RunFolder
from segtrain.training.settings import TrainingSettings
from tests.recipes.projects import close_at, load


def rows(*scores):
    """A row an epoch; None: it was not validated."""
    return [
        {"epoch": epoch, "step": epoch, "train_loss": 1.0, "learning_rate": 0.1, "seconds": 1.0, "dice": dice}
        for epoch, dice in enumerate(scores, start=1)
    ]


class Listener:
    """Notes what it is told, and fails when it is told to."""

    def __init__(self, fails_at=None):
        self.fails_at = fails_at
        self.told = []
        self.ending = None

    def tell(self, history):
        if len(history) == self.fails_at:
            raise ConnectionError("the server\nis gone")
        self.told.append(len(history))

    def close(self, ending):
        self.ending = ending


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test moves it."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr("segtrain.recipes.fitting.watch.time.monotonic", lambda: Clock.now)
    return Clock


@pytest.fixture
def picture(tmp_path):
    return Picture(RunFolder(tmp_path), "dice", 9)


@pytest.fixture
def nothing_is_installed(monkeypatch):
    monkeypatch.setattr(watch, "find_spec", lambda name: None)


class TestMissingPackages:
    def test_nobody_is_needed_where_nobody_is_asked_for(self, nothing_is_installed):
        require_watchers(TrainingSettings())

    def test_all_that_is_missing_is_named_with_what_to_install(self, nothing_is_installed):
        with pytest.raises(ConfigError) as error:
            require_watchers(TrainingSettings(watch=("tensorboard", "mlflow")))
        hints = [problem.hint for problem in error.value.problems]
        assert "pip install 'segtrain[tensorboard]'" in hints[0]
        assert "pip install 'segtrain[mlflow]'" in hints[1]
        assert error.value.problems[0].where == "training.watch"

    @pytest.mark.parametrize("recipe", [fit, compare_losses])
    def test_it_is_told_before_anything_is_read_or_written(self, nothing_is_installed, study, tmp_path, recipe):
        loaded = load(study, "training.watch=[tensorboard]", "data.images=nowhere")
        with pytest.raises(ConfigError, match="not installed: tensorboard"):
            list(recipe(loaded, tmp_path / "run", device="cpu"))
        assert not (tmp_path / "run").exists()

    def test_check_lists_it_with_all_else(self, nothing_is_installed, study):
        found = check(load(study, "training.watch=[mlflow]", "evaluation.metrics=[iuo]"))
        assert [problem.what[:9] for problem in found[:2]] == ["not insta", "no metric"]


class TestWatchers:
    def test_one_that_fails_is_noted_once_and_the_others_go_on(self):
        one, other = Listener(fails_at=2), Listener()
        watchers = Watchers({"one": lambda: one, "other": lambda: other})
        notes = [watchers.tell(rows(*[None] * n)) for n in (1, 2, 3)]
        watchers.close("done")
        assert [len(found) for found in notes] == [0, 1, 0]
        assert notes[1] == [
            Note("one is told no more (ConnectionError: the server is gone); a resumed run tells it the rest")
        ]
        assert (one.told, other.told) == ([1], [1, 2, 3])
        assert (one.ending, other.ending) == (None, "done")

    def test_one_that_cannot_be_opened_is_noted_too(self):
        def refuse():
            raise OSError("no such host")

        assert "no such host" in Watchers({"far": refuse}).tell([])[0].text

    @pytest.mark.parametrize(
        ("raised", "ending"), [(None, "done"), (GeneratorExit, "stopped"), (ConfigError, "failed")]
    )
    def test_they_learn_how_it_ended(self, study, tmp_path, monkeypatch, raised, ending):
        listener = Listener()
        monkeypatch.setattr(watch, "Picture", lambda *_: listener)
        try:
            with watching(RunFolder(tmp_path), load(study)) as tell:
                tell([])
                if raised:
                    raise raised
        except (GeneratorExit, ConfigError):
            pass
        assert listener.ending == ending

    def test_the_training_goes_on_and_says_why(self, study, tmp_path, monkeypatch):
        monkeypatch.setattr(watch, "progress_png", lambda *_: 1 / 0)
        events = fit(load(study, "compare=null"), tmp_path / "run", device="cpu")
        told = []
        close_at(events, lambda event: told.append(event) or (isinstance(event, EpochEnded) and event.epoch == 2))
        notes = [event.text for event in told if isinstance(event, Note)]
        assert [text for text in notes if text.startswith("progress.png is told no more (ZeroDivisionError")]


class TestPicture:
    def test_it_is_drawn_after_a_validation(self, picture, tmp_path, clock):
        picture.tell([])
        picture.tell(rows(None))
        assert not (tmp_path / "progress.png").exists()
        picture.tell(rows(None, 0.5))
        assert (tmp_path / "progress.png").read_bytes().startswith(b"\x89PNG")

    def test_it_takes_a_small_share_of_the_time_and_the_last_one_is_never_missing(
        self, picture, tmp_path, clock, monkeypatch
    ):
        drawn = []

        def draw(history, title):
            clock.now += 1.0
            drawn.append((len(history), title))
            return b""

        monkeypatch.setattr(watch, "progress_png", draw)
        for epoch in range(1, 5):
            picture.tell(rows(*[0.1 * n for n in range(1, epoch + 1)]))
        clock.now += 1 / DRAWING_SHARE
        picture.tell(rows(0.1, 0.5, 0.3, 0.4, 0.2))
        picture.tell(rows(0.1, 0.5, 0.3, 0.4, 0.2, 0.1))
        picture.close("done")
        picture.close("done")
        assert [epochs for epochs, _ in drawn] == [1, 5, 6]
        assert drawn[1][1] == f"{tmp_path.name}: epoch 5 of 9, best Dice 0.500 after epoch 2"

    def test_the_best_is_what_the_metric_calls_best(self, tmp_path, clock, monkeypatch):
        titles = []
        monkeypatch.setattr(watch, "progress_png", lambda history, title: titles.append(title) or b"")
        scores = [{"epoch": n, "relative_volume_error": value} for n, value in enumerate((0.6, -0.1, 0.9), start=1)]
        Picture(RunFolder(tmp_path), "relative_volume_error", 3).tell(scores)
        assert titles[0].endswith("-0.100 after epoch 2")
