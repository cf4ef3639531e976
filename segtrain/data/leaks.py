"""An image that trains and judges: a score that it takes part in says nothing about new patients.

A split keeps the patients apart that it knows of. It does not know of a scan that was copied under another name,
written as another file type, or exported twice from an archive: its voxels or its SeriesInstanceUID tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from segtrain.core.case import Case
from segtrain.core.errors import Problem
from segtrain.data.fingerprint import CaseFingerprint
from segtrain.data.splits import Fold

FIX = "take one of them out, or give both the same patient (data.patient_from; the column patient of a table)"


def leaks_in(folds: Iterable[Fold], records: Mapping[str, CaseFingerprint], cases: Sequence[Case]) -> list[Problem]:
    """A problem for each pair of cases, one that trains and one that judges in a fold, that hold the same image."""
    traces = {case.id: _traces(case, records[case.id]) for case in cases if case.id in records}
    cases_of: dict[str, list[str]] = {}
    for case, found in traces.items():
        for trace in found:
            cases_of.setdefault(trace, []).append(case)
    pairs: dict[tuple[str, str], str] = {}
    for fold in folds:
        train = set(fold.train)
        for case in fold.validation:
            for trace, why in traces.get(case, {}).items():
                for other in train.intersection(cases_of[trace]):
                    first, second = sorted((case, other))
                    pairs.setdefault((first, second), why)
    return [
        Problem("the same image trains and judges", f"cases {first} and {second}", why, FIX)
        for (first, second), why in sorted(pairs.items())
    ]


def _traces(case: Case, record: CaseFingerprint) -> dict[str, str]:
    """What tells an image -> how a person is told."""
    series = {f"series {source.series_uid}": "their SeriesInstanceUID is the same" for source in case.images}
    series.pop("series ", None)
    return {**series, **{content: "their voxels are the same" for content in record.content if content}}
