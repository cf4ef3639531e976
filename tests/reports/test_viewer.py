"""The page of an evaluation as a browser has it: what the script does, and that no other runs."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap, Volume
from segtrain.reports.contents import EvaluationReport
from segtrain.reports.overlays import Overlay, case_view
from segtrain.reports.page import write_evaluation_report
from segtrain.reports.summary import summarise
from tests.reports.builders import case, missed
from tests.reports.chromium import browser

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>|;:M0 0"

SHAPE = (30, 30, 30)


def overlay(name):
    """Two labels in a box each, off the middle, on a grid of 1 mm, shown whole."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[8:16, 10:18, 12:20] = 1
    mask[18:22, 10:18, 12:20] = 2
    image = np.zeros((1, *SHAPE), np.float32)
    image[:, 5:25, 5:25, 5:25] = 50 + np.arange(20)
    on = Grid(SHAPE, np.eye(4))
    labels = {0: "background", 1: HOSTILE, 2: "second"}
    return Overlay(name, HOSTILE, Volume(image, on), LabelMap(np.roll(mask, 2, 0), on), LabelMap(mask, on), labels)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    scores = [case(HOSTILE, 0.5, label=HOSTILE), missed("b")]
    views = [case_view(overlay(HOSTILE)), case_view(overlay("b"))]
    path = tmp_path_factory.mktemp("page") / "report.html"
    report = EvaluationReport(HOSTILE, {HOSTILE: HOSTILE}, scores, summarise(scores), views, [], profile=HOSTILE)
    write_evaluation_report(path, report)
    return path


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("browser")) as tab:
        yield tab


@pytest.fixture
def desk(tab, page):
    """The page on a desk."""
    tab.open(page)
    return tab


def place(tab, plane=0):
    """What a plane says that it shows, and the slice of its slider."""
    return tab.run(
        f"(p => [p.querySelector('output').textContent, Number(p.querySelector('input').value)])"
        f"(document.querySelectorAll('.plane')[{plane}])"
    )


def lines(tab, role, plane=0):
    return tab.run(f"document.querySelectorAll('.plane')[{plane}].querySelector('path.{role}').getAttribute('d')")


def is_seen(tab, selector):
    return tab.run(f"getComputedStyle(document.querySelector({json.dumps(selector)})).display !== 'none'")


def test_the_script_runs_and_no_other_does(desk):
    assert desk.run("document.querySelectorAll('.viewer.live').length") == 2
    assert desk.run("document.title") == HOSTILE
    assert desk.run("document.querySelectorAll('[onerror], img').length") == 0
    assert desk.complaints == []
    assert [url for url in desk.requests if not url.startswith("data:image/jpeg")] == [desk.run("location.href")]


def test_a_script_that_slipped_in_would_not_run(tab, page, tmp_path):
    holed = tmp_path / "holed.html"
    script = "<script>document.title = 'owned'</script><img src='data:,' onerror=\"document.title = 'owned'\">"
    holed.write_text(page.read_text(encoding="utf-8").replace("<main>", f"<main>{script}", 1), encoding="utf-8")
    tab.open(holed)
    tab.settle()
    assert tab.run("document.title") == HOSTILE
    assert len([text for text in tab.complaints if "Content Security Policy" in text]) == 2


def test_a_wheel_turns_the_slices_and_the_page_stays(desk):
    point = desk.middle_of(".plane .picture")
    words, number = place(desk)
    top = desk.run("scrollY")
    desk.wheel(point, 1)
    desk.wheel(point, 1)
    desk.settle()
    assert place(desk)[1] == number + 2
    assert place(desk)[0] != words
    assert desk.run("scrollY") == top
    desk.wheel(point, -1)
    desk.settle()
    assert place(desk)[1] == number + 1


def test_at_the_last_slice_the_page_scrolls_on(desk):
    point = desk.middle_of(".plane .picture")
    desk.run("(r => { r.value = r.max; r.dispatchEvent(new Event('input')) })(document.querySelector('.plane input'))")
    top = desk.run("scrollY")
    desk.wheel(point, 1)
    desk.settle()
    assert desk.run("scrollY") > top


def test_a_point_is_shown_in_all_planes_and_arrow_keys_go_on_from_there(desk):
    # A quarter from the upper left corner of the axial plane: to the patient's right and to the front.
    desk.press(desk.middle_of(".plane .picture", 0.25, 0.25))
    desk.settle()
    assert place(desk, 2)[0] == "slice 23 · R 22.0 mm"
    assert place(desk, 1)[0] == "slice 23 · A 22.0 mm"
    assert desk.run("document.querySelector('[data-cross=x]').getAttribute('d')") == "M15 0V60"
    assert desk.run("document.querySelector('[data-cross=y]').getAttribute('d')") == "M0 15H60"
    before = place(desk)[1]
    assert before < SHAPE[2] - 1
    desk.key("ArrowRight", 39)
    desk.settle()
    assert place(desk)[1] == before + 1


def test_outlines_are_those_of_the_slice_and_of_the_label_that_is_chosen(desk):
    view = case_view(overlay("b"))
    for name in ("reference", "prediction"):
        desk.run(f"document.querySelector('input[value={name}]').click()")
        assert not is_seen(desk, f"path.{name}")
        desk.run(f"document.querySelector('input[value={name}]').click()")
        assert is_seen(desk, f"path.{name}")
    desk.run("(r => { r.value = 14; r.dispatchEvent(new Event('input')) })(document.querySelector('.plane input'))")
    by_label = view.planes[0].outlines["reference"][14]
    assert lines(desk, "reference") == "".join(by_label.values())
    choose = "(s => {{ s.value = '{}'; s.dispatchEvent(new Event('change')) }})(document.querySelector('select'))"
    desk.run(choose.format(2))
    assert lines(desk, "reference") == by_label[2]
    desk.run(choose.format(""))
    assert lines(desk, "reference") == "".join(by_label.values())


def test_a_finger_is_drawn_across_on_a_phone(tab, page):
    tab.open(page, 390, 844, touch=True)
    assert tab.run("document.documentElement.scrollWidth") <= 390
    start = tab.middle_of(".plane .picture")
    number = place(tab)[1]
    tab.drag(start, 100)
    tab.settle()
    assert place(tab)[1] > number + 3
    top = tab.run("scrollY")
    tab.tap(tab.middle_of(".plane .picture", 0.25, 0.25))
    tab.settle()
    assert place(tab, 2)[0] == "slice 23 · R 22.0 mm"
    assert tab.run("scrollY") == top


def test_without_the_script_the_planes_are_there_and_nothing_to_turn(tab, page):
    tab.open(page, script=False)
    words = [view.words[view.first] for view in case_view(overlay("b")).planes]
    assert [place(tab, number)[0] for number in range(3)] == words
    assert all(lines(tab, role, plane) for role in ("reference", "prediction") for plane in range(3))
    assert not is_seen(tab, ".plane input")
    assert not is_seen(tab, ".legend .control")
    assert is_seen(tab, ".key-reference")


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_is_light_or_dark_and_shows_the_scan_with_both_outlines(tab, page, dark):
    tab.open(page, dark=dark)
    tab.middle_of(".plane .picture")
    seen = np.asarray(Image.open(io.BytesIO(tab.screenshot())).convert("RGB")).astype(int)
    assert (seen[5, 5].mean() < 60) == dark
    for colour in ((76, 201, 240), (255, 158, 0)):
        assert (np.abs(seen - colour).max(axis=-1) < 12).sum() > 100, colour


def test_a_print_has_every_metric_and_every_picture(tab, page):
    tab.open(page)
    tab.emulate_print()
    assert not is_seen(tab, ".plane input")
    assert is_seen(tab, ".plane .picture")
    heights = tab.run("[...document.querySelectorAll('details .beside')].map(e => e.getBoundingClientRect().height)")
    assert len(heights) == 2
    assert min(heights) > 40, "a closed metric is printed as well"
    assert tab.pdf().startswith(b"%PDF")
