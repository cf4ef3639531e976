"""A loss as a picture."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from segtrain.core.errors import ConfigError
from segtrain.losses.card import cards
from segtrain.losses.response import response_of
from segtrain.reports.loss_plot import _figure, write_loss_plot

STARTS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.fixture(scope="module")
def found():
    return response_of("dice")


@pytest.mark.parametrize("kind", STARTS)
def test_the_ending_says_the_kind(tmp_path, found, kind):
    path = tmp_path / f"dice.{kind}"
    write_loss_plot(path, "dice", "1 - $D_c$", found)
    assert path.read_bytes().startswith(STARTS[kind])


def test_name_and_formula_are_written_as_they_are(tmp_path, found):
    path = tmp_path / "dice.svg"
    write_loss_plot(path, "mine.py:Dice", "1 - 2 TP / $x_1^2$", found)
    assert "1 - 2 TP / $x_1^2$" in path.read_text()


def test_another_ending_is_refused_and_nothing_written(tmp_path, found):
    with pytest.raises(ConfigError, match=r"let the name end in \.png, \.svg, \.pdf"):
        write_loss_plot(tmp_path / "dice.doc", "dice", "", found)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_no_formula_runs_out_of_the_picture(found):
    for shown in cards():
        figure = _figure(shown.name, shown.formula, found)
        title = figure._suptitle.get_window_extent(FigureCanvasAgg(figure).get_renderer())
        assert title.x1 <= figure.bbox.x1, shown.name
