"""What several processes did is one outcome."""

from __future__ import annotations

from segtrain.core.case import Case, ScanSource
from segtrain.core.scores import CaseScores
from segtrain.recipes.run_report import ScoredFiles
from segtrain.recipes.scoring.outcome import Outcome, joined_outcome


def outcome(*done, failed=()):
    scores = tuple(CaseScores(case, case, {}, {}, {}) for case in done)
    files = tuple(ScoredFiles(case, (), None, None) for case in done)
    return Outcome(scores, files, tuple((case, f"{case} is damaged") for case in failed))


def test_what_several_processes_did_is_joined_in_the_order_of_the_cases(tmp_path):
    cases = [Case(name, name, (ScanSource(tmp_path / name),)) for name in ("a10", "a9", "b", "c", "d")]
    parts = outcome("a9", "c", failed=["d"]), outcome("a10", failed=["b"])
    joined = joined_outcome(cases, parts)
    assert [scored.case for scored in joined.scores] == ["a10", "a9", "c"]
    assert [file.case for file in joined.files] == ["a10", "a9", "c"]
    assert joined.failed == (("b", "b is damaged"), ("d", "d is damaged"))
