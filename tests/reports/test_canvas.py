import re

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from segtrain.reports.canvas import INK, SERIES, series_colour, series_key, styled, svg


@styled
def drawn(title="a $x_1$ <b>"):
    figure = Figure(figsize=(3, 2), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=series_colour(9))
    axes.set_title(title, color=INK)
    return svg(figure, "what it shows")


def test_svg_is_in_the_colours_and_font_of_the_page():
    text = drawn().markup
    assert text.startswith("<svg")
    assert "var(--ink)" in text
    assert "var(--c1)" in text
    assert "DejaVu" not in text
    assert "<style" not in text
    assert not any(stand_in in text for stand_in in SERIES)
    assert "a $x_1$ &lt;b&gt;" in text


def test_equal_figures_are_equal_texts():
    assert drawn() == drawn()


def test_a_colour_in_a_name_is_left_alone():
    assert "#010101" in drawn(title="#010101").markup


def test_lines_are_drawn_to_a_hundredth_of_a_point():
    assert not re.search(r' d="[^"]*\.\d{3}', drawn().markup)
    assert "v1.23456" in drawn(title="v1.23456").markup, "names are left alone"


def test_the_house_style_ends_with_the_drawing():
    before = dict(mpl.rcParams)
    drawn()
    assert dict(mpl.rcParams) == before
    import sys

    assert "matplotlib.pyplot" not in sys.modules or mpl.get_backend()


@pytest.mark.parametrize("place", [0, 7, 8, 23])
def test_colours_start_again(place):
    assert series_colour(place) == SERIES[place % 8]
    assert series_key(["a"] * 9)[8][0] == "var(--c0)"
