import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from segtrain.core.scores import CaseScores
from segtrain.reports.contents import EvaluationReport, LossPictures, TrainingReport
from segtrain.reports.page import write_comparison_report, write_evaluation_report, write_training_report
from segtrain.reports.summary import summarise
from tests.reports.builders import HOSTILE, absent, case, epochs, invented, many, missed, picture
from tests.reports.comparisons import facts, report, thirds

VOID = {"meta", "img", "br", "path", "use", "rect", "input"}


class Page(HTMLParser):
    """Tags, attributes and text of a page; refuses tags that are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words, self._open = [], [], [], []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def evaluation(scores, **changes):
    given = {
        "title": "An evaluation",
        "facts": {"run": "runs/a"},
        "scores": scores,
        "summary": summarise(scores),
        "overlays": [],
        "failed": [],
    }
    return EvaluationReport(**{**given, **changes})


def written(tmp_path, report, write=write_evaluation_report):
    write(tmp_path / "report.html", report)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    return Page(text), text


class TestEvaluation:
    def test_everything_a_reader_needs_is_there(self, tmp_path):
        scores = [case(f"P{i:02d}", 0.5 + 0.02 * i) for i in range(20)] + [absent("Q1"), missed("Q2"), invented("Q3")]
        page, _ = written(tmp_path, evaluation(scores, overlays=[picture("Q2")], failed=[("R9", "is\ntruncated")]))
        for words in ("22 / 23", "20 / 21", "1 / 2", "missed", "false alarm", "absent", "2 TP / (2 TP + FP + FN)"):
            assert words in page.text, words
        for words in ("R9", "is truncated", "caption of Q2", "patients are not known; 1 failed"):
            assert words in page.text, words
        assert "too narrow" not in page.text
        anchors = {v[1:] for k, v in page.attributes if k == "href" and v.startswith("#")}
        assert anchors <= {v for k, v in page.attributes if k == "id"}
        assert {"labels", "presence", "worst", "cases", "failed", "definitions"} <= anchors

    def test_the_page_needs_no_network_and_runs_one_script_that_it_names(self, tmp_path):
        page, text = written(tmp_path, evaluation([case("a", 0.5)], overlays=[picture("a"), picture("b")]))
        assert page.tags.count("script") == 1
        (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        (policy,) = [v for k, v in page.attributes if k == "content" and "default-src" in v]
        assert "default-src 'none';" in policy
        assert f"script-src 'sha256-{digest}'" in policy
        assert "unsafe" not in policy.replace("style-src 'unsafe-inline'", "")
        assert "link" not in page.tags
        sources = [v for k, v in page.attributes if k in ("src", "href", "xlink:href")]
        assert all(v.startswith(("#", "data:image/jpeg;base64,")) for v in sources)
        assert not re.search(r"url\((?!#)", text)
        assert not any(k.startswith("on") for k, _ in page.attributes)

    def test_without_pictures_there_is_no_script(self, tmp_path):
        page, text = written(tmp_path, evaluation([case("a", 0.5)]))
        assert "script" not in page.tags
        assert "script-src" not in text

    def test_a_picture_is_whole_without_its_script(self, tmp_path):
        shown = picture("a")
        _, text = written(tmp_path, evaluation([case("a", 0.5)], overlays=[shown]))
        for plane in shown.planes:
            assert f'd="{plane.path("reference")}"' in text
            assert f'viewBox="{" ".join(map(str, plane.sheet.corner(plane.first)))} ' in text
            assert f"<output>{plane.words[plane.first]}</output>" in text

    def test_why_these_metrics_and_what_they_mean(self, tmp_path):
        scores = [many("a", [0.5, 0.7], "nsd")]
        said = {"nsd": {"definition": "Within 2 mm: liver; 1 mm: spleen.", "unit": "", "best": "higher", "version": 4}}
        report = evaluation(scores, summary=summarise(scores, definitions=said), profile="Profile <organ>: because.")
        page, text = written(tmp_path, report)
        assert "Profile <organ>: because." in page.text
        assert text.index("because") < text.index('class="many overview"')
        for words in ("Within 2 mm: liver; 1 mm: spleen.", "version 4", "missed or invented: 0"):
            assert words in page.text, words

    def test_many_metrics_have_a_column_and_a_place_of_their_own(self, tmp_path):
        names = ["dice", "nsd", "hd95", "assd", "relative_volume_error", "cldice", "lesion_f1", "pq", "specificity"]
        scores = [many(f"c{i}", [0.5 + i / 10]) for i in range(3)]
        scores = [replace(c, scores={"l0": dict.fromkeys(names, c.scores["l0"]["dice"])}) for c in scores]
        page, _ = written(tmp_path, evaluation(scores))
        assert page.tags.count("details") == len(names)
        for words in ("HD95 (mm) of a case", "ASSD (mm) of a case", "clDice of a case", "+0.600", "0.60 0.50 to 0.70"):
            assert words in page.text, words

    def test_hostile_names_stay_names(self, tmp_path):
        found = case(HOSTILE, 0.5, patient=HOSTILE, label=HOSTILE)
        report = evaluation(
            [found],
            profile=HOSTILE,
            title=HOSTILE,
            facts={HOSTILE: HOSTILE},
            overlays=[picture(HOSTILE)],
            failed=[(HOSTILE, HOSTILE)],
            notes=[HOSTILE],
        )
        page, text = written(tmp_path, report)
        assert text.count("<script") == 1
        assert page.text.count("<script>alert('$x_1^2$')</script>") >= 10

    @pytest.mark.parametrize(
        ("n", "narrow", "none"), [(1, True, True), (5, True, True), (6, True, False), (20, False, False)]
    )
    def test_few_patients_are_said_to_be_few(self, tmp_path, n, narrow, none):
        page, _ = written(tmp_path, evaluation([case(f"c{i}", 0.5) for i in range(n)]))
        assert ("too narrow" in page.text) == narrow
        assert ("draw no verdict" in page.text) == none

    def test_intervals_are_over_cases_where_no_patients_were_given(self, tmp_path):
        page, _ = written(tmp_path, evaluation([case(f"c{i}", 0.5) for i in range(5)]))
        for words in ("5 cases: below 20", "Below 6 cases", "draws over cases", "patients are not known"):
            assert words in page.text, words
        page, _ = written(tmp_path, evaluation([case(f"c{i}", 0.5, patient=f"P{i // 2}") for i in range(5)]))
        for words in ("3 patients: below 20", "Below 6 patients", "draws over patients", "of 3 patients"):
            assert words in page.text, words

    def test_volumes_only(self, tmp_path):
        scores = [CaseScores("a", "a", {}, {}, {"organ": 1.0})]
        report = evaluation(scores, volumes_only=True, overlays=[picture("a", with_reference=False)])
        page, _ = written(tmp_path, report)
        assert "There is no reference" in page.text
        assert "1.000" in page.text
        assert "Presence" not in page.text

    def test_a_case_that_failed_and_was_scored_is_not_said_to_be_in_no_mean(self, tmp_path):
        page, _ = written(tmp_path, evaluation([case("a", 0.5), missed("b")], failed=[("b", "no prediction")]))
        assert "1 case failed and counts in the means as the worst" in page.text
        assert "in no mean" not in page.text
        page, _ = written(tmp_path, evaluation([case("a", 0.5)], failed=[("b", "truncated"), ("c", "truncated")]))
        assert "2 cases could not be done and are in no mean" in page.text
        assert "in the means as the worst" not in page.text

    def test_nothing_at_all(self, tmp_path):
        page, _ = written(tmp_path, evaluation([], facts={}, failed=[("a", "gone")]))
        assert "gone" in page.text

    def test_the_same_content_is_the_same_file(self, tmp_path):
        scores = [case("a", 0.5), case("b", 0.7)]
        assert written(tmp_path, evaluation(scores))[1] == written(tmp_path, evaluation(scores))[1]


class TestTraining:
    def test_curves_come_before_scores(self, tmp_path):
        inner = evaluation([case("a", 0.5)], notes=["inner note"])
        config = [("loss.name", "dice", "command line"), ("training.epochs", "5", "default"), (HOSTILE,) * 3]
        report = TrainingReport("A run", {"run": "r"}, config, epochs(), inner, ["outer note"])
        page, text = written(tmp_path, report, write_training_report)
        assert text.index('id="training"') < text.index('id="labels"')
        assert "outer note inner note" in page.text
        assert "A run" in page.text
        assert "An evaluation" not in page.text
        for words in ("loss.name", "command line", "1 more with their defaults"):
            assert words in page.text, words
        assert "<script" not in text
        assert {"training", "labels", "configuration"} <= {v for k, v in page.attributes if k == "id"}

    def test_a_run_without_validation(self, tmp_path):
        page, text = written(tmp_path, TrainingReport("A run", {}, [], epochs()), write_training_report)
        assert "Training" in page.text
        assert 'id="labels"' not in text


class TestComparison:
    def test_ranking_pairs_and_verdicts(self, tmp_path):
        shown = report(
            notes=["three seeds"], declared=[("focal", "learning rate 0.001")], seed_sd={"dice": {"focal": 0.004}}
        )
        page, _ = written(tmp_path, shown, write_comparison_report)
        for words in ("focal is better than dice", "baseline", "failed", "three seeds", "learning rate 0.001", "0.004"):
            assert words in page.text, words
        assert "0 / 8" in page.text
        assert "too narrow" in page.text

    def test_every_section_is_there_and_can_be_reached(self, tmp_path):
        pictures = [LossPictures("dice", [picture("P01"), picture("P02")])]
        page, _ = written(tmp_path, report(pictures=pictures, declared=[("a", "b")]), write_comparison_report)
        anchors = {v[1:] for k, v in page.attributes if k == "href" and v.startswith("#")}
        ids = {v for k, v in page.attributes if k == "id"}
        wanted = {
            "result",
            "others",
            "curves",
            "sizes",
            "balance",
            "costs",
            "pictures",
            "declared",
            "methods",
            "verdicts",
        }
        assert anchors <= ids
        assert wanted <= anchors
        for words in ("We compared 3 loss functions", "Kendall's tau", "caption of P02", "ms a step", "smallest third"):
            assert words in page.text, words

    def test_the_page_needs_no_network(self, tmp_path):
        page, _ = written(tmp_path, report(pictures=[LossPictures("dice", [picture()])]), write_comparison_report)
        assert page.tags.count("script") == 1
        sources = [v for k, v in page.attributes if k in ("src", "href", "xlink:href")]
        assert all(v.startswith(("#", "data:image/jpeg;base64,")) for v in sources)

    def test_five_patients_have_no_verdict(self, tmp_path):
        page, _ = written(tmp_path, report(n=5), write_comparison_report)
        assert "No verdict: with 5 patients" in page.text
        assert 'tag good">better</span>' not in page.text
        assert "Below 6 patients" in page.text

    def test_where_patients_are_not_known_the_units_are_cases(self, tmp_path):
        made = facts(patients_known=False, cases=5, patients=5)
        page, _ = written(tmp_path, report(n=5, made=made), write_comparison_report)
        for words in (
            "No verdict: with 5 cases",
            "Below 6 cases",
            "too few cases",
            "draws over cases",
            "one dot a case",
        ):
            assert words in page.text, words
        for words in ("patients", "of a patient"):
            assert words not in page.text.partition("What the metrics mean")[0].replace("patients were given", ""), (
                words
            )

    def test_broken_runs_come_first(self, tmp_path):
        made = facts(unfinished=("focal, fold 1, seed 0",))
        page, text = written(tmp_path, report(made=made), write_comparison_report)
        assert "1 run did not end, or broke off: focal, fold 1, seed 0." in page.text
        assert text.index("broke off") < text.index("too narrow")

    def test_hostile_names_stay_names(self, tmp_path):
        names = ("dice", HOSTILE, "x" + HOSTILE)
        shown = report(
            names,
            title=HOSTILE,
            facts={HOSTILE: HOSTILE},
            notes=[HOSTILE],
            declared=[(HOSTILE, HOSTILE)],
            by_label=thirds(names, labels=(HOSTILE,)),
            made=facts(losses=names, devices=(HOSTILE,), failed=(HOSTILE,), unfinished=(HOSTILE,)),
        )
        page, text = written(tmp_path, shown, write_comparison_report)
        assert "<script" not in text
        assert page.text.count("<script>alert") > 20

    def test_no_metric_no_curves(self, tmp_path):
        bare = report(comparisons={}, curves={}, by_label={}, costs=[], agreement=[])
        page, _ = written(tmp_path, bare, write_comparison_report)
        assert "How the verdicts are made" in page.text

    def test_the_same_content_is_the_same_file(self, tmp_path):
        first = written(tmp_path, report(), write_comparison_report)[1]
        assert written(tmp_path, report(), write_comparison_report)[1] == first
