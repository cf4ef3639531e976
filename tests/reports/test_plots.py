"""Plots for a page and for a file."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from segtrain.reports.canvas import SERIES, VARIABLES
from segtrain.reports.loss_figures import loss_curves, loss_differences
from segtrain.reports.on_white import SERIES as PAPER_SERIES
from segtrain.reports.plots import Look, drawing, look_of, write_plots
from segtrain.reports.rank_figures import critical_difference, place_shares
from tests.reports.builders import HOSTILE, epochs
from tests.reports.comparisons import comparison

STAND_IN = re.compile("|".join(VARIABLES))


def plots():
    found = comparison(dice=0.0, focal=0.1, ce=-0.1)
    return {
        "curves": loss_curves({HOSTILE: epochs(), "b": epochs()}, "dice", "b"),
        "differences": loss_differences(found, "Dice", "patient"),
        "ranks": critical_difference(found, "Dice", "patient"),
        "places": place_shares(found, "Dice", "patient"),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("plots") / "figures"
    write_plots(path, plots())
    return path


def test_each_plot_is_an_svg_and_a_png(folder):
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"{name}.{kind}" for name in plots() for kind in ("svg", "png")
    )


@pytest.mark.parametrize("name", ["curves", "differences", "ranks", "places"])
def test_a_file_has_real_colours_on_white_and_no_stand_in(folder, name):
    text = (folder / f"{name}.svg").read_text(encoding="utf-8")
    assert STAND_IN.findall(text) == []
    assert "var(" not in text
    assert PAPER_SERIES[0] in text
    pixels = np.asarray(Image.open(folder / f"{name}.png").convert("RGB"))
    assert tuple(pixels[0, 0]) == (255, 255, 255)
    assert pixels.shape[1] > 900


def test_the_key_of_a_file_is_a_legend_in_which_names_stay_names(folder):
    text = (folder / "curves.svg").read_text(encoding="utf-8")
    assert "<script" not in text
    words = [element.text for element in ElementTree.fromstring(text).iter() if element.tag.endswith("text")]
    assert HOSTILE in words
    assert "b" in words


def test_a_transparent_colour_stays_transparent(folder):
    alphas = re.findall(r"fill: #1f77a4; opacity: ([\d.]+)", (folder / "places.svg").read_text(encoding="utf-8"))
    assert float(alphas[0]) == pytest.approx(0.75)


def test_equal_plots_are_equal_files(folder, tmp_path):
    write_plots(tmp_path / "again", plots())
    for path in folder.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_page_gets_its_own_colours():
    found = drawing(plots()["curves"])
    assert STAND_IN.findall(found.markup) == []
    assert "var(--c0)" in found.markup
    assert found.key == (("var(--c0)", HOSTILE), ("var(--c1)", "b"))


def test_beyond_eight_colours_lines_are_dashed():
    assert look_of(7) == Look(SERIES[7])
    assert look_of(8).colour == SERIES[0]
    assert look_of(8).css == "repeating-linear-gradient(90deg, var(--c0) 0 8px, transparent 0 11.2px)"
    assert look_of(16).dashes != look_of(8).dashes
    assert look_of(0).line == {"color": SERIES[0], "linestyle": "-"}
