"""An image that trains and judges: a score that it takes part in says nothing about new patients.

A split keeps the patients apart that it knows of. It does not know of a scan that was copied under another name,
written as another file type, or exported twice from an archive: its voxels, its
SeriesInstanceUID or the SOPInstanceUID of a slice tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from segtrain.core.case import Case
from segtrain.core.errors import Problem
from segtrain.data.plan.fingerprint import CaseFingerprint
from segtrain.data.splits import Fold

FIX = "take one of them out, or give both the same patient (data.patient_from; the column patient of a table)"


def leaks_in(folds: Iterable[Fold], records: Mapping[str, CaseFingerprint], cases: Sequence[Case]) -> list[Problem]:
    """A problem for each pair of cases, one that trains and one that judges in a fold, that hold the same image."""
    traces = _all_traces(records, cases)
    cases_of = _cases_of(traces)
    pairs: dict[tuple[str, str], str] = {}
    for fold in folds:
        train = set(fold.train)
        for case in fold.validation:
            for trace, why in traces.get(case, {}).items():
                for other in train.intersection(cases_of[trace]):
                    first, second = sorted((case, other))
                    pairs.setdefault((first, second), why)
    return [_of_two("the same image trains and judges", pair, why) for pair, why in sorted(pairs.items())]


def twins_in(records: Mapping[str, CaseFingerprint], cases: Sequence[Case]) -> list[Problem]:
    """A problem for each pair of cases of two patients that hold the same image, whatever the split."""
    patients = {case.id: case.patient for case in cases}
    traces = _all_traces(records, cases)
    pairs: dict[tuple[str, str], str] = {}
    for trace, holders in _cases_of(traces).items():
        for first, second in combinations(sorted(holders), 2):
            if patients[first] != patients[second]:
                pairs.setdefault((first, second), traces[first][trace])
    what = "the same image belongs to two patients: one may train and the other judge"
    return [_of_two(what, pair, why) for pair, why in sorted(pairs.items())]


def _of_two(what: str, pair: tuple[str, str], why: str) -> Problem:
    return Problem(what, f"cases {' and '.join(pair)}", why, FIX, pair)


def _all_traces(records: Mapping[str, CaseFingerprint], cases: Sequence[Case]) -> dict[str, dict[str, str]]:
    return {case.id: _traces(case, records[case.id]) for case in cases if case.id in records}


def _cases_of(traces: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """Trace -> the cases that have it."""
    found: dict[str, list[str]] = {}
    for case, own in traces.items():
        for trace in own:
            found.setdefault(trace, []).append(case)
    return found


def _traces(case: Case, record: CaseFingerprint) -> dict[str, str]:
    """What tells an image -> how a person is told."""
    series = {f"series {source.series_uid}": "their SeriesInstanceUID is the same" for source in case.images}
    series.pop("series ", None)
    slices = {f"slice {uid}": "slices of both have one SOPInstanceUID" for uid in sorted(record.instances)}
    return {**series, **{content: "their voxels are the same" for content in record.content if content}, **slices}
