"""Two methods on the same patients: how much they differ, and how sure that is.

The unit is the patient: cases of one patient are averaged before anything is compared. Methods that were scored on
the same patients are never compared as if they were not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, isfinite, log2, sqrt

import numpy as np
import scipy  # loads scipy.stats, which takes a second, where it is first used

from segtrain.statistics.intervals import DRAWS, LEVEL, Reals, mean_interval

EXACT_UP_TO = 200
"""Patients up to which the signed-rank distribution is counted out; beyond, the normal approximation is as good."""

SAME = 1e-12
"""Differences below this are rounding, not differences."""

POWER = 0.8
"""Chance to detect a true difference that `patients_needed` plans for."""


@dataclass(frozen=True)
class Paired:
    """A - B over patients that have both; None where there are too few to say."""

    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    """Wilcoxon signed-rank, two-sided, not corrected for other comparisons."""
    effect: float | None
    """Rank-biserial: -1 (B larger in every patient) to 1 (A larger in every patient)."""
    p_larger: float | None
    """Share of patients in whom A is larger, ties counted half."""
    n_patients: int
    n_cases: int
    t_low: float | None = None
    t_high: float | None = None
    """Ends of Student's 95 % interval: wider than the bootstrap's with few patients."""
    differences: tuple[float, ...] = field(default=(), repr=False)
    """By patient, in order of patient names."""


def compare_pair(
    a: Mapping[str, float], b: Mapping[str, float], patients: Mapping[str, str], seed: int, draws: int = DRAWS
) -> Paired:
    """A minus B for two mappings case -> value; cases that one of them lacks do not count."""
    cases = [case for case in a if case in b]
    gaps = patient_differences([a[c] for c in cases], [b[c] for c in cases], [patients[c] for c in cases])
    if not gaps.size:
        return Paired(None, None, None, None, None, None, 0, 0)
    interval = mean_interval(gaps.tolist(), [f"{i:09d}" for i in range(gaps.size)], seed, draws)
    t_low, t_high = student_interval(gaps)
    return Paired(
        difference=interval.mean,
        low=interval.low,
        high=interval.high,
        p=wilcoxon_p(gaps),
        effect=rank_biserial(gaps),
        p_larger=share_larger(gaps),
        n_patients=int(gaps.size),
        n_cases=len(cases),
        t_low=t_low,
        t_high=t_high,
        differences=tuple(gaps.tolist()),
    )


def defined_values(values: Mapping[str, float | None]) -> dict[str, float]:
    """Case -> value, of the cases that have a finite one."""
    return {case: value for case, value in values.items() if value is not None and isfinite(value)}


def patient_differences(a: Sequence[float], b: Sequence[float], patients: Sequence[str]) -> Reals:
    """Mean of a - b within each patient, in order of patient names; rounding noise becomes 0."""
    if not len(patients):
        return np.zeros(0)
    names, which = np.unique(np.asarray(patients, dtype=object).astype(str), return_inverse=True)
    gaps = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    means = np.bincount(which, weights=gaps, minlength=len(names)) / np.bincount(which, minlength=len(names))
    return np.where(np.abs(means) < SAME, 0.0, means)


def student_interval(differences: Reals) -> tuple[float | None, float | None]:
    """Ends of the 95 % interval of the mean by Student's t; None below two patients."""
    n = differences.size
    if n < 2:
        return None, None
    half = float(scipy.stats.t.ppf((1 + LEVEL) / 2, n - 1)) * float(np.std(differences, ddof=1)) / sqrt(n)
    mean = float(differences.mean())
    return mean - half, mean + half


def wilcoxon_p(differences: Reals) -> float:
    """Two-sided p of the signed-rank test (Wilcoxon, Biometrics Bulletin 1:80, 1945); zeros are left out.

    Exact also where ranks are tied, by counting the sums of all sign patterns. Without any difference p is 1.
    """
    gaps, ranks = _signed_ranks(differences)
    if not gaps.size:
        return 1.0
    if gaps.size > EXACT_UP_TO:
        return float(scipy.stats.wilcoxon(gaps, method="asymptotic").pvalue)
    doubled = np.rint(2 * ranks).astype(int)
    chance = np.zeros(doubled.sum() + 1)
    chance[0] = 1.0
    for rank in doubled:
        chance[rank:] = (chance[rank:] + chance[: chance.size - rank]) / 2
        chance[:rank] /= 2
    positive = int(doubled[gaps > 0].sum())
    tail = min(chance[: positive + 1].sum(), chance[positive:].sum())
    return float(min(1.0, 2 * tail))


def rank_biserial(differences: Reals) -> float:
    """(R+ - R-) / (R+ + R-), the matched-pairs rank-biserial correlation (Kerby, 2014); 0 without a difference."""
    gaps, ranks = _signed_ranks(differences)
    return float((np.sign(gaps) * ranks).sum() / ranks.sum()) if gaps.size else 0.0


def share_larger(differences: Reals) -> float:
    """Share of positive differences, zeros counted half."""
    return float((differences > 0).mean() + 0.5 * (differences == 0).mean())


def holm(p_values: Sequence[float | None], family: int | None = None) -> list[float | None]:
    """p values corrected for their number (Holm, Scand J Stat 6:65, 1979), in the order given; None stays None.

    `family`: how many tests there are in all, where some are still to come.
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    tests = len(known) if family is None else family
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for step, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, p * (tests - step)))
        corrected[place] = largest
    return corrected


def patients_needed(differences: Sequence[float], worth: float | None, alpha: float) -> int | None:
    """About how many patients would show a true mean difference of `worth` at the level `alpha`, with a power of 80 %.

    ((z(1 - alpha/2) + z(power)) sd / worth)^2, the normal approximation for paired data, and no fewer than a two-sided
    signed-rank test needs for a p below `alpha`. None below two patients, where nobody says what a difference is worth,
    and where there are as many already.
    """
    if len(differences) < 2 or worth is None:
        return None
    z = float(scipy.stats.norm.ppf(1 - alpha / 2) + scipy.stats.norm.ppf(POWER))
    for_the_mean = ceil((z * float(np.std(differences, ddof=1)) / worth) ** 2)
    for_the_test = floor(log2(2 / alpha)) + 1  # the least p of n patients is 2 / 2^n
    needed = max(for_the_mean, for_the_test)
    return needed if needed > len(differences) else None


def _signed_ranks(differences: Reals) -> tuple[Reals, Reals]:
    """The differences that are not 0, and the ranks of their sizes (ties averaged)."""
    gaps = differences[np.abs(differences) >= SAME]
    return gaps, scipy.stats.rankdata(np.round(np.abs(gaps), 12))
